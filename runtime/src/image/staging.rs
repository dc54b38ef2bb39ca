//! The hidden directory that an image is made in.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RenameFlags, fsync, mkdirat, openat, renameat_with, syncfs};
use rustix::io::Errno;

use super::hidden::{Hidden, Work};
use super::remove::remove_tree;
use super::root::ImageRoot;
use crate::error::{Context, Error, Kind, Result};

/// A hidden directory in the image root.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    root: &'a ImageRoot,
    hidden: Hidden,
    dir: OwnedFd,
}

impl<'a> Staging<'a> {
    /// Makes an empty one for the image `name`.
    pub(super) fn new(root: &'a ImageRoot, name: &str) -> Result<Self> {
        let what = || {
            format!(
                "make a directory to unpack into in {}",
                root.path().display()
            )
        };
        let hidden = Hidden::claim(root, Work::Making, name)?;
        mkdirat(root.as_fd(), hidden.name(), Mode::RWXU).cannot(what)?;
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(root.as_fd(), hidden.name(), how, Mode::empty()).cannot(what)?;
        Ok(Self { root, hidden, dir })
    }

    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The descriptor whose lock says that someone still works here.
    pub(super) fn lock(&self) -> BorrowedFd<'_> {
        self.hidden.lock().as_fd()
    }

    /// Makes the tree, or the directory `top` in it, the image `name`: durable first,
    /// then visible in one step.
    pub(super) fn publish(&self, name: &str, top: Option<&OsStr>, sync: bool) -> Result<()> {
        let what = || format!("publish image {name}");
        let (from, old) = match top {
            Some(top) => (self.dir.as_fd(), top),
            None => (self.root.as_fd(), OsStr::new(self.hidden.name())),
        };
        if sync {
            syncfs(&self.dir).cannot(what)?;
        }
        let to = self.root.as_fd();
        match renameat_with(from, old, to, name, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(exists(self.root, name)),
            Err(error) => return Err(error).cannot(what),
        }
        if sync {
            fsync(to).cannot(what)?;
        }
        Ok(())
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // What cannot be removed now, the next sweep tries again.
        let _ = remove_tree(self.root.as_fd(), OsStr::new(self.hidden.name()));
    }
}

/// The image is there already.
pub(super) fn exists(root: &ImageRoot, name: &str) -> Error {
    let path = root.path().join(name);
    Error::new(
        Kind::Busy,
        format!("image {} exists already", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn root(dir: &Path) -> ImageRoot {
        ImageRoot::open_existing(dir).unwrap().unwrap()
    }

    #[test]
    fn what_is_not_published_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        let staging = Staging::new(&root, "web").unwrap();
        mkdirat(staging.dir(), "d", Mode::empty()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        drop(staging);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn publishing_leaves_only_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        let name = "web";
        let staging = Staging::new(&root, name).unwrap();
        staging.publish(name, None, false).unwrap();
        drop(staging);
        let hoisted = "top";
        let staging = Staging::new(&root, hoisted).unwrap();
        mkdirat(staging.dir(), "inner", Mode::RWXU).unwrap();
        staging
            .publish(hoisted, Some(OsStr::new("inner")), true)
            .unwrap();
        drop(staging);
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["top", "web"]);
    }

    #[test]
    fn an_image_that_appeared_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        let name = "web";
        let staging = Staging::new(&root, name).unwrap();
        fs::create_dir(dir.path().join("web")).unwrap();
        fs::write(dir.path().join("web/file"), "x").unwrap();
        let error = staging.publish(name, None, false).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        drop(staging);
        assert!(dir.path().join("web/file").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
