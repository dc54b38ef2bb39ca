//! Taking away what a machine has outside of its directory: the same steps after a
//! regular end, a failed start and a crash. Each may be repeated and tolerates that what
//! it takes away is gone.

use std::io;
use std::iter::once_with;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::dir::Dir;
use super::host::Host;
use super::residue::{Action, Item, action};
use super::{Identity, PidFd, journal, record};
use crate::error::{Context, Error, Kind, Result};
use crate::lock::LockFile;
use crate::name::MachineName;

/// A killed process that takes longer is stuck in the kernel.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Who takes a machine away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remover {
    /// The process that supervises it, and may be in its control group.
    Holder,
    /// A command that meets what a dead holder left.
    Stranger,
}

/// What a machine's files say is there.
struct Left {
    processes: Vec<Item>,
    leader: Option<Identity>,
    others: Vec<Item>,
    foreign: usize,
}

/// Takes away everything that the list in `dir` names, processes first. The caller holds
/// the machine's lock.
///
/// # Errors
/// The first step's that failed, after all others were tried.
pub(super) fn run(
    host: &dyn Host,
    name: &MachineName,
    dir: &Dir,
    boot_id: &str,
    remover: Remover,
) -> Result<()> {
    let left = find(name, dir, boot_id)?;
    let undo = |item: &Item| match action(item, name) {
        Ok(action) => undo(host, action, remover),
        Err(cause) => Err(distrust(dir, cause)),
    };
    let results: Vec<Result<()>> = left
        .processes
        .iter()
        .map(undo)
        .chain(once_with(|| left.leader.as_ref().map_or(Ok(()), kill)))
        .chain(left.others.iter().map(undo))
        .chain(once_with(|| known(left.foreign, dir)))
        .collect();
    let outcome: Result<()> = results.into_iter().collect();
    outcome.cannot(|| format!("clear what is left of machine {name}"))
}

fn find(name: &MachineName, dir: &Dir, boot_id: &str) -> Result<Left> {
    let residue = journal::read(dir)?.unwrap_or_default();
    let reading = record::read(dir, name);
    let record = reading.record();
    let begun_in = residue
        .boot_id
        .as_deref()
        .or(record.map(|r| r.boot_id.as_str()));
    let is_process = |item: &Item| matches!(item, Item::Cgroup { .. });
    let (mut processes, mut others): (Vec<Item>, Vec<Item>) =
        residue.items.into_iter().partition(is_process);
    let mut leader = record.and_then(|r| r.leader);
    let mut foreign = residue.foreign;

    // A list that lost its first line is taken for one of this boot: each step checks
    // that what it meets is this machine's.
    if begun_in.is_some_and(|begun| begun != boot_id) {
        // All but files beside images went with the kernel that had it.
        processes.clear();
        leader = None;
        others.retain(|item| matches!(item, Item::LockFile { .. } | Item::Scratch { .. }));
        foreign = 0;
    } else if let Some(path) = record.and_then(|r| r.cgroup.clone()) {
        processes.push(Item::Cgroup { path });
    }
    // The machine's own ports are out of them by then.
    others.sort_by_key(|item| matches!(item, Item::Bridge { .. }));
    Ok(Left {
        processes,
        leader,
        others,
        foreign,
    })
}

fn undo(host: &dyn Host, action: Action<'_>, remover: Remover) -> Result<()> {
    match (action, remover) {
        (Action::EndCgroup(path), Remover::Holder) => host.end_own_cgroup(path),
        (Action::EndCgroup(path), Remover::Stranger) => host.end_cgroup(path),
        (Action::RetireLink(owner), _) => host.retire_link(&owner),
        (Action::RestoreLink(moved), _) => host.restore_link(&moved),
        (Action::SweepRules(tag), _) => host.sweep_rules(tag),
        (Action::ReleaseBridge(name), _) => host.release_bridge(&name),
        (Action::SweepLockFile(path), _) => sweep(path),
        (Action::RemoveTree(path), _) => remove(path),
    }
}

fn distrust(dir: &Dir, cause: String) -> Error {
    let what = format!("cannot trust {}", dir.path().display());
    let error = Error::new(Kind::BadInput, what).because(cause);
    error.hint("somebody has changed it; examine and remove it by hand")
}

/// A file whose directory is gone is gone, too.
fn sweep(path: &std::path::Path) -> Result<()> {
    match LockFile::sweep(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.cannot(|| format!("remove lock file {}", path.display())),
    }
}

fn remove(path: &std::path::Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(parent, flags, Mode::empty()) {
        Ok(parent) => crate::image::remove_tree(parent.as_fd(), name),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).cannot(|| format!("open {}", parent.display())),
    }
}

/// Kills a leader that is outside of the control group, as when it was killed before it
/// was noted; the kernel kills the rest of its PID namespace.
fn kill(leader: &Identity) -> Result<()> {
    let pid = leader.pid;
    let gone = || -> io::Result<bool> {
        let Some(process) = PidFd::of(leader)? else {
            return Ok(true);
        };
        process.signal(libc::SIGKILL)?;
        process.wait(KILL_TIMEOUT)
    };
    if gone().cannot(|| format!("kill process {pid}"))? {
        return Ok(());
    }
    let what = format!("cannot kill process {pid}");
    let error = Error::new(Kind::Busy, what).because("it does not end");
    Err(error.hint("the kernel waits for something on its behalf; try again later"))
}

/// Whether all lines of the list were understood.
fn known(foreign: usize, dir: &Dir) -> Result<()> {
    if foreign == 0 {
        return Ok(());
    }
    let what = format!(
        "cannot understand {foreign} lines in {}",
        dir.path().display()
    );
    Err(Error::new(Kind::Failed, what).hint("a newer nsrun wrote them; use that one"))
}
