//! A cgroup with all below it. What is below a payload is the payload's to make and
//! remove at any moment, so every step takes "gone" for an answer.

use std::ffi::CString;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::dir::{Dir, is_gone};

/// How deep a walk goes: more than `cgroup.max.depth` lets a payload nest, so that only a
/// tree that is not ours is refused.
pub(super) const MAX_DEPTH: usize = 64;

/// Removes the child `name` of `parent` and all below it; nothing to remove is success.
///
/// # Errors
/// EBUSY if a cgroup has processes at `deadline` still; what the kernel says otherwise.
pub(super) fn remove(parent: &Dir, name: &str, deadline: Instant) -> Result<(), Errno> {
    remove_below(parent, name, deadline, MAX_DEPTH)
}

fn remove_below<N: Arg + Copy>(
    parent: &Dir,
    name: N,
    deadline: Instant,
    depth: usize,
) -> Result<(), Errno> {
    let depth = depth.checked_sub(1).ok_or(Errno::LOOP)?;
    let mut pause = Duration::from_micros(100);
    let mut last_try = false;
    loop {
        match parent.remove(name) {
            Err(Errno::BUSY) if !last_try => {}
            Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
            result => return result,
        }
        last_try = Instant::now() >= deadline;
        match remove_children(parent, name, deadline, depth) {
            // A dead process leaves its cgroup a moment after it can be waited for.
            Ok(false) => {
                sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            Ok(true) | Err(Errno::NOENT | Errno::NODEV) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Removes what is below `name`; false if there was nothing.
fn remove_children<N: Arg + Copy>(
    parent: &Dir,
    name: N,
    deadline: Instant,
    depth: usize,
) -> Result<bool, Errno> {
    let dir = parent.child(name)?;
    let children = dir.children()?;
    for child in &children {
        remove_below(&dir, child.as_c_str(), deadline, depth)?;
    }
    Ok(!children.is_empty())
}

/// The processes in `dir` and below, as seen from this PID namespace.
///
/// # Errors
/// What the kernel says, but not that a cgroup is gone.
pub(super) fn processes(dir: &Dir) -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    collect(dir, &mut pids, MAX_DEPTH)?;
    Ok(pids)
}

fn collect(dir: &Dir, pids: &mut Vec<Pid>, depth: usize) -> io::Result<()> {
    let depth = depth.checked_sub(1).ok_or(Errno::LOOP)?;
    pids.extend(own_processes(dir)?);
    for (_, child) in children(dir)? {
        collect(&child, pids, depth)?;
    }
    Ok(())
}

/// The processes in `dir` itself; none if it is gone.
pub(super) fn own_processes(dir: &Dir) -> io::Result<Vec<Pid>> {
    match dir.read("cgroup.procs") {
        // 0 stands for a process that this PID namespace does not see.
        Ok(text) => Ok(text
            .lines()
            .filter_map(|l| Pid::from_raw(l.parse().ok()?))
            .collect()),
        // Processes of a threaded cgroup are listed above it.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Vec::new()),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What is directly below `dir` and still there when it is opened.
pub(super) fn children(dir: &Dir) -> io::Result<Vec<(CString, Dir)>> {
    let names = match dir.children() {
        Err(Errno::NOENT | Errno::NODEV) => return Ok(Vec::new()),
        names => names?,
    };
    let mut children = Vec::with_capacity(names.len());
    for name in names {
        match dir.child(&name) {
            Ok(child) => children.push((name, child)),
            Err(Errno::NOENT | Errno::NODEV) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(children)
}

/// Sends SIGKILL to every process in `dir` and below.
///
/// # Errors
/// What the kernel says, but not that `dir` is gone.
pub(super) fn kill(dir: &Dir) -> io::Result<()> {
    match dir.write("cgroup.kill", "1") {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => kill_one_by_one(dir),
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The same before Linux 5.14: frozen processes fork no more, and SIGKILL ends them frozen.
pub(super) fn kill_one_by_one(dir: &Dir) -> io::Result<()> {
    match dir.write("cgroup.freeze", "1") {
        Err(error) if !is_gone(&error) => return Err(error),
        _ => {}
    }
    // A process may have forked while the freezer went round.
    for _ in 0..ROUNDS {
        let pids = processes(dir)?;
        if pids.is_empty() {
            break;
        }
        for pid in pids {
            kill_if_inside(dir, pid)?;
        }
        sleep(Duration::from_millis(1));
    }
    match dir.write("cgroup.freeze", "0") {
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}

const ROUNDS: usize = 100;

/// The descriptor pins the process, and only then is it looked up again: a number that
/// was given to another process meanwhile is not in the list any more.
fn kill_if_inside(dir: &Dir, pid: Pid) -> io::Result<()> {
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        opened => opened?,
    };
    if !processes(dir)?.contains(&pid) {
        return Ok(());
    }
    match pidfd_send_signal(pidfd, Signal::KILL) {
        Err(Errno::SRCH) => Ok(()),
        sent => Ok(sent?),
    }
}
