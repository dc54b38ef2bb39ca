//! A machine as it is found.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::host::Host;
use super::residue::{Action, Item, action};
use super::{Identity, PidFd, Reading, Record};
use crate::error::{Context, Result};
use crate::name::MachineName;

/// What a machine is doing, by what the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its lock is held, and its leader does not exist yet.
    Starting,
    /// Its lock is held and its leader runs, or its record cannot tell.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its lock is held and its leader has ended.
    Stopping,
    /// Its supervisor is gone, and processes of it are left.
    Orphaned,
    /// Nothing of it runs; its files are left.
    Dead,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Orphaned => "orphaned",
            Self::Dead => "dead",
        })
    }
}

/// A machine that has a directory, at the moment of looking.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) host: Arc<dyn Host>,
    pub(super) name: MachineName,
    pub(super) held: bool,
    pub(super) reading: Reading,
    pub(super) boot_id: String,
}

impl Machine {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &MachineName {
        &self.name
    }

    /// What was found in place of its record.
    #[must_use]
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Its record, unless that is missing, unusable or of an earlier boot.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        let record = self.reading.record();
        record.filter(|record| record.boot_id == self.boot_id)
    }

    /// Whether somebody holds its lock: a supervisor, or a command that clears it away.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Its PID 1, proven to be the one of the record; `None` if that was reaped or is
    /// not known.
    ///
    /// # Errors
    /// If the process cannot be examined.
    pub fn leader(&self) -> Result<Option<PidFd>> {
        self.process(self.record().and_then(|record| record.leader))
    }

    /// The process that started it, proven to be the one of the record; `None` if that
    /// was reaped or is not known.
    ///
    /// # Errors
    /// If the process cannot be examined.
    pub fn supervisor(&self) -> Result<Option<PidFd>> {
        self.process(self.record().map(|record| record.supervisor))
    }

    fn process(&self, identity: Option<Identity>) -> Result<Option<PidFd>> {
        let found = identity.map_or(Ok(None), |identity| PidFd::of(&identity));
        found.cannot(|| format!("examine a process of machine {}", self.name))
    }

    /// What it is doing.
    ///
    /// # Errors
    /// If its processes or its control group cannot be examined.
    pub fn state(&self) -> Result<State> {
        self.state_by(self.leader()?.as_ref())
    }

    /// What it is doing, by the leader that [`Machine::leader`] has found.
    ///
    /// # Errors
    /// If its processes or its control group cannot be examined.
    pub fn state_by(&self, leader: Option<&PidFd>) -> Result<State> {
        let running = leader.map_or(Ok(false), PidFd::is_running);
        let running = running.cannot(|| format!("examine the leader of machine {}", self.name))?;
        if self.held {
            return match self.held_state(running) {
                State::Running if self.is_frozen()? => Ok(State::Paused),
                state => Ok(state),
            };
        }
        let orphaned = running || self.is_populated()?;
        Ok(if orphaned {
            State::Orphaned
        } else {
            State::Dead
        })
    }

    fn held_state(&self, running: bool) -> State {
        match (&self.reading, self.record()) {
            (Reading::Unknown(_), _) => State::Running,
            (_, Some(record)) if record.leader.is_some() => {
                if running {
                    State::Running
                } else {
                    State::Stopping
                }
            }
            _ => State::Starting,
        }
    }

    fn is_populated(&self) -> Result<bool> {
        self.ask_cgroup(|host, path| host.is_populated(path))
    }

    fn is_frozen(&self) -> Result<bool> {
        self.ask_cgroup(|host, path| host.is_frozen(path))
    }

    fn ask_cgroup(&self, ask: impl FnOnce(&dyn Host, &Path) -> Result<bool>) -> Result<bool> {
        let Some(path) = self.record().and_then(|record| record.cgroup.clone()) else {
            return Ok(false);
        };
        match action(&Item::Cgroup { path }, &self.name) {
            Ok(Action::EndCgroup(path)) => ask(&*self.host, path),
            _ => Ok(false),
        }
    }

    /// The control group of its record, below the root of the unified hierarchy.
    #[must_use]
    pub fn cgroup(&self) -> Option<&Path> {
        self.record()?.cgroup.as_deref().map(Path::new)
    }
}
