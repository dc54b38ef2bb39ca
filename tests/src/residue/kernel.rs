//! Things of the test's own network, IPC and UTS namespaces.

use std::fs::read_to_string;

pub(super) fn links() -> Vec<String> {
    let table = read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    table
        .lines()
        .skip(2)
        .filter_map(|line| Some(format!("link {}", line.split_once(':')?.0.trim())))
        .collect()
}

pub(super) fn abstract_sockets() -> Vec<String> {
    let table = read_to_string("/proc/thread-self/net/unix").unwrap_or_default();
    table
        .lines()
        .filter_map(|line| Some(format!("abstract socket {}", line.split_once(" @")?.1)))
        .collect()
}

pub(super) fn sysv_ipc() -> Vec<String> {
    ["shm", "sem", "msg"]
        .iter()
        .flat_map(|kind| {
            let table = read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
            let rows: Vec<_> = table
                .lines()
                .skip(1)
                .filter_map(|line| line.split_ascii_whitespace().nth(1))
                .map(|id| format!("SysV {kind} {id}"))
                .collect();
            rows
        })
        .collect()
}

/// A changed name shows as a new one.
pub(super) fn host_name() -> Option<String> {
    let name = read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(format!("host name {}", name.trim_end()))
}

/// Loop devices that have a file, whose name says whose they are.
pub(super) fn loop_devices(mark: &str) -> Vec<String> {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten();
    devices
        .flatten()
        .filter_map(|entry| {
            let file = read_to_string(entry.path().join("loop/backing_file")).ok()?;
            let name = entry.file_name().display().to_string();
            file.contains(mark)
                .then(|| format!("loop device {name} of {}", file.trim_end()))
        })
        .collect()
}
