//! What state asks of the host, answered by the cgroup module.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cgroup::{self, MachineCgroup};
use crate::error::Result;
use crate::state;

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

    fn absolute(&self, below: &Path) -> Option<PathBuf> {
        Some(self.0.layout.mount()?.point.join(below))
    }
}

impl state::Host for Cgroups {
    fn is_populated(&self, cgroup: &Path) -> Result<bool> {
        let Some(path) = self.absolute(cgroup) else {
            return Ok(false);
        };
        match MachineCgroup::open(&path)? {
            Some(machine) => machine.populated(),
            None => Ok(false),
        }
    }

    fn end_cgroup(&self, cgroup: &Path) -> Result<()> {
        match self.absolute(cgroup) {
            Some(path) => cgroup::sweep(&path, &self.0, Instant::now() + PATIENCE),
            None => Ok(()),
        }
    }
}
