//! What state asks of the host, answered by the cgroup module.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cgroup::{self, MachineCgroup};
use crate::error::Result;
use crate::state::{self, Record};

/// How long the processes of a machine that is swept may take to die.
const PATIENCE: Duration = Duration::from_secs(5);

/// The cgroups of this host.
#[derive(Debug)]
pub(crate) struct Cgroups(cgroup::Host);

impl Cgroups {
    /// Looks at the hierarchies.
    pub(crate) fn probe() -> Result<Self> {
        cgroup::Host::probe().map(Self)
    }

    /// What was seen of them.
    pub(super) fn host(&self) -> &cgroup::Host {
        &self.0
    }

    /// The directory of a cgroup that is named by its path below the root of the hierarchy.
    pub(crate) fn absolute(&self, below: &Path) -> Option<PathBuf> {
        Some(self.0.layout.mount()?.point.join(below))
    }

    /// The cgroup of a recorded machine, if it still exists.
    pub(crate) fn open(&self, record: &Record) -> Result<Option<MachineCgroup>> {
        let path = record
            .cgroup
            .as_deref()
            .and_then(|path| self.absolute(path.as_ref()));
        path.map_or(Ok(None), |path| MachineCgroup::open(&path))
    }

    /// Kills everything in a machine's cgroup.
    pub(super) fn kill(&self, record: &Record) -> Result<()> {
        match self.open(record)? {
            Some(cgroup) => cgroup.kill(),
            None => Ok(()),
        }
    }
}

impl state::Host for Cgroups {
    fn is_populated(&self, cgroup: &Path) -> Result<bool> {
        let path = self.absolute(cgroup);
        path.map_or(Ok(false), |path| cgroup::is_populated(&path))
    }

    fn is_frozen(&self, cgroup: &Path) -> Result<bool> {
        let path = self.absolute(cgroup);
        path.map_or(Ok(false), |path| cgroup::is_frozen(&path))
    }

    fn end_cgroup(&self, cgroup: &Path) -> Result<()> {
        match self.absolute(cgroup) {
            Some(path) => cgroup::sweep(&path, &self.0, Instant::now() + PATIENCE),
            None => Ok(()),
        }
    }

    fn end_own_cgroup(&self, cgroup: &Path) -> Result<()> {
        match self.absolute(cgroup) {
            Some(path) => cgroup::sweep_own(&path, &self.0, Instant::now() + PATIENCE),
            None => Ok(()),
        }
    }
}
