//! Limits of the host that many machines run into together.
//!
//! Before a system boots it is computed whether there is enough for it. What may be raised is
//! raised, and put back when the last machine has ended. Each machine holds a shared lock on a
//! file that says what was raised; whoever can lock that file alone puts the values back and
//! removes it. So a machine that was killed does not keep them raised: the next command of any kind
//! finds the file and nobody who holds it.

mod need;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::need::{LIMITS, Limit, Used, Verdict};
use crate::error::{Context, Error, Kind, Result};
use crate::lock::{LockFile, Mode, make_dir};

/// Not below the state root: the limits are the host's, whoever has raised them.
const RECORD: &str = "/run/nsrun/host-limits";

/// Putting values back takes less than a millisecond.
const PAUSE: Duration = Duration::from_millis(1);
const ROUNDS: usize = 1000;

/// A machine's share in what was raised.
#[derive(Debug)]
pub(crate) struct Share {
    lock: Option<LockFile>,
    places: Places,
}

/// Where the kernel tells its limits, and where it is noted what they were.
#[derive(Clone, Debug)]
struct Places {
    sys: PathBuf,
    tasks: PathBuf,
    record: PathBuf,
}

impl Places {
    fn of_host() -> Self {
        Self {
            sys: "/proc/sys".into(),
            tasks: "/proc/loadavg".into(),
            record: RECORD.into(),
        }
    }
}

/// What a machine that is about to boot adds to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    /// How many there are, itself included.
    pub(crate) machines: u64,
    /// It has a link of its own.
    pub(crate) linked: bool,
}

impl Share {
    /// Sees to it that there is enough for one more machine. What there is too little of, and may
    /// not or cannot be raised, is told. To be called by one command at a time.
    ///
    /// # Errors
    /// If it cannot be noted what was raised.
    pub(crate) fn take(crowd: Crowd, tell: &mut dyn FnMut(&str)) -> Result<Self> {
        Self::take_at(Places::of_host(), crowd, tell)
    }

    fn take_at(places: Places, crowd: Crowd, tell: &mut dyn FnMut(&str)) -> Result<Self> {
        let path = &places.record;
        let what = || format!("lock {}", path.display());
        make_dir(path.parent().unwrap_or(path), 0o755).cannot(what)?;
        let mut lock = wait(path)
            .cannot(what)?
            .ok_or_else(|| Error::new(Kind::Busy, format!("{} is in use", path.display())))?;
        lock.keep_file();
        let share = Self {
            lock: Some(lock),
            places,
        };
        for limit in &LIMITS {
            if limit.for_links && !crowd.linked {
                continue;
            }
            if let Some(text) = share.provide(limit, crowd.machines)? {
                tell(&text);
            }
        }
        Ok(share)
    }

    /// Makes sure of one limit; what to say if there is too little.
    fn provide(&self, limit: &Limit, machines: u64) -> Result<Option<String>> {
        let (Some(value), Some(used)) = (self.places.value(limit), self.places.used(limit)) else {
            // This kernel has no such limit, or not in this namespace.
            return Ok(None);
        };
        let Verdict::TooLow { fits } = limit.judge(value, used, machines) else {
            return Ok(None);
        };
        let ample = limit.ample(machines);
        let why = match limit.may_be_raised {
            true => match self.places.raise(limit, value, ample)? {
                Ok(()) => return Ok(None),
                Err(error) => format!(" (it cannot be raised: {error})"),
            },
            false => String::new(),
        };
        let name = limit.name();
        Ok(Some(format!(
            "the host's {name} of {value} is enough for about {fits} machines, and this is the \
             {machines}th{why}; `sysctl {name}={}` makes room",
            ample.max(value.saturating_mul(2))
        )))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        drop(self.lock.take());
        // The next command tries again.
        let _ = self.places.put_back();
    }
}

/// Waits while somebody puts values back.
fn wait(path: &Path) -> io::Result<Option<LockFile>> {
    for _ in 0..ROUNDS {
        if let Some(lock) = LockFile::take(path, Mode::Shared)? {
            return Ok(Some(lock));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(None)
}

/// Puts back what was raised for machines that are all gone.
///
/// # Errors
/// If a value cannot be put back.
pub fn put_back() -> Result<()> {
    Places::of_host().put_back()
}

impl Places {
    fn value(&self, limit: &Limit) -> Option<u64> {
        number(&self.sys.join(limit.file))
    }

    fn used(&self, limit: &Limit) -> Option<u64> {
        match limit.used {
            Used::Estimated { .. } => Some(0),
            Used::Told { file, .. } => number(&self.sys.join(file)),
            // 0.00 0.01 0.05 1/123 4567: the second number behind the loads.
            Used::Tasks => {
                let text = fs::read_to_string(&self.tasks).ok()?;
                let (_, all) = text.split_whitespace().nth(3)?.split_once('/')?;
                all.parse().ok()
            }
        }
    }

    /// Notes the value, then raises it; whether the kernel lets us is the inner result. A line in
    /// vain is harmless: putting a value back that was not changed changes nothing.
    fn raise(&self, limit: &Limit, from: u64, to: u64) -> Result<io::Result<()>> {
        let what = || format!("write {}", self.record.display());
        let mut record = File::options()
            .append(true)
            .open(&self.record)
            .cannot(what)?;
        let line = format!("{} {from} {to}\n", limit.file);
        record.write_all(line.as_bytes()).cannot(what)?;
        Ok(fs::write(self.sys.join(limit.file), to.to_string()))
    }

    fn put_back(&self) -> Result<()> {
        let path = &self.record;
        let alone = match LockFile::take_existing(path, Mode::Exclusive) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            taken => taken.cannot(|| format!("lock {}", path.display()))?,
        };
        let Some(mut alone) = alone else {
            return Ok(());
        };
        let what = || format!("put back the limits in {}", path.display());
        let restored = fs::read_to_string(path).and_then(|text| self.restore(&text));
        if restored.is_err() {
            alone.keep_file();
        }
        restored.cannot(what)
    }

    /// A value that somebody else has changed since is theirs.
    fn restore(&self, record: &str) -> io::Result<()> {
        for (file, (before, raised)) in parse(record) {
            let path = self.sys.join(file);
            if number(&path) == Some(raised) {
                fs::write(path, before.to_string())?;
            }
        }
        Ok(())
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// For each limit what it was at first, and what it was raised to at last.
fn parse(record: &str) -> BTreeMap<&'static str, (u64, u64)> {
    let mut limits = BTreeMap::new();
    for line in record.lines() {
        let mut words = line.split(' ');
        let (Some(file), Some(from), Some(to)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let known = LIMITS
            .iter()
            .find(|limit| limit.may_be_raised && limit.file == file);
        if let (Some(limit), Ok(from), Ok(to)) = (known, from.parse(), to.parse()) {
            limits.entry(limit.file).or_insert((from, to)).1 = to;
        }
    }
    limits
}

#[cfg(test)]
mod tests;
