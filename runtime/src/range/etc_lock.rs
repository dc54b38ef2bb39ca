//! The lock on the host's accounts that lckpwdf(3) takes: useradd, vipw and systemd-nspawn do.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode as Permissions, OFlags};
use rustix::io::Errno;

use crate::error::{Context, Error, Kind, Result};
use crate::sys::ofd::{Mode, OfdLock};

const FILE: &str = ".pwd.lock";

/// How long lckpwdf(3) waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// The time between two tries. Programs hold the lock for milliseconds, and people in an editor.
const PAUSE: Duration = Duration::from_millis(5);

/// While this value lives, nobody else who asks for the lock adds accounts.
#[derive(Debug)]
pub(super) struct EtcLock {
    /// `None` where accounts cannot change. The file stays: everybody locks the same one.
    _lock: Option<OfdLock>,
}

impl EtcLock {
    /// Takes the lock below `etc`. Where that is missing or read-only there is nothing to keep
    /// from changing.
    ///
    /// # Errors
    /// Of kind [`Kind::Busy`] if somebody else has it for longer than `patience`; if its file
    /// cannot be opened.
    pub(super) fn take(etc: &Path, patience: Duration) -> Result<Self> {
        let path = etc.join(FILE);
        let what = || format!("lock the host's accounts by {}", path.display());
        let end = Instant::now() + patience;
        loop {
            let file = match open(&path) {
                Err(Errno::NOENT | Errno::ROFS) => return Ok(Self { _lock: None }),
                file => file.cannot(what)?,
            };
            if let Some(lock) = OfdLock::try_take(file, Mode::Exclusive).cannot(what)? {
                return Ok(Self { _lock: Some(lock) });
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let error = Error::new(Kind::Busy, "another program changes them");
                let path = path.display();
                let hint = format!("see who: fuser {path}; or name a range: --private-users=BASE");
                return Err(error).cannot(what).map_err(|e| e.hint(hint));
            }
            std::thread::sleep(PAUSE.min(left));
        }
    }
}

fn open(path: &Path) -> std::result::Result<OwnedFd, Errno> {
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Permissions::from_raw_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn take(etc: &Path) -> Result<EtcLock> {
        EtcLock::take(etc, Duration::ZERO)
    }

    #[test]
    fn one_at_a_time_has_it_and_its_file_stays() {
        let etc = tempfile::tempdir().unwrap();
        let held = take(etc.path()).unwrap();
        let error = take(etc.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        let path = etc.path().join(FILE);
        let wanted = format!(
            "cannot lock the host's accounts by {}: another program changes them",
            path.display()
        );
        assert_eq!(error.to_string(), wanted);
        assert!(error.advice().unwrap().starts_with("see who: fuser "));
        drop(held);
        take(etc.path()).unwrap();
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn it_is_waited_for() {
        let etc = tempfile::tempdir().unwrap();
        let held = take(etc.path()).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| EtcLock::take(etc.path(), PATIENCE).map(drop));
            drop(held);
            waiter.join().unwrap().unwrap();
        });
    }

    #[test]
    fn without_a_directory_nothing_is_locked() {
        let etc = tempfile::tempdir().unwrap();
        let lock = take(&etc.path().join("nowhere")).unwrap();
        assert!(lock._lock.is_none());
    }

    #[test]
    fn what_is_no_lock_file_is_refused() {
        let etc = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("passwd", etc.path().join(FILE)).unwrap();
        let error = take(etc.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
        assert!(!etc.path().join("passwd").exists());
    }
}
