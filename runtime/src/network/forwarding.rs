//! Passing packets on, for as long as a machine needs it. What was changed of the host's sysctls is
//! recorded, and put back with the last machine: all that need it hold a lock on the record. It does
//! not lie below the state root, since the sysctls are the host's, whoever has changed them.

use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nsrun_netns::forwarding::{self, Change, Family};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};
use crate::lock::{LockFile, Mode, make_dir};

const DIR: &str = "/run/nsrun";
const LOCK: &str = "/run/nsrun/forwarding.lock";
const RECORD: &str = "/run/nsrun/forwarding";

/// Somebody who is the last or the first has the lock alone for about a millisecond.
const PAUSE: Duration = Duration::from_millis(1);
const ROUNDS: usize = 1000;

/// A change as it is recorded.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    key: String,
    before: String,
    after: String,
}

/// A machine's share in it.
#[derive(Debug)]
pub(super) struct Forwarding {
    lock: Option<LockFile>,
}

impl Forwarding {
    /// Has the host pass packets on.
    ///
    /// # Errors
    /// If the sysctls or the record cannot be written.
    pub(super) fn begin() -> Result<Self> {
        make_dir(Path::new(DIR), 0o755).cannot(|| format!("make {DIR}"))?;
        for _ in 0..ROUNDS {
            // Where others hold it, they have seen to it.
            if let Some(_alone) = take(Mode::Exclusive)? {
                enable()?;
            }
            match take(Mode::Shared)? {
                Some(lock) if is_on() => return Ok(Self { lock: Some(lock) }),
                // Somebody is about to, or has put it back between the two.
                _ => sleep(PAUSE),
            }
        }
        Err(Error::new(
            Kind::Busy,
            format!("cannot lock {LOCK}: it is held"),
        ))
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        drop(self.lock.take());
        // With others there, this does nothing. A failure leaves it to the last of the next ones.
        if let Ok(Some(_alone)) = LockFile::take(Path::new(LOCK), Mode::Exclusive) {
            put_back();
        }
    }
}

fn take(mode: Mode) -> Result<Option<LockFile>> {
    LockFile::take(Path::new(LOCK), mode).cannot(|| format!("lock {LOCK}"))
}

fn enable() -> Result<()> {
    let mut changes = Vec::new();
    let mut enable_all = || {
        for family in [Family::V4, Family::V6] {
            let changed = forwarding::enable(family);
            changes.extend(changed.map_err(|e| Error::new(Kind::Failed, e.to_string()))?);
        }
        match changes.as_slice() {
            [] => Ok(()),
            changed => note(changed).cannot(|| format!("write {RECORD}")),
        }
    };
    let done = enable_all();
    if done.is_err() {
        // What is not recorded nobody would put back.
        let _ = forwarding::restore(&changes);
    }
    done
}

fn is_on() -> bool {
    fs::read("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.starts_with(b"1"))
}

/// Adds to what is recorded already, by machines that were killed.
fn note(changes: &[Change]) -> io::Result<()> {
    let mut all = recorded();
    all.extend(changes.iter().map(|change| Recorded {
        key: change.key.clone(),
        before: change.before.clone(),
        after: change.after.clone(),
    }));
    let new = format!("{RECORD}.new");
    fs::write(&new, serde_json::to_vec(&all)?)?;
    fs::rename(new, RECORD)
}

fn recorded() -> Vec<Recorded> {
    let text = fs::read(RECORD).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn put_back() {
    let changes: Vec<Change> = recorded()
        .into_iter()
        .map(|Recorded { key, before, after }| Change { key, before, after })
        .collect();
    if forwarding::restore(&changes).is_ok() {
        let _ = fs::remove_file(RECORD);
    }
}
