//! A lock with a file of its own that disappears with its last holder.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, symlink_metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode as Permissions, OFlags, fstat, openat, statat, unlinkat};

use crate::sys::ofd::{Mode, OfdLock};

/// Each round means that a holder left between our opening its file and locking it.
const ROUNDS: usize = 100;

/// A held lock file.
#[derive(Debug)]
pub(crate) struct LockFile {
    dir: OwnedFd,
    name: OsString,
    lock: OfdLock,
    mode: Mode,
    stays: bool,
}

impl LockFile {
    /// Creates the file if need be and locks it without waiting; `None` if another
    /// holder stands in the way.
    ///
    /// A last holder deletes the file, so a lock on a deleted file protects nothing: it
    /// is given up and the file opened anew.
    pub(crate) fn take(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        Self::take_with(path, mode, OFlags::CREATE)
    }

    /// Like [`Self::take`], but creates no file: `None` too if there is none.
    pub(crate) fn take_existing(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        match Self::take_with(path, mode, OFlags::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            taken => taken,
        }
    }

    fn take_with(path: &Path, mode: Mode, creation: OFlags) -> io::Result<Option<Self>> {
        let (dir, name) = split(path)?;
        let dir = rustix::fs::open(
            dir,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Permissions::empty(),
        )?;
        for _ in 0..ROUNDS {
            let file = open(dir.as_fd(), name, creation)?;
            let Some(lock) = OfdLock::try_take(file, mode)? else {
                return Ok(None);
            };
            if is_current(dir.as_fd(), name, lock.as_fd())? {
                let name = name.to_owned();
                return Ok(Some(Self {
                    dir,
                    name,
                    lock,
                    mode,
                    stays: false,
                }));
            }
        }
        Ok(None)
    }

    /// Leaves the file where it is when the lock is let go.
    pub(crate) fn keep_file(&mut self) {
        self.stays = true;
    }

    /// Removes the file that a killed holder left, unless somebody holds it now.
    pub(crate) fn sweep(path: &Path) -> io::Result<()> {
        match symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(_) => Self::take(path, Mode::Exclusive).map(drop),
        }
    }
}

impl AsFd for LockFile {
    /// The descriptor that holds the lock, for a child that shall hold it too.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

impl Drop for LockFile {
    /// Deletes the file while the lock is still held, so that nobody can lock it in
    /// between. Failure is harmless: an unheld file bars nobody.
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        let alone = self.mode == Mode::Exclusive || self.lock.try_upgrade().unwrap_or(false);
        let current = is_current(self.dir.as_fd(), &self.name, self.lock.as_fd());
        if alone && current.unwrap_or(false) {
            let _ = unlinkat(&self.dir, &self.name, AtFlags::empty());
        }
    }
}

/// Makes the directory for lock files of that mode, and those above it.
pub(crate) fn make_dir(dir: &Path, mode: u32) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)?;
    }
    match DirBuilder::new().mode(mode).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(name)) if !dir.as_os_str().is_empty() => Ok((dir, name)),
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

/// The flags keep whatever else may lie there, a symlink or a fifo, from being followed
/// or from blocking.
fn open(dir: BorrowedFd<'_>, name: &OsStr, creation: OFlags) -> io::Result<OwnedFd> {
    let flags = creation
        | OFlags::RDWR
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Permissions::from(0o600))?;
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

/// Whether the locked file is the one that others would find.
fn is_current(dir: BorrowedFd<'_>, name: &OsStr, file: BorrowedFd<'_>) -> io::Result<bool> {
    let ours = fstat(file)?;
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok((found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path, mode: Mode) -> Option<LockFile> {
        LockFile::take(path, mode).unwrap()
    }

    #[test]
    fn the_file_goes_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = take(&path, Mode::Exclusive).unwrap();
        assert!(path.exists());
        assert!(take(&path, Mode::Exclusive).is_none());
        assert!(take(&path, Mode::Shared).is_none());
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn the_last_of_several_shared_holders_removes_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let (first, second) = (take(&path, Mode::Shared), take(&path, Mode::Shared));
        assert!(take(&path, Mode::Exclusive).is_none());
        drop(first.unwrap());
        assert!(path.exists());
        drop(second.unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_on_a_deleted_file_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = take(&path, Mode::Exclusive).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = take(&path, Mode::Exclusive).unwrap();
        drop(first);
        assert!(
            path.exists(),
            "the first holder must leave the second's file alone"
        );
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn sweeping_removes_only_what_nobody_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        LockFile::sweep(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        let held = take(&path, Mode::Shared).unwrap();
        LockFile::sweep(&path).unwrap();
        assert!(path.exists());
        drop(held);
        std::fs::write(&path, "").unwrap();
        LockFile::sweep(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn taking_an_existing_lock_creates_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let taken = LockFile::take_existing(&path, Mode::Exclusive);
        assert!(taken.unwrap().is_none());
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        let taken = LockFile::take_existing(&path, Mode::Exclusive);
        assert!(taken.unwrap().is_some());
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(LockFile::take(&link, Mode::Exclusive).is_err());
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            FileType::Fifo,
            Permissions::from(0o600),
            0,
        )
        .unwrap();
        assert!(LockFile::take(&fifo, Mode::Exclusive).is_err());
        assert!(LockFile::take(dir.path(), Mode::Exclusive).is_err());
        assert!(LockFile::take(Path::new("relative"), Mode::Exclusive).is_err());
    }

    #[test]
    fn many_contenders_never_hold_it_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        let entered = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Some(held) = take(&path, Mode::Exclusive) {
                            let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            assert_eq!(others, 0);
                            entered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                            drop(held);
                        }
                    }
                });
            }
        });
        assert!(entered.into_inner() > 0);
        assert!(!path.exists());
    }
}
