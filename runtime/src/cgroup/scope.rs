//! The owner of a machine's cgroup.

use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::dir::Dir;
use super::home::{Home, SLICE, remove_slice};
use super::host::{Host, Placement};
use super::machine::{MachineCgroup, remove_payload};
use super::options::ScopeOptions;
use super::{place, tree};
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;

/// How long a dropped scope waits for what it killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// A machine's cgroup that this process made and takes away: dropped, it kills what is
/// in the payload and removes all. [`Scope::remove`] does the same without killing, and
/// reports errors.
#[derive(Debug)]
pub struct Scope {
    machine: MachineCgroup,
    name: String,
    home: Home,
    entered: bool,
    removed: bool,
}

impl Scope {
    /// Makes the scope of `machine`, with an empty `payload`. The caller holds the lock on
    /// the machine's name.
    ///
    /// On a systemd host this process is in `supervisor` afterwards: a scope must not be
    /// without a process, and a unit with a process in it cannot offer controllers. A call
    /// to the bus is made from a runtime of its own, so not from within one; the process
    /// has no more threads afterwards than before.
    ///
    /// # Errors
    /// [`Kind::HostLacks`] if the host has no version 2, or no place for a machine, with
    /// what to do, or lacks what the options takes; [`Kind::Busy`] if the scope has processes already.
    pub fn create(machine: &MachineName, host: &Host, options: &ScopeOptions) -> Result<Self> {
        let made = place::make(machine, host, options)
            .cannot(|| format!("make a cgroup for machine {machine}"))?;
        Ok(Self {
            entered: !matches!(made.home, Home::Top { .. }),
            machine: MachineCgroup::new(made.path, made.dir, made.payload),
            name: place::scope_name(machine),
            home: made.home,
            removed: false,
        })
    }

    /// Moves this process, with all its threads, into `supervisor`, where it counts as the
    /// machine's. Without effect if it is there.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn enter_supervisor(&mut self) -> Result<()> {
        if !self.entered {
            place::enter(&self.machine.dir)?;
            self.entered = true;
        }
        Ok(())
    }

    /// Moves this process back to where it was when the scope was made. The payload's
    /// cgroup must have been removed. In a scope of systemd's it stays: the scope ends
    /// with it.
    ///
    /// # Errors
    /// What the kernel says.
    fn leave(&mut self) -> Result<()> {
        if self.entered {
            self.home
                .leave(&self.machine.dir)
                .cannot(|| format!("leave cgroup {}", self.path().display()))?;
            self.entered = false;
        }
        Ok(())
    }

    /// Removes the payload's cgroup and all that it made below, takes this process out and
    /// removes the rest.
    ///
    /// # Errors
    /// [`Kind::Busy`] if the payload has processes at `deadline` still.
    pub fn remove(mut self, deadline: Instant) -> Result<()> {
        self.removed = true;
        self.take_away(deadline)
    }

    fn take_away(&mut self, deadline: Instant) -> Result<()> {
        remove_payload(&self.machine.dir, deadline)?;
        self.leave()?;
        self.home
            .remove(&self.name, deadline)
            .cannot(|| format!("remove cgroup {}", self.path().display()))
    }
}

impl Deref for Scope {
    type Target = MachineCgroup;
    fn deref(&self) -> &MachineCgroup {
        &self.machine
    }
}

impl DerefMut for Scope {
    fn deref_mut(&mut self) -> &mut MachineCgroup {
        &mut self.machine
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if !self.removed {
            // What cannot be taken away now is found by its path later.
            let _ = self.machine.kill();
            let _ = self.take_away(Instant::now() + PATIENCE);
        }
    }
}

/// Ends what is left of a machine whose supervisor is gone, and removes its scope, by the
/// path that was recorded. Nothing left is success. The caller holds the machine's lock.
///
/// # Errors
/// [`Kind::Busy`] if a process does not end until `deadline`; [`Kind::BadInput`] if the
/// path is not that of a machine's scope.
pub fn sweep(path: &Path, host: &Host, deadline: Instant) -> Result<()> {
    end_payload(path, deadline)?;
    remove_scope(path, host, deadline)
}

/// The same for the machine of this process, which may be in the scope itself. There is
/// no way out of a scope of systemd's: that one is done with when nobody else is in it, since
/// systemd removes it when this process ends.
///
/// # Errors
/// As [`sweep`].
pub fn sweep_own(path: &Path, host: &Host, deadline: Instant) -> Result<()> {
    end_payload(path, deadline)?;
    let ends_with_us = matches!(host.placement(), Ok(Placement::Transient(_)));
    if ends_with_us && holds_only_us(path) {
        return Ok(());
    }
    remove_scope(path, host, deadline)
}

fn end_payload(path: &Path, deadline: Instant) -> Result<()> {
    split(path)?;
    let Some(machine) = MachineCgroup::open(path)? else {
        return Ok(());
    };
    machine.kill()?;
    remove_payload(&machine.dir, deadline).cannot(|| format!("remove cgroup {}", path.display()))
}

/// The directory that a machine's scope is in, and the scope's name there.
fn split(path: &Path) -> Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(parent), Some(name)) if place::is_scope(path) => Ok((parent, name)),
        _ => {
            let what = format!("{} is not the cgroup of a machine", path.display());
            Err(Error::new(Kind::BadInput, what))
        }
    }
}

fn holds_only_us(scope: &Path) -> bool {
    let scope = Dir::open(scope).map_err(io::Error::from);
    let pids = scope.and_then(|scope| tree::processes(&scope));
    pids.is_ok_and(|pids| pids == [rustix::process::getpid()])
}

fn remove_scope(path: &Path, host: &Host, deadline: Instant) -> Result<()> {
    let what = || format!("remove cgroup {}", path.display());
    let (parent, name) = split(path)?;
    let parent = match Dir::open(parent) {
        Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
        opened => opened.cannot(what)?,
    };
    if host.systemd && path.parent().is_some_and(is_slice) {
        await_removal(&parent, name, deadline);
    }
    match tree::remove(&parent, name, deadline) {
        Err(Errno::BUSY) => Err(Error::new(Kind::Busy, "its supervisor is alive")).cannot(what)?,
        removed => removed.cannot(what)?,
    }
    sweep_slice(path, host)
}

/// Gives systemd the first half of the time to remove a scope of its own. It learns that a scope is
/// empty from a notification of the scope's `cgroup.events`, which the kernel delays by up to 10 ms and
/// drops if the directory is gone by then: the unit would stay active for ever, and its name taken.
fn await_removal(slice: &Dir, name: &str, deadline: Instant) {
    let half = deadline.saturating_duration_since(Instant::now()) / 2;
    let until = Instant::now() + half;
    while Instant::now() < until && slice.child(name).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_slice(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "slice")
}

fn sweep_slice(scope: &Path, host: &Host) -> Result<()> {
    let slice = scope.parent().filter(|slice| slice.ends_with(SLICE));
    match slice.and_then(Path::parent) {
        Some(top) if !host.systemd => Dir::open(top)
            .and_then(|top| remove_slice(&top))
            .cannot(|| format!("remove {SLICE}")),
        _ => Ok(()),
    }
}
