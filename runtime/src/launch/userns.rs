//! A user namespace that nobody is in, for its maps alone.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::error::{Context, Result};
use crate::sys::clone::{self, Side, flags};
use crate::sys::ns::{self, Namespace};

/// Makes a namespace that maps the `length` ids from `from` on to those from `to` on.
pub(crate) fn with_map(from: u32, to: u32, length: u32) -> Result<OwnedFd> {
    let line = format!("{from} {to} {length}\n");
    with_maps(&line, &line)
}

/// Makes a namespace that maps users and groups as the lines say.
pub(super) fn with_maps(users: &str, groups: &str) -> Result<OwnedFd> {
    let what = || {
        format!(
            "make a user namespace that maps ids by '{}'",
            users.trim_end()
        )
    };
    let (ours, theirs) = std::io::pipe()
        .cannot(what)
        .map(|(read, write)| (write, read))?;
    match clone::clone3(flags::NEWUSER, None).cannot(what)? {
        Side::Child => {
            drop(ours);
            // The end of the pipe is the end of the wait, even if it is that of the parent.
            let _ = rustix::io::read(&theirs, &mut [0; 1]);
            clone::exit_now(0)
        }
        Side::Parent { pid, pidfd } => {
            let namespace = write_both(pid, users, groups)
                .and_then(|()| ns::open(pidfd.as_fd(), pid, Namespace::User));
            drop(ours);
            // Its status says nothing.
            let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            namespace.cannot(what)
        }
    }
}

/// Gives the namespace of a new process its maps, of users and groups alike.
pub(super) fn write_maps(pid: i32, line: &str) -> std::io::Result<()> {
    write_both(pid, line, line)
}

fn write_both(pid: i32, users: &str, groups: &str) -> std::io::Result<()> {
    std::fs::write(format!("/proc/{pid}/uid_map"), users)?;
    std::fs::write(format!("/proc/{pid}/gid_map"), groups)
}
