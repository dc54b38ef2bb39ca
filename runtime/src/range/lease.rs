//! Holding a range for as long as a machine runs.

use std::path::{Path, PathBuf};

use super::etc_lock::{self, EtcLock};
use super::{Accounts, FIRST_BASE, LAST_BASE, Range, SIZE, candidates};
use crate::error::{Context, Error, Kind, Result};
use crate::lock::{LockFile, Mode, make_dir};
use crate::name::MachineName;

/// Where systemd-nspawn locks the ranges that it has picked.
pub(crate) const LOCK_DIR: &str = "/run/systemd/nspawn-uid";

const LOCK_DIR_MODE: u32 = 0o755;

/// Blocks that one machine can hold: each takes two of the 1024 descriptors that a process has.
const MOST_BLOCKS: usize = 64;

/// The ranges of this host.
#[derive(Clone, Debug)]
pub struct Ranges {
    lock_dir: PathBuf,
    etc: PathBuf,
}

impl Default for Ranges {
    fn default() -> Self {
        Self {
            lock_dir: LOCK_DIR.into(),
            etc: "/etc".into(),
        }
    }
}

/// A range that nobody else picks while this value lives.
#[derive(Debug)]
pub struct RangeLease {
    range: Range,
    _files: Vec<LockFile>,
}

impl RangeLease {
    /// The range.
    #[must_use]
    pub fn range(&self) -> Range {
        self.range
    }
}

impl Ranges {
    /// Picks a range for a machine that no account has, and no container of nsrun or of
    /// systemd-nspawn. `shifted_to` is the base that its tree is shifted to, if so; see
    /// [`super::owner_base`]. Before a range's lock file is made, `intend` is told of it.
    ///
    /// # Errors
    /// Of kind [`Kind::Busy`] if all that were tried are taken, or the host's accounts are being
    /// changed all the time; if `intend` fails, or the lock files or the account files cannot
    /// be used.
    pub fn pick(
        &self,
        name: &MachineName,
        shifted_to: Option<u32>,
        mut intend: impl FnMut(&Path) -> Result<()>,
    ) -> Result<RangeLease> {
        self.make_lock_dir()?;
        // Else an account could get ids of the range between the look and the lock.
        let _etc = EtcLock::take(&self.etc, etc_lock::PATIENCE)?;
        let accounts = Accounts::read(&self.etc)?;
        for base in candidates(name, shifted_to, random) {
            let Some(range) = Range::new(base, SIZE).filter(|r| !accounts.collide_with(*r)) else {
                continue;
            };
            let path = self.lock_file(base);
            intend(&path)?;
            if let Some(file) = lock(&path, Mode::Exclusive)? {
                return Ok(RangeLease {
                    range,
                    _files: vec![file],
                });
            }
        }
        let what = format!("cannot pick an id range for {name}: every one that was tried is taken");
        Err(Error::new(Kind::Busy, what).hint("name one with --private-users=BASE"))
    }

    /// Holds the range that the user chose. Machines may share it, as they chose so, but
    /// it keeps others from picking any of it.
    ///
    /// # Errors
    /// Of kind [`Kind::Busy`] if a container has picked part of it; [`Kind::Usage`] if it
    /// cannot be held, see [`Range::check_holdable`]; if `intend` fails, or a lock file cannot
    /// be made.
    pub fn hold(
        &self,
        range: Range,
        mut intend: impl FnMut(&Path) -> Result<()>,
    ) -> Result<RangeLease> {
        range.check_holdable()?;
        self.make_lock_dir()?;
        let mut files = Vec::new();
        for base in pickable_bases(range) {
            let path = self.lock_file(base);
            intend(&path)?;
            let file = lock(&path, Mode::Shared)?.ok_or_else(|| {
                let what = format!("id range {range} is in use by another container");
                Error::new(Kind::Busy, what).hint("choose another one, or let nsrun pick")
            })?;
            files.push(file);
        }
        Ok(RangeLease {
            range,
            _files: files,
        })
    }

    fn make_lock_dir(&self) -> Result<()> {
        make_dir(&self.lock_dir, LOCK_DIR_MODE)
            .cannot(|| format!("create {}", self.lock_dir.display()))
    }

    fn lock_file(&self, base: u32) -> PathBuf {
        self.lock_dir.join(base.to_string())
    }
}

fn lock(path: &Path, mode: Mode) -> Result<Option<LockFile>> {
    LockFile::take(path, mode).cannot(|| format!("lock {}", path.display()))
}

impl Range {
    /// Checks that the range can be kept from being picked by others: there is a lock for each
    /// block of 65536 ids that could be.
    ///
    /// # Errors
    /// [`Kind::Usage`] if there are more of them than a process has descriptors for.
    pub fn check_holdable(self) -> Result<()> {
        if pickable_bases(self).nth(MOST_BLOCKS).is_none() {
            return Ok(());
        }
        let what = format!("cannot hold the id range {self}: other containers could pick of it");
        Err(Error::new(Kind::Usage, what).hint(format!(
            "take at most {MOST_BLOCKS} blocks of {SIZE} between {FIRST_BASE} and {}",
            LAST_BASE + (SIZE - 1)
        )))
    }
}

/// The bases that picking could choose and that lie in the range, at least in part.
fn pickable_bases(range: Range) -> impl Iterator<Item = u32> {
    let block = |id: u32| id / SIZE;
    let first = block(range.base()).max(block(FIRST_BASE));
    let last = block(range.last()).min(block(LAST_BASE));
    (first..=last).map(|block| block * SIZE)
}

/// Without randomness a collision would repeat; the clock then serves as well, since
/// only another range is wanted, not a secret.
fn random() -> u32 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(4) => u32::from_ne_bytes(bytes),
        _ => std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |t| t.subsec_nanos().rotate_left(16)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Host {
        root: tempfile::TempDir,
    }

    impl Host {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            Self { root }
        }

        fn ranges(&self) -> Ranges {
            Ranges {
                lock_dir: self.root.path().join("locks"),
                etc: self.root.path().to_owned(),
            }
        }

        fn pick(&self, name: &str) -> RangeLease {
            let name = name.parse().unwrap();
            self.ranges().pick(&name, None, |_| Ok(())).unwrap()
        }

        fn hold(&self, base: u32, len: u32) -> Result<RangeLease> {
            let range = Range::new(base, len).unwrap();
            self.ranges().hold(range, |_| Ok(()))
        }

        fn lock_files(&self) -> usize {
            std::fs::read_dir(self.root.path().join("locks"))
                .unwrap()
                .count()
        }
    }

    /// Where systemd-nspawn puts the machine `web`; see the test of candidates.
    const WEB: u32 = 1_587_085_312;

    #[test]
    fn the_lock_file_is_that_of_nspawn() {
        let file = Ranges::default().lock_file(WEB);
        assert_eq!(file, Path::new("/run/systemd/nspawn-uid/1587085312"));
    }

    #[test]
    fn a_free_range_is_the_same_each_time_and_leaves_nothing() {
        let host = Host::new();
        for _ in 0..2 {
            assert_eq!(host.pick("web").range(), Range::new(WEB, SIZE).unwrap());
            assert_eq!(host.lock_files(), 0);
        }
    }

    #[test]
    fn a_locked_range_leads_to_another() {
        let host = Host::new();
        let first = host.pick("web");
        let second = host.pick("web");
        assert_ne!(first.range(), second.range());
        assert_eq!(host.lock_files(), 2);
    }

    #[test]
    fn a_range_with_an_account_leads_to_another() {
        let host = Host::new();
        std::fs::write(host.root.path().join("passwd"), "u:x:1587085400:1::/:\n").unwrap();
        assert_ne!(host.pick("web").range().base(), WEB);
    }

    #[test]
    fn intent_is_told_before_the_file_is_made() {
        let host = Host::new();
        let mut told = Vec::new();
        let name = "web".parse().unwrap();
        let lease = host.ranges().pick(&name, None, |path| {
            assert!(!path.exists());
            told.push(path.to_owned());
            Ok(())
        });
        assert_eq!(told, [host.ranges().lock_file(WEB)]);
        drop(lease);
        let refused = |_: &Path| Err(Error::new(Kind::Failed, "no"));
        assert!(host.ranges().pick(&name, None, refused).is_err());
        assert_eq!(host.lock_files(), 0);
    }

    #[test]
    fn a_fixed_range_is_shared_by_choice_and_never_picked() {
        let host = Host::new();
        let first = host.hold(WEB + 7, 1).unwrap();
        let second = host.hold(WEB - SIZE, 2 * SIZE).unwrap();
        assert_ne!(host.pick("web").range().base(), WEB);
        drop((first, second));
        assert_eq!(host.lock_files(), 0);

        let _picked = host.pick("web");
        let error = host.hold(WEB - 1, 2).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        assert_eq!(
            error.to_string(),
            "id range 1587085311:2 is in use by another container"
        );
        assert_eq!(host.lock_files(), 1);
    }

    #[test]
    fn only_what_could_be_picked_is_locked() {
        let bases = |base, len| pickable_bases(Range::new(base, len).unwrap()).collect::<Vec<_>>();
        assert_eq!(bases(0, SIZE), [0; 0]);
        assert_eq!(bases(FIRST_BASE - 1, 2), [FIRST_BASE]);
        assert_eq!(bases(LAST_BASE, 2 * SIZE), [LAST_BASE]);
        assert_eq!(bases(0x7000_0000, SIZE), [0; 0]);
        assert_eq!(bases(WEB + 1, SIZE), [WEB, WEB + SIZE]);
        assert_eq!(bases(0, u32::MAX).len(), 28_664);
    }

    #[test]
    fn a_range_is_held_in_every_block_or_refused() {
        let host = Host::new();
        let held = host.hold(WEB, 64 * SIZE).unwrap();
        assert_eq!(host.lock_files(), 64);
        drop(held);
        for (base, len) in [(WEB, 64 * SIZE + 1), (WEB + 1, 64 * SIZE), (0, u32::MAX)] {
            let error = host.hold(base, len).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.advice().unwrap().contains("at most 64 blocks"));
            assert_eq!(host.lock_files(), 0);
        }
        // Nothing of it could be picked.
        host.hold(0x7000_0000, 1 << 30).unwrap();
    }

    #[test]
    fn picking_locks_the_accounts_and_lets_go_of_them() {
        let host = Host::new();
        let lease = host.pick("web");
        EtcLock::take(host.root.path(), std::time::Duration::ZERO).unwrap();
        drop(lease);
        assert!(host.root.path().join(".pwd.lock").exists());
    }
}
