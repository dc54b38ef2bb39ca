//! The joining process between its making and `execve`. Allocates nothing.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid};
use rustix::pty::OpenptFlags;

use super::user::User;
use crate::launch::process;
use crate::launch::wire::{self, Kind, Message};
use crate::seccomp::Filter;
use crate::sys;
use crate::sys::exec::CVec;

/// Everything that is known before the process is made.
pub(super) struct Script {
    pub(super) namespaces: CloneFlags,
    pub(super) terminal: bool,
    pub(super) workdir: CString,
    pub(super) capabilities: u64,
    pub(super) no_new_privileges: bool,
    pub(super) filter: Filter,
    pub(super) user: Option<Ids>,
    pub(super) program: CString,
    pub(super) argv: CVec,
    pub(super) env: CVec,
}

/// Another user's ids.
pub(super) struct Ids {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Ids {
    pub(super) fn of(user: &User) -> Self {
        let own = Gid::from_raw(user.gid);
        let more = user.groups.iter().copied().map(Gid::from_raw);
        Self {
            uid: Uid::from_raw(user.uid),
            gid: own,
            groups: more.chain([own]).collect(),
        }
    }
}

/// The steps in words, by the number that a failure is reported with.
pub(super) const STEPS: &[&str] = &[
    "shield the process from the container",
    "enter the namespaces of the container",
    "become root of the container",
    "tie the life to that of nsrun",
    "open a terminal of the container",
    "hand the terminal over",
    "reset signals",
    "join a new session keyring",
    "change to the working directory",
    "make a session",
    "filter system calls",
    "keep the container's capabilities",
    "become the user",
    "tie the life to that of nsrun once more",
    "close all but the standard streams on exec",
    "execute the program",
];

/// The last step: its failure is the command's, not ours.
pub(super) const EXECUTE: usize = STEPS.len() - 1;

/// Joins and becomes the command, or reports why not and exits.
pub(super) fn run(script: &Script, leader: BorrowedFd<'_>, control: &OwnedFd) -> ! {
    let mut step = 0;
    let errno = match join(script, leader, control, &mut step) {
        Ok(()) => Errno::IO,
        Err(errno) => errno,
    };
    let message = Message {
        kind: Kind::Failed,
        op: step,
        errno: errno.raw_os_error(),
    };
    // A parent that is gone needs no report.
    let _ = wire::send(control.as_fd(), message, &[]);
    sys::clone::exit_now(125)
}

fn join(
    script: &Script,
    leader: BorrowedFd<'_>,
    control: &OwnedFd,
    step: &mut u32,
) -> Result<(), Errno> {
    let mut next = |result: Result<(), Errno>| {
        result?;
        *step += 1;
        Ok::<(), Errno>(())
    };
    // Until execve the image of this process is nsrun's: nobody inside may look into it.
    next(rustix::process::set_dumpable_behavior(
        DumpableBehavior::NotDumpable,
    ))?;
    next(enter(leader, script.namespaces))?;
    next(process::become_root())?;
    next(process::die_with_parent())?;
    let (master, console) = match terminal(script.terminal) {
        Ok(pair) => pair,
        Err(errno) => return next(Err(errno)),
    };
    next(Ok(()))?;
    let given: &[BorrowedFd<'_>] = match &master {
        Some(master) => &[master.as_fd()],
        None => &[],
    };
    next(wire::send(
        control.as_fd(),
        Message::plain(Kind::Ready),
        given,
    ))?;
    next(sys::process::reset_signals().map_err(errno))?;
    next(sys::process::new_session_keyring().map_err(errno))?;
    next(rustix::process::chdir(script.workdir.as_c_str()))?;
    next(process::session(console.as_ref()))?;
    // In this order: a filter takes CAP_SYS_ADMIN to install.
    next(restrict(script))?;
    next(process::restrict(script.capabilities, 0, None, None))?;
    next(script.user.as_ref().map_or(Ok(()), become_user))?;
    next(process::die_with_parent())?;
    next(sys::process::close_on_exec_from(3).map_err(errno))?;
    next(Err(errno(sys::exec::execve(
        &script.program,
        &script.argv,
        &script.env,
    ))))
}

fn enter(leader: BorrowedFd<'_>, namespaces: CloneFlags) -> Result<(), Errno> {
    nix::sched::setns(leader, namespaces).map_err(|e| Errno::from_raw_os_error(e as i32))
}

type Terminal = (Option<OwnedFd>, Option<OwnedFd>);

/// Master and payload side of a terminal in the container's devpts.
fn terminal(wanted: bool) -> Result<Terminal, Errno> {
    if !wanted {
        return Ok((None, None));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let master = rustix::fs::open(c"/dev/pts/ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let peer = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let console = rustix::pty::ioctl_tiocgptpeer(&master, peer)?;
    Ok((Some(master), Some(console)))
}

/// The kernel takes the capabilities away with root's id.
fn become_user(ids: &Ids) -> Result<(), Errno> {
    rustix::thread::set_thread_groups(&ids.groups)?;
    rustix::thread::set_thread_res_gid(ids.gid, ids.gid, ids.gid)?;
    rustix::thread::set_thread_res_uid(ids.uid, ids.uid, ids.uid)
}

fn restrict(script: &Script) -> Result<(), Errno> {
    if script.no_new_privileges {
        rustix::thread::set_no_new_privs(true)?;
    }
    script
        .filter
        .install()
        .map_err(|e| Errno::from_raw_os_error(e as i32))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
