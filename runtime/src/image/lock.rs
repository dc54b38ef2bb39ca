//! Lock files beside images.
//!
//! They are the ones that systemd-nspawn, machined and importd take for the image `NAME`:
//! `.#NAME.lck` in the image's directory, held by an open-file-description lock, removed
//! by whoever lets go of it. A lock ends with the last process that has it open.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

/// A lock file that is held exclusively.
#[derive(Debug)]
pub(super) struct LockFile {
    file: OwnedFd,
    dir: OwnedFd,
    name: String,
}

/// The name of the lock file for what is called `name`.
pub(super) fn lock_name(name: &str) -> String {
    format!(".#{name}.lck")
}

impl LockFile {
    /// Takes the lock file `name`, which is made if it is missing; `None` if it is held.
    pub(super) fn take(dir: BorrowedFd<'_>, name: &str) -> io::Result<Option<Self>> {
        Self::take_with(dir, name, OFlags::CREATE)
    }

    /// Takes the lock file `name` if it exists and is not held.
    pub(super) fn take_existing(dir: BorrowedFd<'_>, name: &str) -> io::Result<Option<Self>> {
        match Self::take_with(dir, name, OFlags::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            taken => taken,
        }
    }

    fn take_with(dir: BorrowedFd<'_>, name: &str, how: OFlags) -> io::Result<Option<Self>> {
        let how = how | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        loop {
            let file = openat(dir, name, how, Mode::RUSR | Mode::WUSR)?;
            if !lock(&file)? {
                return Ok(None);
            }
            // Who held it before may have removed it between our open and our lock.
            if is_at(&file, dir, name)? {
                let dir = dir.try_clone_to_owned()?;
                let name = name.to_owned();
                return Ok(Some(Self { file, dir, name }));
            }
        }
    }

    /// The descriptor that holds the lock, for a process that shares it.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Left behind it does no harm: the next sweep finds it free.
        let _ = unlinkat(&self.dir, OsStr::new(&self.name), AtFlags::empty());
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the constants fit the fields that the system declares for them"
)]
fn lock(file: &OwnedFd) -> io::Result<bool> {
    let whole_file = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file)) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_at(file: &OwnedFd, dir: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    let ours = fstat(file)?;
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_refused_and_a_dropped_one_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap();
        let held = LockFile::take(fd.as_fd(), ".#a.lck").unwrap().unwrap();
        assert!(LockFile::take(fd.as_fd(), ".#a.lck").unwrap().is_none());
        assert!(LockFile::take(fd.as_fd(), ".#b.lck").unwrap().is_some());
        drop(held);
        assert!(
            LockFile::take_existing(fd.as_fd(), ".#a.lck")
                .unwrap()
                .is_none()
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_the_lock_files_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap();
        std::os::unix::fs::symlink("target", dir.path().join(".#a.lck")).unwrap();
        assert!(LockFile::take(fd.as_fd(), ".#a.lck").is_err());
        assert!(!dir.path().join("target").exists());
    }
}
