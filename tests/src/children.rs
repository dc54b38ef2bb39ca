//! Our own children, and the orphans that come to us as their subreaper.
//!
//! A process namespace is only over when all of its processes are reaped, those too that
//! joined it from outside. On a host that is init's work; in a test, whose process is the
//! subreaper of all it starts, it is ours.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Children whose end somebody waits for.
static OWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn own() -> MutexGuard<'static, BTreeSet<i32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a child that is not taken for an orphan.
///
/// # Errors
/// Those of [`Command::spawn`].
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut own = own();
    let child = command.spawn()?;
    own.insert(Pid::from_child(&child).as_raw_nonzero().get());
    Ok(child)
}

/// The exit status of a child of [`spawn`], if it has ended.
///
/// # Errors
/// Those of [`Child::try_wait`].
pub fn try_wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let mut own = own();
    let status = child.try_wait()?;
    if status.is_some() {
        own.remove(&Pid::from_child(child).as_raw_nonzero().get());
    }
    Ok(status)
}

/// Waits for the end of a child of [`spawn`].
///
/// # Errors
/// Those of [`Child::wait`].
pub fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let status = child.wait()?;
    own().remove(&Pid::from_child(child).as_raw_nonzero().get());
    Ok(status)
}

/// Kills a child of [`spawn`] and waits for its end.
pub fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = wait(child);
}

/// From now on, what becomes an orphan among our descendants is reaped soon after its end.
pub(crate) fn adopt_orphans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let us = Some(rustix::process::getpid());
        if rustix::process::set_child_subreaper(us).is_ok() {
            std::thread::spawn(|| {
                loop {
                    reap_orphans();
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
    });
}

fn reap_orphans() {
    let own = own();
    let orphans = children().filter(|pid| !own.contains(pid));
    for pid in orphans.filter_map(Pid::from_raw) {
        let _ = waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
    }
}

/// Children of all our threads, zombies included.
fn children() -> impl Iterator<Item = i32> {
    let threads = read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads
        .filter_map(|thread| read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            let pids: Vec<i32> = list
                .split_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect();
            pids
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{patience, wait_until};
    use rustix::process::test_kill_process;

    #[test]
    fn orphans_are_reaped_and_children_are_not() {
        adopt_orphans();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sh -c 'echo $$; exec sleep 0.1' & exit 3"]);
        shell.stdout(std::process::Stdio::piped());
        let mut child = spawn(&mut shell).unwrap();
        let mut output = String::new();
        io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut output).unwrap();
        let orphan = Pid::from_raw(output.trim().parse().unwrap()).unwrap();
        wait_until(patience(10), "the orphan is reaped", || {
            test_kill_process(orphan).is_err().then_some(())
        });
        assert_eq!(wait(&mut child).unwrap().code(), Some(3));
    }
}
