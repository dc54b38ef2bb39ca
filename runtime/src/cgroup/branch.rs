//! A cgroup with its processes and all below it, as it was at one moment.

use std::io;

use rustix::io::Errno;

use super::dir::Dir;
use super::tree::{self, MAX_DEPTH};

/// One cgroup of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// Its name; bytes that the payload may have chosen.
    pub name: Vec<u8>,
    /// Its processes by their numbers on the host, in ascending order.
    pub pids: Vec<i32>,
    /// What is below it and has a process, in the order of the names.
    pub children: Vec<Branch>,
}

impl Branch {
    /// Whether neither it nor anything below it has a process.
    fn is_empty(&self) -> bool {
        self.pids.is_empty() && self.children.is_empty()
    }
}

/// Walks `dir`, which is called `name`. What vanishes meanwhile is left out.
pub(super) fn read(dir: &Dir, name: &[u8]) -> io::Result<Branch> {
    walk(dir, name.to_vec(), MAX_DEPTH)
}

fn walk(dir: &Dir, name: Vec<u8>, depth: usize) -> io::Result<Branch> {
    let depth = depth.checked_sub(1).ok_or(Errno::LOOP)?;
    let own = tree::own_processes(dir)?;
    let raw = |pid: rustix::process::Pid| pid.as_raw_nonzero().get();
    let mut branch = Branch {
        name,
        pids: own.into_iter().map(raw).collect(),
        children: Vec::new(),
    };
    branch.pids.sort_unstable();
    for (name, child) in tree::children(dir)? {
        let below = walk(&child, name.into_bytes(), depth)?;
        if !below.is_empty() {
            branch.children.push(below);
        }
    }
    branch.children.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(branch)
}
