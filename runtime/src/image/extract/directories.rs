//! What directories are to look like, applied when everything else is in place: until
//! then the unpacker must be able to write into them, and each write changes their times.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use rustix::fs::{OFlags, fchmod, fchown, futimens};

use super::attach::{self, Attributes};
use super::tree::Tree;
use crate::error::{Context, Result};
use crate::image::limits::Budget;
use crate::image::report::{Warnings, shown};
use crate::image::tar::{Entry, Time};

/// Mode of directories that the archive does not mention, and the most that the root gets.
const DEFAULT_MODE: u32 = 0o755;

/// Owner, mode, times and attributes of a member.
#[derive(Debug)]
pub(super) struct Looks {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Option<Time>,
    pub(super) atime: Option<Time>,
    pub(super) attributes: Attributes,
}

impl Looks {
    /// Those of a directory that the archive does not mention.
    fn unmentioned() -> Self {
        Self {
            mode: DEFAULT_MODE,
            uid: 0,
            gid: 0,
            mtime: None,
            atime: None,
            attributes: Attributes::default(),
        }
    }

    /// Those that an entry asks for.
    pub(super) fn of(entry: &mut Entry, warnings: &mut Warnings) -> Self {
        Self {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: Some(entry.mtime),
            atime: entry.atime,
            attributes: Attributes::of(entry, warnings),
        }
    }
}

/// All directories of the tree, by path.
#[derive(Debug, Default)]
pub(super) struct Directories(BTreeMap<Vec<u8>, Looks>);

impl Directories {
    /// With the root only.
    pub(super) fn new() -> Self {
        Self(BTreeMap::from([(Vec::new(), Looks::unmentioned())]))
    }

    /// Notes a directory that was made because something lies below it.
    pub(super) fn imply(&mut self, path: &[u8], budget: &mut Budget) -> Result<()> {
        self.set(path, Looks::unmentioned(), budget)
    }

    /// Notes what a directory is to look like; the last word counts.
    pub(super) fn set(&mut self, path: &[u8], mut looks: Looks, budget: &mut Budget) -> Result<()> {
        budget.directory(size_of::<Looks>() + 2 * path.len() + looks.attributes.size())?;
        if path.is_empty() {
            looks.mode &= DEFAULT_MODE;
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
            apply(tree, path, looks, warnings)
                .cannot(|| format!("finish directory '{}'", shown(path)))?;
        }
        Ok(())
    }
}

fn apply(tree: &Tree, path: &[u8], looks: &Looks, warnings: &mut Warnings) -> Result<()> {
    let how = OFlags::RDONLY | OFlags::NOATIME;
    let dir = tree.open(path, how).cannot(|| "open it")?;
    let (uid, gid) = attach::owner(looks.uid, looks.gid);
    fchown(&dir, Some(uid), Some(gid)).cannot(|| "set its owner")?;
    fchmod(&dir, looks.mode.into()).cannot(|| "set its mode")?;
    looks.attributes.apply(dir.as_fd(), path, warnings)?;
    if let Some(mtime) = looks.mtime {
        futimens(&dir, &attach::times(mtime, looks.atime)).cannot(|| "set its times")?;
    }
    Ok(())
}
