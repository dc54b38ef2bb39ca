//! What a machine uses, read by cgroups-rs.

use std::path::{Path, PathBuf};

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, Hierarchy, Subsystem};

/// The use of resources at one moment; `None` where the kernel does not count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Processor time used so far, in microseconds.
    pub cpu_usec: Option<u64>,
    /// Memory charged now, with page cache, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads now.
    pub tasks: Option<u64>,
}

/// Reads the cgroup `name` below the directory `scope`.
pub(super) fn read(scope: &Path, name: &str, controllers: &[String]) -> Stats {
    let cgroup = Cgroup::load(Box::new(Below(scope.to_owned())), name);
    let has = |controller: &str| controllers.iter().any(|word| word == controller);
    // The library answers 0 where it cannot read, so ask for what is counted only.
    let cpu: Option<&CpuController> = cgroup.controller_of();
    let memory: Option<&MemController> = cgroup.controller_of().filter(|_| has("memory"));
    let pids: Option<&PidController> = cgroup.controller_of().filter(|_| has("pids"));
    Stats {
        // Counted for every cgroup, with and without the controller.
        cpu_usec: cpu.and_then(|cpu| usage(&cpu.cpu().stat)),
        memory_bytes: memory.map(|memory| memory.memory_stat().usage_in_bytes),
        tasks: pids.and_then(|pids| pids.get_pid_current().ok()),
    }
}

fn usage(cpu_stat: &str) -> Option<u64> {
    let line = cpu_stat
        .lines()
        .find_map(|l| l.strip_prefix("usage_usec "))?;
    line.trim().parse().ok()
}

/// The version 2 hierarchy from some directory down. The library's own assumes that it is
/// mounted on `/sys/fs/cgroup`, which on hybrid hosts it is not.
#[derive(Debug)]
struct Below(PathBuf);

impl Hierarchy for Below {
    fn subsystems(&self) -> Vec<Subsystem> {
        let root = || self.0.clone();
        vec![
            Subsystem::Cpu(CpuController::new(root(), root(), true)),
            Subsystem::Mem(MemController::new(root(), root(), true)),
            Subsystem::Pid(PidController::new(root(), root(), true)),
        ]
    }

    fn root(&self) -> PathBuf {
        self.0.clone()
    }

    fn root_control_group(&self) -> Cgroup {
        Cgroup::load(Box::new(Self(self.0.clone())), "")
    }

    fn parent_control_group(&self, path: &str) -> Cgroup {
        let parent = Path::new(path).parent().unwrap_or(Path::new(""));
        Cgroup::load(Box::new(Self(self.0.clone())), parent)
    }

    fn v2(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_the_line_of_its_own_name() {
        let text = "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n";
        assert_eq!(usage(text), Some(1234));
        assert_eq!(usage("user_usec 5\n"), None);
    }

    #[test]
    fn what_is_not_counted_is_not_zero() {
        let stats = read(Path::new("/nonexistent"), "payload", &[]);
        assert_eq!(stats, Stats::default());
    }
}
