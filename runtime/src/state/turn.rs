//! Taking turns at what cannot be done at once: the kernel takes the same address for
//! two links, so choosing a free subnet and setting it up must not overlap with another
//! command's.

use std::thread::sleep;
use std::time::Duration;

use rustix::fs::OFlags;

use super::dir::Dir;
use crate::error::{Context, Result};
use crate::sys::ofd::{Mode, OfdLock};

const FILE: &str = "turn";

const FILE_MODE: u32 = 0o600;

/// A turn takes about a millisecond.
const PAUSE: Duration = Duration::from_micros(500);

/// Whoever has the turn for half a second is stopped. Going ahead then risks that two
/// machines get the same subnet, waiting on would hang every start.
const ROUNDS: usize = 1000;

/// The turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: Option<OfdLock>,
}

impl Turn {
    pub(super) fn wait(run: &Dir) -> Result<Self> {
        for _ in 0..ROUNDS {
            let what = || format!("lock {}", run.path().join(FILE).display());
            let file = run.open_file(FILE, OFlags::RDWR | OFlags::CREATE, FILE_MODE);
            let lock = file.and_then(|file| OfdLock::try_take(file.into(), Mode::Exclusive));
            let lock = lock.cannot(what)?;
            if lock.is_some() {
                return Ok(Self { _lock: lock });
            }
            sleep(PAUSE);
        }
        Ok(Self { _lock: None })
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
                        assert!(turn._lock.is_some());
                    }
                });
            }
        });
    }

    #[test]
    fn a_holder_that_never_lets_go_stops_nobody() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::create_at(root.path()).unwrap();
        let _held = Turn::wait(&dir).unwrap();
        assert!(Turn::wait(&dir).unwrap()._lock.is_none());
    }
}
