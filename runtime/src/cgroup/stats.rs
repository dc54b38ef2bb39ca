//! What a machine uses, read by cgroups-rs.

use std::path::{Path, PathBuf};

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, Hierarchy, MaxValue, Subsystem};

use super::dir::Dir;

/// The use of resources at one moment; `None` where the kernel does not count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Processor time used so far, in microseconds.
    pub cpu_usec: Option<u64>,
    /// Memory charged now, with page cache, in bytes.
    pub memory_bytes: Option<u64>,
    /// The most memory that was charged at once, in bytes; since Linux 5.19.
    pub memory_peak_bytes: Option<u64>,
    /// Processes and threads now.
    pub tasks: Option<u64>,
    /// How many there may be; `None` also without a limit.
    pub tasks_max: Option<u64>,
    /// Read from block devices so far, in bytes.
    pub io_read_bytes: Option<u64>,
    /// Written to block devices so far, in bytes.
    pub io_write_bytes: Option<u64>,
}

/// Reads the cgroup `name`, open as `payload`, below the directory `scope`.
pub(super) fn read(scope: &Path, name: &str, payload: &Dir) -> Stats {
    let controllers = payload.words("cgroup.controllers");
    let mut stats = counted(scope, name, &controllers);
    if controllers.iter().any(|word| word == "io") {
        // The library takes lines with seven words only; some kernels write more.
        let text = payload.read("io.stat").unwrap_or_default();
        stats.io_read_bytes = Some(sum(&text, "rbytes="));
        stats.io_write_bytes = Some(sum(&text, "wbytes="));
    }
    stats
}

fn counted(scope: &Path, name: &str, controllers: &[String]) -> Stats {
    let cgroup = Cgroup::load(Box::new(Below(scope.to_owned())), name);
    let has = |controller: &str| controllers.iter().any(|word| word == controller);
    // The library answers 0 where it cannot read, so ask for what is counted only.
    let cpu: Option<&CpuController> = cgroup.controller_of();
    let memory: Option<&MemController> = cgroup.controller_of().filter(|_| has("memory"));
    let memory = memory.map(MemController::memory_stat);
    let pids: Option<&PidController> = cgroup.controller_of().filter(|_| has("pids"));
    Stats {
        // Counted for every cgroup, with and without the controller.
        cpu_usec: cpu.and_then(|cpu| usage(&cpu.cpu().stat)),
        memory_bytes: memory.as_ref().map(|memory| memory.usage_in_bytes),
        // 0 where the kernel has no such file: a machine that runs has had some.
        memory_peak_bytes: memory
            .map(|memory| memory.max_usage_in_bytes)
            .filter(|&peak| peak > 0),
        tasks: pids.and_then(|pids| pids.get_pid_current().ok()),
        tasks_max: pids.and_then(|pids| limit(pids.get_pid_max().ok()?)),
        ..Stats::default()
    }
}

fn limit(value: MaxValue) -> Option<u64> {
    match value {
        MaxValue::Max => None,
        MaxValue::Value(value) => u64::try_from(value).ok(),
    }
}

fn usage(cpu_stat: &str) -> Option<u64> {
    let line = cpu_stat
        .lines()
        .find_map(|l| l.strip_prefix("usage_usec "))?;
    line.trim().parse().ok()
}

/// The sum of a field of `io.stat` over all devices.
fn sum(io_stat: &str, field: &str) -> u64 {
    let words = io_stat.split_ascii_whitespace();
    let values = words.filter_map(|word| word.strip_prefix(field)?.parse::<u64>().ok());
    values.fold(0, u64::saturating_add)
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
    fn devices_are_summed_up_whatever_else_is_told_of_them() {
        let text = "8:0 rbytes=100 wbytes=3 rios=1 wios=1 dbytes=0 dios=0 cost.usage=5\n\
                    253:65535 rbytes=11 wbytes=4\n";
        assert_eq!((sum(text, "rbytes="), sum(text, "wbytes=")), (111, 7));
        assert_eq!(sum("", "rbytes="), 0);
    }

    #[test]
    fn what_is_not_counted_is_not_zero() {
        let stats = counted(Path::new("/nonexistent"), "payload", &[]);
        assert_eq!(stats, Stats::default());
    }
}
