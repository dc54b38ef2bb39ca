//! What all machines use, looked at again and again.

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::sync::Arc;

use super::super::host::Cgroups;
use super::{Summary, summary};
use crate::cgroup::{MachineCgroup, Stats};
use crate::dirs::Dirs;
use crate::enabled::Names;
use crate::error::{Error, Result};
use crate::state::{Machine, State, Store};

/// A machine and what it uses at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The row.
    pub summary: Summary,
    /// Its PID 1.
    pub leader: Option<i32>,
    /// How long ago it was started, in microseconds.
    pub uptime_usec: Option<u64>,
    /// What it uses. Tasks are counted also where no controller does.
    pub usage: Stats,
}

/// What was found at one moment.
#[derive(Debug, Default)]
pub struct Samples {
    /// In the order of the machines' names.
    pub machines: Vec<Sample>,
    /// Why others cannot be shown.
    pub problems: Vec<Error>,
}

/// Looks at machines without looking at the host again each time.
#[derive(Debug)]
pub struct Sampler {
    dirs: Dirs,
    cgroups: Arc<Cgroups>,
    store: Store,
}

impl Sampler {
    /// Looks at the host.
    ///
    /// # Errors
    /// If its control groups cannot be used.
    pub fn new(dirs: &Dirs) -> Result<Self> {
        let cgroups = Arc::new(Cgroups::probe()?);
        let store = Store::new(dirs, cgroups.clone());
        Ok(Self {
            dirs: dirs.clone(),
            cgroups,
            store,
        })
    }

    /// Looks at all machines. One that cannot be looked at does not hide the others.
    ///
    /// # Errors
    /// If the state directory cannot be used.
    pub fn look(&self) -> Result<Samples> {
        let mut samples = Samples::default();
        let enabled = Names::look(&self.dirs);
        for machine in self.store.list()? {
            match machine.and_then(|machine| self.sample(&enabled, &machine)) {
                Ok(Some(sample)) => samples.machines.push(sample),
                Ok(None) => {}
                Err(error) => samples.problems.push(error),
            }
        }
        Ok(samples)
    }

    fn sample(&self, enabled: &Names, machine: &Machine) -> Result<Option<Sample>> {
        let (summary, leader) = summary(enabled, machine)?;
        if summary.state == State::Dead {
            return Ok(None);
        }
        let record = machine.record();
        let cgroup = match record {
            Some(record) => self.cgroups.open(record)?,
            None => None,
        };
        let mut usage = cgroup
            .as_ref()
            .map(MachineCgroup::stats)
            .unwrap_or_default();
        if usage.tasks.is_none() {
            usage.tasks = cgroup.as_ref().and_then(tasks);
        }
        Ok(Some(Sample {
            summary,
            leader: leader.map(|leader| leader.pid()),
            uptime_usec: record.map(|record| record.since.age_us()),
            usage,
        }))
    }
}

/// Each task has a directory below its process's.
fn tasks(cgroup: &MachineCgroup) -> Option<u64> {
    let threads = |pid: rustix::process::Pid| {
        let directory = fs::metadata(format!("/proc/{}/task", pid.as_raw_nonzero()));
        directory.map_or(0, |directory| directory.st_nlink().saturating_sub(2))
    };
    let processes = cgroup.processes().ok()?;
    Some(processes.into_iter().map(threads).sum())
}
