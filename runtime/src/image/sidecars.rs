//! Files that belong to an image and lie beside it, or where settings are: they are removed
//! and renamed with it.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{AtFlags, RenameFlags, renameat_with, statat};
use rustix::io::Errno;

use super::lookup::find_in;
use super::metadata;
use super::remove::remove_tree;
use super::root::ImageRoot;
use crate::dirs::{Dirs, IMAGE_ROOT};
use crate::error::{Context, Result};

/// What machined takes along, and drop-ins of settings.
const SUFFIXES: [&str; 10] = [
    "nspawn",
    "nspawn.d",
    "oci-config",
    "roothash",
    "roothash.p7s",
    "usrhash",
    "usrhash.p7s",
    "verity",
    "raw.tpmstate",
    "raw.efinvramstate",
];

/// The one of them that is a directory, and no image.
pub(super) const DROP_INS: &str = ".nspawn.d";

/// Where an administrator's settings are; they are not those of images elsewhere.
const SETTINGS: [&str; 2] = ["/etc/systemd/nspawn", "/run/systemd/nspawn"];

/// The places of such files.
#[derive(Debug)]
pub(super) struct Sidecars<'a> {
    dirs: &'a Dirs,
    beside: &'a ImageRoot,
    settings: Vec<ImageRoot>,
}

impl<'a> Sidecars<'a> {
    /// Those of images in `beside`.
    pub(super) fn of(dirs: &'a Dirs, beside: &'a ImageRoot) -> Self {
        let usual = dirs.image_root() == Path::new(IMAGE_ROOT);
        let settings = SETTINGS.into_iter().filter(|_| usual);
        let settings = settings.filter_map(|dir| ImageRoot::open_existing(dir.as_ref()).ok()?);
        Self {
            dirs,
            beside,
            settings: settings.collect(),
        }
    }

    fn places(&self) -> impl Iterator<Item = (&ImageRoot, &'static str)> {
        let all = |dir, count| SUFFIXES.into_iter().take(count).map(move |s| (dir, s));
        let settings = self.settings.iter().flat_map(move |dir| all(dir, 2));
        all(self.beside, SUFFIXES.len()).chain(settings)
    }

    /// One that a name has already.
    pub(super) fn first(&self, name: &str) -> Option<String> {
        let found = self.places().find(|(dir, suffix)| {
            let file = format!("{name}.{suffix}");
            statat(dir.as_fd(), file, AtFlags::SYMLINK_NOFOLLOW).is_ok()
        });
        found.map(|(dir, suffix)| format!("{}/{name}.{suffix}", dir.path().display()))
    }

    /// Removes those of a name that is no image's any more.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        if find_in(self.beside.path(), name).is_some() {
            return Ok(());
        }
        for (dir, suffix) in self.places() {
            remove_tree(dir.as_fd(), OsStr::new(&format!("{name}.{suffix}")))?;
        }
        metadata::remove(self.dirs, name)
    }

    /// Lets them follow an image from `old`, which is no image's any more, to `new`, which
    /// is one's. What the new name has already is kept.
    pub(super) fn rename(&self, old: &str, new: &str) -> Result<()> {
        let is_image = |name| find_in(self.beside.path(), name).is_some();
        if is_image(old) || !is_image(new) {
            return Ok(());
        }
        for (dir, suffix) in self.places() {
            let (from, to) = (format!("{old}.{suffix}"), format!("{new}.{suffix}"));
            let dir = dir.as_fd();
            match renameat_with(dir, &*from, dir, &*to, RenameFlags::NOREPLACE) {
                Ok(()) | Err(Errno::NOENT | Errno::EXIST) => {}
                Err(error) => return Err(error).cannot(|| format!("rename {from} to {to}")),
            }
        }
        metadata::rename(self.dirs, old, new)
    }
}
