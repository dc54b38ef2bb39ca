//! The hidden directory beside its destination that a copy is made in.

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, statat,
};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::image::remove::remove_tree;
use crate::state::Incarnation;

/// What the names of these directories begin with; 16 digits follow.
pub(super) const PREFIX: &[u8] = b".#nsrun-copy-";

/// What is unpacked into, so that the directory itself stays closed to others.
const INNER: &str = "tree";

/// The directory, locked as long as somebody works in it, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    parent: BorrowedFd<'a>,
    name: String,
    tree: OwnedFd,
    _lock: OwnedFd,
}

impl<'a> Staging<'a> {
    /// Removes what killed copies have left in `parent`, and makes an own one there.
    pub(super) fn new(parent: BorrowedFd<'a>) -> Result<Self> {
        sweep(parent)?;
        let what = || "make a directory to copy into beside the destination";
        loop {
            let prefix = String::from_utf8_lossy(PREFIX);
            let name = format!("{prefix}{}", Incarnation::new()?);
            match mkdirat(parent, &*name, Mode::RWXU) {
                Err(Errno::EXIST) => continue,
                made => made.cannot(what)?,
            }
            // A sweep may have come between, and takes what nobody has locked.
            let Some(lock) = take(parent, OsStr::new(&name)).cannot(what)? else {
                continue;
            };
            mkdirat(&lock, INNER, Mode::RWXU).cannot(what)?;
            let tree = openat(&lock, INNER, directory(), Mode::empty()).cannot(what)?;
            return Ok(Self {
                parent,
                name,
                tree,
                _lock: lock,
            });
        }
    }

    /// What is to be unpacked into.
    pub(super) fn tree(&self) -> &OwnedFd {
        &self.tree
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // What cannot be removed now, the next copy to this place tries again.
        let _ = remove_tree(self.parent, OsStr::new(&self.name));
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Opens and locks one; `None` if it is gone, somebody works in it, or another user has made it.
fn take(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Option<OwnedFd>> {
    let dir = match openat(parent, name, directory(), Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        opened => opened?,
    };
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    let (open, found) = (
        fstat(&dir)?,
        statat(parent, name, AtFlags::SYMLINK_NOFOLLOW),
    );
    if open.st_uid != rustix::process::geteuid().as_raw() {
        return Ok(None);
    }
    let is_it = found.is_ok_and(|found| (found.st_dev, found.st_ino) == (open.st_dev, open.st_ino));
    Ok(is_it.then_some(dir))
}

fn sweep(parent: BorrowedFd<'_>) -> Result<()> {
    let what = || "look for what killed copies have left";
    let entries = Dir::read_from(parent).cannot(what)?;
    for entry in entries {
        let entry = entry.cannot(what)?;
        let name = entry.file_name().to_bytes();
        if !name.starts_with(PREFIX) {
            continue;
        }
        let name = OsStr::from_bytes(name);
        if let Some(_lock) = take(parent, name).cannot(what)? {
            // In a directory of others it may be anything by now; the copy does not need it gone.
            let _ = remove_tree(parent, name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    fn names(dir: &std::path::Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn what_a_killed_copy_left_goes_and_what_is_under_way_stays() {
        let dir = tempfile::tempdir().unwrap();
        let open = File::open(dir.path()).unwrap();
        let left = dir.path().join(".#nsrun-copy-0000000000000000");
        fs::create_dir_all(left.join("tree/a")).unwrap();
        let first = Staging::new(open.as_fd()).unwrap();
        assert_eq!(names(dir.path()), 1);
        let second = Staging::new(open.as_fd()).unwrap();
        assert_eq!(names(dir.path()), 2);
        fs::write(dir.path().join(&first.name).join("tree/x"), "").unwrap();
        drop((first, second));
        assert_eq!(names(dir.path()), 0);
    }
}
