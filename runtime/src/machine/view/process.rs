//! Processes of a machine, alone and in their cgroups.

use std::fs::File;
use std::io::{self, Read};

use serde::Serialize;

use crate::cgroup;
use crate::text::{command_line, escaped};

/// Longest command line that is read, in bytes: a process may have megabytes of them.
const LONGEST: u64 = 4096;

/// A process as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number on the host.
    pub pid: i32,
    /// Its name, as `ps` has it.
    pub name: String,
    /// Its command line, quoted and escaped; its name in brackets, if it has none.
    pub command: String,
}

impl Process {
    /// Looks at the process with that number; `None` if there is none any more.
    pub(super) fn look(pid: i32) -> Option<Self> {
        let name = beginning(&format!("/proc/{pid}/comm")).ok()?;
        let name = escaped(String::from_utf8_lossy(&name).trim_end_matches('\n'));
        let line = beginning(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = match line.iter().all(|&byte| byte == 0) {
            true => format!("[{name}]"),
            false => command_line(&line),
        };
        Some(Self { pid, name, command })
    }
}

fn beginning(path: &str) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut content)?;
    Ok(content)
}

/// A cgroup as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// Its name, escaped.
    pub name: String,
    /// Its processes.
    pub processes: Vec<Process>,
    /// What is below it and has a process.
    pub children: Vec<Branch>,
}

impl Branch {
    pub(super) fn look(branch: &cgroup::Branch) -> Self {
        let pids = branch.pids.iter();
        Self {
            name: escaped(&String::from_utf8_lossy(&branch.name)),
            processes: pids.filter_map(|&pid| Process::look(pid)).collect(),
            children: branch.children.iter().map(Self::look).collect(),
        }
    }

    /// The child of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All processes in it and below.
    #[must_use]
    pub fn all(&self) -> Vec<&Process> {
        let below = self.children.iter().flat_map(Self::all);
        self.processes.iter().chain(below).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let own = i32::try_from(std::process::id()).unwrap();
        let process = Process::look(own).unwrap();
        assert_eq!(process.pid, own);
        assert!(!process.name.is_empty());
        let words = std::env::args().count();
        assert!(process.command.split(' ').count() >= words, "{process:?}");
        assert_eq!(Process::look(i32::MAX), None);
    }

    #[test]
    fn all_processes_of_a_tree_are_found() {
        let process = |pid| Process {
            pid,
            name: "x".into(),
            command: "x".into(),
        };
        let branch = |name: &str, pids: &[i32], children| Branch {
            name: name.into(),
            processes: pids.iter().copied().map(process).collect(),
            children,
        };
        let below = branch("b", &[3], vec![branch("c", &[4, 5], vec![])]);
        let tree = branch("a", &[1], vec![branch("x", &[], vec![]), below]);
        let pids: Vec<i32> = tree.all().iter().map(|process| process.pid).collect();
        assert_eq!(pids, [1, 3, 4, 5]);
        assert_eq!(tree.child("b").unwrap().processes.len(), 1);
        assert_eq!(tree.child("c"), None);
    }
}
