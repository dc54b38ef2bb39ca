//! Taking turns at what cannot be done at once: the kernel takes the same address for
//! two links, so choosing a free subnet and setting it up must not overlap with another
//! command's.

use std::thread::sleep;
use std::time::Duration;

use super::dir::Dir;
use crate::error::{Context, Result};
use crate::lock::{LockFile, Mode};

const FILE: &str = "turn";

/// A turn takes about a millisecond.
const PAUSE: Duration = Duration::from_micros(500);

/// Whoever has the turn for half a second is stopped. Going ahead then risks that two
/// machines get the same subnet, waiting on would hang every start.
const ROUNDS: usize = 1000;

/// The turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    lock: Option<LockFile>,
}

impl Turn {
    pub(super) fn wait(run: &Dir) -> Result<Self> {
        let path = run.path().join(FILE);
        for _ in 0..ROUNDS {
            let lock = LockFile::take(&path, Mode::Exclusive);
            let lock = lock.cannot(|| format!("lock {}", path.display()))?;
            if lock.is_some() {
                return Ok(Self { lock });
            }
            sleep(PAUSE);
        }
        Ok(Self { lock: None })
    }

    /// Whether others wait; `false` if the turn was not waited for any longer.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.lock.is_some()
    }

    /// Removes what a killed holder left.
    pub(super) fn sweep(run: &Dir) -> Result<()> {
        let path = run.path().join(FILE);
        LockFile::sweep(&path).cannot(|| format!("remove lock file {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_has_the_turn_and_everybody_gets_it() {
        let root = tempfile::tempdir().unwrap();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let dir = Dir::create_at(root.path()).unwrap();
                    for _ in 0..20 {
                        let turn = Turn::wait(&dir).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        assert!(turn.is_exclusive());
                    }
                });
            }
        });
    }

    #[test]
    fn a_holder_that_never_lets_go_stops_nobody() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::create_at(root.path()).unwrap();
        let held = Turn::wait(&dir).unwrap();
        assert!(!Turn::wait(&dir).unwrap().is_exclusive());
        drop(held);
        assert!(dir.names().unwrap().is_empty());
    }
}
