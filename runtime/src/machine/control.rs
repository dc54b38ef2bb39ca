//! What can be done to a running machine from outside, besides stopping it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::host::Cgroups;
use super::stop::{ask, ended, known};
use crate::cgroup::MachineCgroup;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;
use crate::state::{Machine, PidFd, State, Store};
use crate::supervise::{Signal, takes};

/// How long a process may take to stand still.
const STAND_STILL: Duration = Duration::from_secs(5);

/// Which processes get a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// PID 1 of the machine.
    Leader,
    /// Every process in its cgroup.
    All,
}

/// A machine that runs, and what is needed to act on it.
struct Found {
    machine: Machine,
    cgroups: Arc<Cgroups>,
    store: Store,
}

impl Found {
    /// The machine of that name, once it is known who supervises it.
    fn new(dirs: &Dirs, name: &MachineName) -> Result<Self> {
        let cgroups = Arc::new(Cgroups::probe()?);
        let store = Store::new(dirs, cgroups.clone());
        let machine = known(&store, name)?;
        match machine.state()? {
            State::Dead => {
                store.reconcile(name)?;
                Err(store.absent(name))
            }
            State::Orphaned => {
                let what = format!("machine {name} has lost its supervisor");
                let hint = format!("`nsrun stop {name}` ends what is left of it");
                Err(Error::new(Kind::Failed, what).hint(hint))
            }
            _ => Ok(Self {
                machine,
                cgroups,
                store,
            }),
        }
    }

    fn name(&self) -> &MachineName {
        self.machine.name()
    }

    fn leader(&self) -> Result<PidFd> {
        self.machine
            .leader()?
            .ok_or_else(|| self.store.absent(self.name()))
    }

    fn cgroup(&self) -> Result<MachineCgroup> {
        let record = self.machine.record();
        let record = record.ok_or_else(|| self.store.absent(self.name()))?;
        let cgroup = self.cgroups.open(record)?;
        cgroup.ok_or_else(|| self.store.absent(self.name()))
    }
}

/// Sends `signal` to the machine's PID 1 or to all its processes.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name runs; if a process cannot be signalled.
pub fn kill(dirs: &Dirs, name: &MachineName, signal: Signal, whom: Whom) -> Result<()> {
    let found = Found::new(dirs, name)?;
    let what = || format!("send {signal} to machine {name}");
    match whom {
        Whom::Leader => found
            .leader()?
            .signal(signal.number())
            .map(drop)
            .cannot(what),
        Whom::All if signal == Signal::KILL => found.cgroup()?.kill(),
        Whom::All => {
            for process in members(&found.cgroup()?)? {
                // What has ended since needs no signal.
                process.signal(signal.number()).cannot(what)?;
            }
            Ok(())
        }
    }
}

/// The processes of a cgroup, held so that nothing else can have their numbers.
fn members(cgroup: &MachineCgroup) -> Result<Vec<PidFd>> {
    let mut processes = Vec::new();
    for pid in cgroup.processes()? {
        let process = PidFd::open(pid.as_raw_nonzero().get());
        processes.extend(process.cannot(|| format!("open process {pid:?}"))?);
    }
    // A number may have been another's before it was opened. One that is in the cgroup now, and
    // whose process still lives when it gets the signal, has been there all the time.
    let still: Vec<i32> = cgroup
        .processes()?
        .into_iter()
        .map(|pid| pid.as_raw_nonzero().get())
        .collect();
    processes.retain(|process| still.contains(&process.pid()));
    Ok(processes)
}

/// Asks the machine to power off, and does not wait for it.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name runs.
pub fn power_off(dirs: &Dirs, name: &MachineName) -> Result<()> {
    let found = Found::new(dirs, name)?;
    super::stop::resume(&found.machine, &found.cgroups)?;
    if ask(&found.machine)? {
        return Ok(());
    }
    Err(found.store.absent(name))
}

/// Asks the machine to reboot, and does not wait for it.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name runs; [`Kind::Busy`] if its PID 1 would not hear it.
pub fn reboot(dirs: &Dirs, name: &MachineName) -> Result<()> {
    let found = Found::new(dirs, name)?;
    super::stop::resume(&found.machine, &found.cgroups)?;
    let leader = found.leader()?;
    if !takes(leader.pid(), Signal::REBOOT) {
        let what = format!("machine {name} cannot be asked to reboot");
        return Err(Error::new(Kind::Busy, what)
            .because("its PID 1 takes no signals, or not yet")
            .hint("systemd takes them a moment after its start; what is no systemd is ended by `nsrun stop`"));
    }
    let sent = leader.signal(Signal::REBOOT.number());
    sent.map(drop)
        .cannot(|| format!("ask machine {name} to reboot"))
}

/// Stops all processes of the machine where they are.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name runs; [`Kind::Busy`] if a process does not stand
/// still: all go on then.
pub fn pause(dirs: &Dirs, name: &MachineName) -> Result<()> {
    let cgroup = Found::new(dirs, name)?.cgroup()?;
    if cgroup.freeze(Instant::now() + STAND_STILL)? {
        return Ok(());
    }
    cgroup.thaw()?;
    let what = format!("machine {name} cannot be paused");
    Err(Error::new(Kind::Busy, what).because("one of its processes does not stand still"))
}

/// Lets the processes of a paused machine go on.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name runs.
pub fn resume(dirs: &Dirs, name: &MachineName) -> Result<()> {
    Found::new(dirs, name)?.cgroup()?.thaw()
}

/// What the machine does; `None` if there is none of that name.
///
/// # Errors
/// If it cannot be looked at.
pub fn state(dirs: &Dirs, name: &MachineName) -> Result<Option<State>> {
    let store = Store::new(dirs, Arc::new(Cgroups::probe()?));
    let machine = store.machine(name)?;
    let state = machine.map(|machine| machine.state()).transpose()?;
    Ok(state.filter(|state| *state != State::Dead))
}

/// The error that no machine `name` runs, with the one that was probably meant.
#[must_use]
pub fn absent(dirs: &Dirs, name: &MachineName) -> Error {
    match Cgroups::probe() {
        Ok(cgroups) => Store::new(dirs, Arc::new(cgroups)).absent(name),
        Err(error) => error,
    }
}

/// Waits until the machine has ended; false if it has not after `patience`.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name runs.
pub fn wait(dirs: &Dirs, name: &MachineName, patience: Duration) -> Result<bool> {
    let found = Found::new(dirs, name)?;
    ended(&found.store, name, patience)
}
