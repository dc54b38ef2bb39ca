//! What directories are to look like, applied when everything else is in place: until
//! then the unpacker must be able to write into them, and each write changes their times.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use rustix::fs::OFlags;

use crate::error::{Context, Result};
use crate::image::attach::{Attributes, Looks};
use crate::image::import::ROOT_MODE;
use crate::image::limits::Budget;
use crate::image::report::{Warnings, shown};
use crate::image::tree::Tree;

/// Mode of directories that the archive does not mention.
const DEFAULT_MODE: u32 = 0o755;

/// Looks of a directory that the archive does not mention.
fn unmentioned() -> Looks {
    Looks {
        mode: DEFAULT_MODE,
        uid: 0,
        gid: 0,
        mtime: None,
        atime: None,
        attributes: Attributes::default(),
    }
}

/// All directories of the tree, by path.
#[derive(Debug, Default)]
pub(super) struct Directories(BTreeMap<Vec<u8>, Looks>);

impl Directories {
    /// With the root only.
    pub(super) fn new() -> Self {
        Self(BTreeMap::from([(Vec::new(), unmentioned())]))
    }

    /// Notes a directory that was made because something lies below it.
    pub(super) fn imply(&mut self, path: &[u8], budget: &mut Budget) -> Result<()> {
        self.set(path, unmentioned(), budget)
    }

    /// Notes what a directory is to look like; the last word counts.
    pub(super) fn set(&mut self, path: &[u8], mut looks: Looks, budget: &mut Budget) -> Result<()> {
        budget.directory(size_of::<Looks>() + 2 * path.len() + looks.attributes.size())?;
        if path.is_empty() {
            looks.mode &= ROOT_MODE;
        }
        self.0.insert(path.to_vec(), looks);
        Ok(())
    }

    /// Takes back a directory that was removed.
    pub(super) fn remove(&mut self, path: &[u8]) {
        self.0.remove(path);
    }

    /// Makes all directories look as noted.
    pub(super) fn apply(&self, tree: &Tree, warnings: &mut Warnings) -> Result<()> {
        for (path, looks) in &self.0 {
            let what = || format!("finish directory '{}'", shown(path));
            let how = OFlags::RDONLY | OFlags::NOATIME;
            let dir = tree.open(path, how).cannot(what)?;
            looks.finish_dir(dir.as_fd(), path, warnings).cannot(what)?;
        }
        Ok(())
    }
}
