//! Passing packets on, for as long as a machine needs it. What was changed of the host's sysctls is
//! recorded, and put back with the last machine: all that need it hold a lock on the record. It does
//! not lie below the state root, since the sysctls are the host's, whoever has changed them; they are
//! those of one network namespace, whose number is in the record's name.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nsrun_netns::forwarding::{self, Change, Family};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};
use crate::lock::{LockFile, Mode, make_dir};

const DIR: &str = "/run/nsrun";

/// The record, and the lock on it.
#[derive(Clone, Debug)]
struct Place {
    record: PathBuf,
    lock: PathBuf,
}

impl Place {
    /// Those of the network namespace that this thread is in.
    fn here() -> Result<Self> {
        let namespace = "/proc/thread-self/ns/net";
        let number = fs::metadata(namespace).cannot(|| format!("look at {namespace}"))?;
        let record = format!("{DIR}/forwarding-{}", number.ino());
        Ok(Self {
            lock: format!("{record}.lock").into(),
            record: record.into(),
        })
    }

    fn take(&self, mode: Mode) -> Result<Option<LockFile>> {
        LockFile::take(&self.lock, mode).cannot(|| format!("lock {}", self.lock.display()))
    }
}

/// Puts back what machines have changed that are all gone, such as by SIGKILL.
///
/// # Errors
/// If the record's lock cannot be looked at.
pub fn put_back_forwarding() -> Result<()> {
    let place = Place::here()?;
    if place.record.exists()
        && let Some(_alone) = place.take(Mode::Exclusive)?
    {
        put_back(&place);
    }
    Ok(())
}

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
    place: Place,
    lock: Option<LockFile>,
}

impl Forwarding {
    /// Has the host pass packets on.
    ///
    /// # Errors
    /// If the sysctls or the record cannot be written.
    pub(super) fn begin() -> Result<Self> {
        make_dir(Path::new(DIR), 0o755).cannot(|| format!("make {DIR}"))?;
        let place = Place::here()?;
        for _ in 0..ROUNDS {
            // Where others hold it, they have seen to it.
            if let Some(_alone) = place.take(Mode::Exclusive)? {
                enable(&place)?;
            }
            match place.take(Mode::Shared)? {
                Some(lock) if is_on() => {
                    let lock = Some(lock);
                    return Ok(Self { place, lock });
                }
                // Somebody is about to, or has put it back between the two.
                _ => sleep(PAUSE),
            }
        }
        Err(Error::new(
            Kind::Busy,
            format!("cannot lock {}: it is held", place.lock.display()),
        ))
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        drop(self.lock.take());
        // With others there, this does nothing. A failure leaves it to the next command.
        if let Ok(Some(_alone)) = self.place.take(Mode::Exclusive) {
            put_back(&self.place);
        }
    }
}

fn enable(place: &Place) -> Result<()> {
    let mut changes = Vec::new();
    let mut enable_all = || {
        for family in [Family::V4, Family::V6] {
            let changed = forwarding::enable(family);
            changes.extend(changed.map_err(|e| Error::new(Kind::Failed, e.to_string()))?);
        }
        match changes.as_slice() {
            [] => Ok(()),
            changed => note(place, changed).cannot(|| format!("write {}", place.record.display())),
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
fn note(place: &Place, changes: &[Change]) -> io::Result<()> {
    let mut all = recorded(place);
    all.extend(changes.iter().map(|change| Recorded {
        key: change.key.clone(),
        before: change.before.clone(),
        after: change.after.clone(),
    }));
    let new = place.record.with_extension("new");
    fs::write(&new, serde_json::to_vec(&all)?)?;
    fs::rename(new, &place.record)
}

fn recorded(place: &Place) -> Vec<Recorded> {
    let text = fs::read(&place.record).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn put_back(place: &Place) {
    let changes: Vec<Change> = recorded(place)
        .into_iter()
        .map(|Recorded { key, before, after }| Change { key, before, after })
        .collect();
    if forwarding::restore(&changes).is_ok() {
        let _ = fs::remove_file(&place.record);
    }
}
