//! Open file description locks on whole files (fcntl(2), `F_OFD_SETLK`).
//!
//! They belong to the description, not to the process: the kernel releases one when the
//! last descriptor of it is closed, by `kill -9` too, and two descriptions of one process
//! exclude each other. systemd uses the same kind, so both sides see each other's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// Who else may hold the lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Other shared holders. The descriptor must be open for reading.
    Shared,
    /// Nobody. The descriptor must be open for writing.
    Exclusive,
}

/// A held lock. Dropping it releases the lock even while a child that was just forked
/// still has the descriptor; for the same reason a child must never drop one.
#[derive(Debug)]
pub(crate) struct OfdLock {
    file: OwnedFd,
}

impl OfdLock {
    /// Takes the lock without waiting; `None` if someone else's stands in the way.
    pub(crate) fn try_take(file: OwnedFd, mode: Mode) -> io::Result<Option<Self>> {
        let taken = set(file.as_fd(), mode)?;
        Ok(taken.then_some(Self { file }))
    }

    /// Turns a shared lock into an exclusive one without waiting; `false` if there are
    /// other holders. The shared lock stays then.
    pub(crate) fn try_upgrade(&self) -> io::Result<bool> {
        set(self.file.as_fd(), Mode::Exclusive)
    }
}

impl Drop for OfdLock {
    fn drop(&mut self) {
        // Closing, which follows, releases it as well, unless a child has the descriptor.
        let _ = fcntl(
            &self.file,
            FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)),
        );
    }
}

impl AsFd for OfdLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether another description holds any lock on the file. Takes none, so that looking
/// never gets into the way of someone who wants the lock.
pub(crate) fn is_held(file: BorrowedFd<'_>) -> io::Result<bool> {
    let mut query = whole_file(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut query))?;
    Ok(i32::from(query.l_type) != libc::F_UNLCK)
}

fn set(file: BorrowedFd<'_>, mode: Mode) -> io::Result<bool> {
    let kind = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(kind))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: small(kind),
        l_whence: small(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        // Must be zero for this kind of lock.
        l_pid: 0,
    }
}

/// The lock constants are ints in libc but shorts in `struct flock`; all are below 4.
fn small(constant: i32) -> i16 {
    i16::try_from(constant).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn open(file: &tempfile::NamedTempFile) -> OwnedFd {
        let options = File::options().read(true).write(true).open(file.path());
        options.unwrap().into()
    }

    #[test]
    fn one_exclusive_holder_at_a_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = OfdLock::try_take(open(&file), Mode::Exclusive).unwrap();
        assert!(first.is_some());
        assert!(is_held(open(&file).as_fd()).unwrap());
        for mode in [Mode::Exclusive, Mode::Shared] {
            assert!(OfdLock::try_take(open(&file), mode).unwrap().is_none());
        }
        drop(first);
        assert!(!is_held(open(&file).as_fd()).unwrap());
        assert!(
            OfdLock::try_take(open(&file), Mode::Exclusive)
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn dropping_releases_whoever_else_has_the_descriptor() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = OfdLock::try_take(open(&file), Mode::Exclusive);
        let held = held.unwrap().unwrap();
        let _inherited = held.as_fd().try_clone_to_owned().unwrap();
        drop(held);
        assert!(!is_held(open(&file).as_fd()).unwrap());
    }

    #[test]
    fn shared_holders_bar_an_upgrade_until_they_leave() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = OfdLock::try_take(open(&file), Mode::Shared)
            .unwrap()
            .unwrap();
        let second = OfdLock::try_take(open(&file), Mode::Shared)
            .unwrap()
            .unwrap();
        assert!(!first.try_upgrade().unwrap());
        drop(second);
        assert!(first.try_upgrade().unwrap());
        assert!(
            OfdLock::try_take(open(&file), Mode::Shared)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn looking_does_not_stand_in_the_way() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let looker = File::open(file.path()).unwrap();
        assert!(!is_held(looker.as_fd()).unwrap());
        assert!(
            OfdLock::try_take(open(&file), Mode::Exclusive)
                .unwrap()
                .is_some()
        );
    }
}
