//! Processes that the test started, however they detached themselves: the test process is
//! their subreaper.

use std::collections::BTreeMap;
use std::fs::{read_dir, read_to_string};

use rustix::process::{Pid, Signal, kill_process};

struct Process {
    name: String,
    zombie: bool,
    parent: i32,
}

pub(super) fn descendants() -> Vec<String> {
    let all = processes();
    below_us(&all)
        .into_iter()
        .map(|pid| format!("process {pid} ({})", all[&pid].name))
        .collect()
}

/// Kills all descendants of the test process: for tests that failed.
pub fn kill_descendants() {
    for pid in below_us(&processes()) {
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Living descendants. A zombie is a process that ended; its parent may be us.
fn below_us(all: &BTreeMap<i32, Process>) -> Vec<i32> {
    let us = rustix::process::getpid().as_raw_nonzero().get();
    let is_below = |mut pid: i32| {
        // A chain of parents is shorter than the number of processes.
        for _ in 0..all.len() {
            match all.get(&pid) {
                Some(process) if process.parent == us => return true,
                Some(process) => pid = process.parent,
                None => return false,
            }
        }
        false
    };
    all.iter()
        .filter(|(pid, process)| !process.zombie && is_below(**pid))
        .map(|(pid, _)| *pid)
        .collect()
}

fn processes() -> BTreeMap<i32, Process> {
    read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parse(&stat)?))
        })
        .collect()
}

/// `PID (NAME) STATE PARENT …`; the name may hold anything, parentheses too.
fn parse(stat: &str) -> Option<Process> {
    let (start, rest) = stat.rsplit_once(')')?;
    let (_, name) = start.split_once('(')?;
    let rest: Vec<&str> = rest.split_ascii_whitespace().collect();
    // A leader that has ended is a zombie while other threads of its process live on.
    let alone = *rest.get(17)? == "1";
    Some(Process {
        name: name.to_owned(),
        zombie: *rest.first()? == "Z" && alone,
        parent: rest.get(1)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    fn line(threads: &str) -> String {
        format!("17 (a) S (b)) Z 4 17 17 0 -1 4 0 0 0 0 0 0 0 0 20 0 {threads} 0 8 0")
    }

    #[test]
    fn a_process_lives_while_a_thread_of_it_does() {
        assert!(!super::parse(&line("2")).unwrap().zombie);
    }

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let process = super::parse(&line("1")).unwrap();
        assert_eq!((process.name.as_str(), process.parent), ("a) S (b)", 4));
        assert!(process.zombie);
    }
}
