//! Stopping a machine from outside: through its supervisor, or without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::host::Cgroups;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;
use crate::state::{Machine, Outcome, State, Store};

/// How long a killed machine's supervisor may take to clear up.
const CLEAR_UP: Duration = Duration::from_secs(10);

/// How long to wait between two looks at what has no descriptor to wait for.
const MOMENT: Duration = Duration::from_millis(5);

/// How to stop.
#[derive(Clone, Copy, Debug)]
pub struct StopOptions {
    /// Kill at once.
    pub kill: bool,
    /// How long the machine may take before it is killed.
    pub timeout: Duration,
}

/// Which step it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// The payload stopped when it was asked.
    Asked,
    /// It was killed.
    Killed,
    /// Its supervisor was gone; what was left of it was ended.
    Cleared,
}

/// Stops the machine and returns when nothing of it is left.
///
/// # Errors
/// [`Kind::NotFound`] if it does not run; [`Kind::Busy`] if it cannot be ended.
pub fn stop(dirs: &Dirs, name: &MachineName, options: StopOptions) -> Result<Stopped> {
    let cgroups = Arc::new(Cgroups::probe()?);
    let store = Store::new(dirs, cgroups.clone());
    let machine = known(&store, name)?;
    match machine.state()? {
        State::Dead => {
            store.reconcile(name)?;
            return Err(store.absent(name));
        }
        State::Orphaned => return store.reconcile(name).map(|_| Stopped::Cleared),
        State::Paused => resume(&machine, &cgroups)?,
        State::Starting | State::Running | State::Stopping => {}
    }
    if !options.kill && ask(&machine)? && ended(&store, name, options.timeout)? {
        return Ok(Stopped::Asked);
    }
    kill(&machine, &cgroups)?;
    if ended(&store, name, CLEAR_UP)? {
        return Ok(Stopped::Killed);
    }
    let what = format!("machine {name} was killed, and its supervisor does not clear up");
    Err(Error::new(Kind::Busy, what).hint("look at the supervisor's process in `nsrun status`"))
}

/// The machine, once it is known who supervises it: a start has the name before that.
pub(super) fn known(store: &Store, name: &MachineName) -> Result<Machine> {
    let end = Instant::now() + CLEAR_UP;
    loop {
        let machine = store.machine(name)?.ok_or_else(|| store.absent(name))?;
        if !machine.is_held() || machine.record().is_some() || Instant::now() > end {
            return Ok(machine);
        }
        std::thread::sleep(MOMENT);
    }
}

/// Has the supervisor climb its ladder: it knows whether PID 1 can be asked yet.
pub(super) fn ask(machine: &Machine) -> Result<bool> {
    let Some(supervisor) = machine.supervisor()? else {
        return Ok(false);
    };
    supervisor
        .signal(libc::SIGTERM)
        .cannot(|| format!("signal the supervisor of machine {}", machine.name()))
}

/// Frozen, it would not hear that it is to stop.
pub(super) fn resume(machine: &Machine, cgroups: &Cgroups) -> Result<()> {
    match machine.record().map(|record| cgroups.open(record)) {
        Some(cgroup) => cgroup?.map_or(Ok(()), |cgroup| cgroup.thaw()),
        None => Ok(()),
    }
}

/// Needs no answer from the supervisor, which may be stopped itself.
fn kill(machine: &Machine, cgroups: &Cgroups) -> Result<()> {
    // But one that would start the machine again has to know that it is to end.
    ask(machine)?;
    if let Some(record) = machine.record() {
        cgroups.kill(record)?;
    }
    if let Some(leader) = machine.leader()? {
        let what = || format!("kill the first process of machine {}", machine.name());
        leader.signal(libc::SIGKILL).cannot(what)?;
    }
    Ok(())
}

/// Waits until the supervisor has let go of the machine.
pub(super) fn ended(store: &Store, name: &MachineName, patience: Duration) -> Result<bool> {
    let end = Instant::now() + patience;
    loop {
        let Some(machine) = store.machine(name)? else {
            return Ok(true);
        };
        if !machine.is_held() {
            return store
                .reconcile(name)
                .map(|outcome| outcome != Outcome::Alive);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        match machine.supervisor()? {
            Some(supervisor) => {
                supervisor
                    .wait(left.min(Duration::from_millis(100)))
                    .cannot(|| format!("wait for the supervisor of machine {name}"))?;
            }
            None => std::thread::sleep(MOMENT.min(left)),
        }
    }
}
