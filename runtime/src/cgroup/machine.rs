//! The cgroup of a machine that exists, whoever made it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Pid;

use super::branch::{self, Branch};
use super::dir::{Dir, event, flag, is_gone};
use super::leaf::{Leaf, PREFIX};
use super::stats::{self, Stats};
use super::tree;
use crate::device_policy::DevicePolicy;
use crate::error::{Context, Error, Kind, Result};
use crate::virtual_file;

pub(super) const PAYLOAD: &str = "payload";

/// What the payload may own: nspawn's list. The files that limit the payload stay root's.
const DELEGATED: [&str; 9] = [
    ".",
    "cgroup.controllers",
    "cgroup.events",
    "cgroup.procs",
    "cgroup.stat",
    "cgroup.subtree_control",
    "cgroup.threads",
    "memory.oom.group",
    "memory.reclaim",
];

/// Whether the payload of the machine whose scope is at that path has a process; none is in one that is
/// gone. Asks with fewer system calls than an opened [`MachineCgroup`], for a look at many machines.
///
/// # Errors
/// What the kernel says.
pub fn is_populated(scope: &Path) -> Result<bool> {
    payload_event(scope, "populated")
}

/// The same for whether its processes are frozen.
///
/// # Errors
/// What the kernel says.
pub fn is_frozen(scope: &Path) -> Result<bool> {
    payload_event(scope, "frozen")
}

fn payload_event(scope: &Path, key: &str) -> Result<bool> {
    match event(&scope.join(PAYLOAD), key) {
        Err(Errno::NOENT | Errno::NODEV) => Ok(false),
        answer => answer.cannot(|| format!("read cgroup {}", scope.display())),
    }
}

/// A handle on the cgroup of a machine. Dropping it changes nothing.
#[derive(Debug)]
pub struct MachineCgroup {
    path: PathBuf,
    pub(super) dir: Dir,
    payload: Dir,
}

impl MachineCgroup {
    pub(super) fn new(path: PathBuf, dir: Dir, payload: Dir) -> Self {
        Self { path, dir, payload }
    }

    /// Opens what another process made, by the path that it recorded; `None` if it is gone
    /// or was never finished.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let open = || {
            let dir = Dir::open(path)?;
            let payload = dir.child(PAYLOAD)?;
            Ok(Self::new(path.to_owned(), dir, payload))
        };
        match open() {
            Err(Errno::NOENT | Errno::NODEV) => Ok(None),
            opened => opened
                .map(Some)
                .cannot(|| format!("open cgroup {}", path.display())),
        }
    }

    /// The directory of the scope on the host, to be recorded for other processes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that a payload is to be cloned into (`CLONE_INTO_CGROUP`).
    #[must_use]
    pub fn payload(&self) -> BorrowedFd<'_> {
        self.payload.as_fd()
    }

    /// The controllers that the payload has.
    #[must_use]
    pub fn controllers(&self) -> Vec<String> {
        self.payload.words("cgroup.controllers")
    }

    /// Gives the payload's cgroup to the root of its user namespace, as far as the kernel
    /// and systemd want it: the directory and the files for making cgroups below.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        let more = virtual_file::read_text("/sys/kernel/cgroup/delegate").unwrap_or_default();
        for file in DELEGATED.into_iter().chain(more.lines()) {
            match self.payload.give(file, uid, gid) {
                // The kernel lacks the feature, or the cgroup the controller.
                Err(Errno::NOENT) => {}
                given => given.cannot(|| {
                    format!("give {file} of cgroup {} to uid {uid}", self.path.display())
                })?,
            }
        }
        Ok(())
    }

    /// Has the kernel enforce `policy` on the payload until its cgroup is removed.
    ///
    /// # Errors
    /// [`Kind::HostLacks`] if the kernel cannot or the host does not let us.
    pub fn restrict_devices(&self, policy: &DevicePolicy) -> Result<()> {
        policy.enforce(&self.payload).map_err(|errno| {
            let what = format!("cannot restrict devices in cgroup {}", self.path.display());
            Error::new(Kind::HostLacks, what)
                .because(io::Error::from(errno))
                .hint("the kernel needs CONFIG_CGROUP_BPF, and nsrun CAP_BPF or CAP_SYS_ADMIN")
        })
    }

    /// Replaces the payload's cgroup by a new one, for the next boot of the same machine.
    ///
    /// # Errors
    /// [`Kind::Busy`] if there are processes at `deadline` still.
    pub fn renew_payload(&mut self, deadline: Instant) -> Result<()> {
        let what = || format!("renew the payload in cgroup {}", self.path.display());
        remove_payload(&self.dir, deadline).cannot(what)?;
        self.payload = self.dir.make(PAYLOAD).cannot(what)?;
        Ok(())
    }

    /// Makes a cgroup for a command that joins: the payload's own may have no processes
    /// while the service manager inside has controllers enabled. `number` tells commands
    /// apart; the process ID of the joining nsrun does.
    ///
    /// # Errors
    /// What the kernel says: EAGAIN if the payload has used up the machine's cgroups.
    pub fn exec_leaf(&self, number: u32) -> Result<Leaf> {
        Leaf::make(&self.payload, number)
            .cannot(|| format!("make a cgroup for a command in {}", self.path.display()))
    }

    /// Ends every process of the payload with SIGKILL; those that joined, too.
    ///
    /// # Errors
    /// What the kernel says, but not that they are gone.
    pub fn kill(&self) -> Result<()> {
        tree::kill(&self.payload).cannot(|| format!("kill cgroup {}", self.path.display()))
    }

    /// Ends one command that joined, by its number, and whatever it has started.
    ///
    /// # Errors
    /// What the kernel says, but not that they are gone.
    pub fn kill_exec_leaf(&self, number: u32) -> Result<()> {
        super::leaf::kill(&self.payload, number)
            .cannot(|| format!("kill a command in cgroup {}", self.path.display()))
    }

    /// Ends the commands that joined, and nothing else.
    ///
    /// # Errors
    /// What the kernel says, but not that they are gone.
    pub fn kill_leaves(&self) -> Result<()> {
        let what = || format!("kill what joined cgroup {}", self.path.display());
        let children = match self.payload.children() {
            Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
            children => children.cannot(what)?,
        };
        let joined = |name: &&CString| name.to_bytes().starts_with(PREFIX.as_bytes());
        for name in children.iter().filter(joined) {
            match self.payload.child(name.as_c_str()) {
                Err(Errno::NOENT | Errno::NODEV) => {}
                leaf => tree::kill(&leaf.cannot(what)?).cannot(what)?,
            }
        }
        Ok(())
    }

    /// Whether the payload has a process.
    ///
    /// # Errors
    /// What the kernel says, but not that it is gone.
    pub fn populated(&self) -> Result<bool> {
        match self.payload.populated() {
            Err(error) if is_gone(&error) => Ok(false),
            answer => answer.cannot(|| format!("read cgroup {}", self.path.display())),
        }
    }

    /// Waits until the payload has no process; false if it has at `deadline` still.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait_empty(&self, deadline: Instant) -> Result<bool> {
        self.wait("populated", false, deadline)
    }

    /// Stops every process of the payload where it is; false if one has not stopped at
    /// `deadline`, as in an uninterruptible sleep.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn freeze(&self, deadline: Instant) -> Result<bool> {
        self.set_frozen("1")?;
        self.wait("frozen", true, deadline)
    }

    /// Lets the payload go on.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen("0")
    }

    /// Whether [`MachineCgroup::freeze`] has taken effect.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn frozen(&self) -> Result<bool> {
        let events = self.payload.read("cgroup.events");
        events
            .map(|text| flag(&text, "frozen"))
            .cannot(|| format!("read cgroup {}", self.path.display()))
    }

    /// The payload's processes, with their numbers on the host.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        tree::processes(&self.payload).cannot(|| format!("read cgroup {}", self.path.display()))
    }

    /// The scope with all that is below it: the payload and the supervisor.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn tree(&self) -> Result<Branch> {
        let name = self.path.file_name().unwrap_or_default();
        branch::read(&self.dir, name.as_encoded_bytes())
            .cannot(|| format!("read cgroup {}", self.path.display()))
    }

    /// What the payload uses.
    #[must_use]
    pub fn stats(&self) -> Stats {
        stats::read(&self.path, PAYLOAD, &self.payload)
    }

    fn set_frozen(&self, value: &str) -> Result<()> {
        self.payload
            .write("cgroup.freeze", value)
            .cannot(|| format!("freeze or thaw cgroup {}", self.path.display()))
    }

    fn wait(&self, key: &str, wanted: bool, deadline: Instant) -> Result<bool> {
        wait_for(&self.payload, key, wanted, deadline)
            .cannot(|| format!("watch cgroup {}", self.path.display()))
    }
}

/// Removes `payload` and all that the payload made in it.
pub(super) fn remove_payload(scope: &Dir, deadline: Instant) -> Result<()> {
    match tree::remove(scope, PAYLOAD, deadline) {
        Err(Errno::BUSY) => Err(still_busy(scope.child(PAYLOAD).ok().as_ref())),
        removed => removed.cannot(|| "remove the payload's cgroup"),
    }
}

/// Names the processes that keep a cgroup, for the user to look at: such a process hangs
/// in the kernel, since it did not end by SIGKILL.
fn still_busy(payload: Option<&Dir>) -> Error {
    let pids = payload.and_then(|dir| tree::processes(dir).ok());
    let list: Vec<String> = pids.iter().flatten().map(ToString::to_string).collect();
    let what = match list.is_empty() {
        true => "the payload's cgroup is in use".to_owned(),
        false => format!("the payload has processes still: {}", list.join(" ")),
    };
    Error::new(Kind::Busy, what)
}

/// Waits for a line of `cgroup.events`. The kernel tells of changes at most every 10 ms,
/// and a short-lived payload is gone sooner: the first looks come on their own.
fn wait_for(dir: &Dir, key: &str, wanted: bool, deadline: Instant) -> io::Result<bool> {
    let events = match dir.open_file("cgroup.events", OFlags::RDONLY) {
        Err(Errno::NOENT | Errno::NODEV) => return Ok(!wanted),
        opened => opened?,
    };
    let mut pause = Duration::from_micros(500);
    loop {
        let mut text = [0; 256];
        let value = match rustix::io::pread(&events, &mut text, 0) {
            Ok(len) => flag(&String::from_utf8_lossy(&text[..len]), key),
            Err(Errno::NODEV) => false,
            Err(errno) => return Err(errno.into()),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if value == wanted || left.is_zero() {
            return Ok(value == wanted);
        }
        let timeout = Timespec::try_from(left.min(pause)).map_err(io::Error::other)?;
        let mut fds = [PollFd::new(&events, PollFlags::PRI)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
