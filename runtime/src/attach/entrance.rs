//! The way into a machine's files and mounts, for a process of nsrun's that stays nsrun.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sched::CloneFlags;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid};

use crate::error::{Context, Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::launch::process;
use crate::name::MachineName;
use crate::range::Range;
use crate::state::{Identity, Machine, PidFd, State, Store};

/// A machine that has mounts and processes: it runs, or is paused.
#[derive(Debug)]
pub(crate) struct Entrance {
    leader: PidFd,
    identity: Identity,
    range: Option<Range>,
    root: ImageRoot,
    /// The process that enters by its children.
    visitor: Pid,
}

impl Entrance {
    /// Finds the machine of that name.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none that is up.
    pub(crate) fn find(store: &Store, name: &MachineName) -> Result<Self> {
        let machine = store.machine(name)?.ok_or_else(|| store.absent(name))?;
        Self::of(store, &machine)
    }

    /// That of a machine which was found.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not up.
    pub(crate) fn of(store: &Store, machine: &Machine) -> Result<Self> {
        let name = machine.name();
        let state = machine.state()?;
        if !matches!(state, State::Running | State::Paused) {
            return Err(not_up(store, name, state));
        }
        let leader = machine.leader()?.ok_or_else(|| store.absent(name))?;
        let range = machine.record().and_then(|record| record.range);
        let root = ImageRoot::open(format!("/proc/{}/root", leader.pid()).as_ref())?;
        // Had it ended before its root was opened, the number could be another's.
        let identity = leader.identity().cannot(|| format!("examine {name}"))?;
        Ok(Self {
            identity: identity.ok_or_else(|| store.absent(name))?,
            leader,
            range,
            root,
            visitor: rustix::process::getpid(),
        })
    }

    /// Its PID 1.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The ids that its own are mapped to, with a user namespace.
    pub(crate) fn range(&self) -> Option<Range> {
        self.range
    }

    /// Its root directory, as the host sees it.
    pub(crate) fn root(&self) -> &ImageRoot {
        &self.root
    }

    /// For the process that is to enter: nobody inside may look into it, and it ends with nsrun.
    pub(crate) fn shield(&self) -> Result<(), Errno> {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        self.die_with_nsrun()
    }

    fn die_with_nsrun(&self) -> Result<(), Errno> {
        process::die_with_parent()?;
        // It may have ended before it was asked for.
        match rustix::process::getppid() == Some(self.visitor) {
            true => Ok(()),
            false => Err(Errno::SRCH),
        }
    }

    /// Enters its user namespace, if it has one.
    pub(crate) fn enter_users(&self) -> Result<(), Errno> {
        match self.range {
            Some(_) => set(self.leader.as_fd(), CloneFlags::CLONE_NEWUSER),
            None => Ok(()),
        }
    }

    /// Enters its mount namespace; its root directory is the root and the working directory then.
    pub(crate) fn enter_mounts(&self) -> Result<(), Errno> {
        set(self.leader.as_fd(), CloneFlags::CLONE_NEWNS)
    }

    /// Enters its network namespace.
    pub(crate) fn enter_network(&self) -> Result<(), Errno> {
        set(self.leader.as_fd(), CloneFlags::CLONE_NEWNET)
    }

    /// Becomes its root, who has no other groups.
    pub(crate) fn become_root(&self) -> Result<(), Errno> {
        process::become_root()?;
        self.die_with_nsrun()
    }
}

fn set(leader: BorrowedFd<'_>, namespaces: CloneFlags) -> Result<(), Errno> {
    nix::sched::setns(leader, namespaces).map_err(|e| Errno::from_raw_os_error(e as i32))
}

fn not_up(store: &Store, name: &MachineName, state: State) -> Error {
    match state {
        State::Dead => store.absent(name),
        state => Error::new(
            Kind::NotFound,
            format!("machine {name} is {state}, not running"),
        )
        .hint(format!("see nsrun status {name}")),
    }
}
