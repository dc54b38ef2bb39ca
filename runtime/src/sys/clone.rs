//! `clone3(2)` and `_exit(2)`.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Flags of `clone3`, from `linux/sched.h`. They have their own constants because
/// `libc::CLONE_INTO_CGROUP` is an `i32` that overflows to 0.
pub(crate) mod flags {
    /// New mount namespace.
    pub(crate) const NEWNS: u64 = 0x0002_0000;
    /// New UTS namespace.
    pub(crate) const NEWUTS: u64 = 0x0400_0000;
    /// New IPC namespace.
    pub(crate) const NEWIPC: u64 = 0x0800_0000;
    /// New user namespace.
    pub(crate) const NEWUSER: u64 = 0x1000_0000;
    /// New PID namespace.
    pub(crate) const NEWPID: u64 = 0x2000_0000;
    /// New network namespace.
    pub(crate) const NEWNET: u64 = 0x4000_0000;
    pub(super) const PIDFD: u64 = 0x1000;
    pub(super) const INTO_CGROUP: u64 = 0x2_0000_0000;
}

/// `struct clone_args` of `linux/sched.h`, version 2.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which side of the clone this is.
#[derive(Debug)]
pub(crate) enum Side {
    /// The caller, with the child's number and a descriptor of it.
    Parent { pid: i32, pidfd: OwnedFd },
    /// The new process, on a copy of the caller's stack.
    Child,
}

/// Makes a child process in new namespaces and, if given, in a cgroup v2 directory.
///
/// The caller must have no second thread: the child may only use what needs no lock.
pub(crate) fn clone3(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: namespaces | flags::PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        ..CloneArgs::default()
    };
    if let Some(directory) = cgroup {
        args.flags |= flags::INTO_CGROUP;
        args.cgroup = u64::from(directory.as_raw_fd().unsigned_abs());
    }
    // SAFETY: `args` is a valid clone_args of the given size; without CLONE_VM the child
    // runs on a copy of this stack, so returning twice is sound; `pidfd` outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match super::check(result)? {
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent {
            pid: i32::try_from(pid).map_err(io::Error::other)?,
            // SAFETY: with CLONE_PIDFD the kernel stored a new descriptor that nobody else owns.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// Plain `fork(2)` for a child that is itself such a clone; 0 in the new process, whose number
/// is 2 if that is free.
pub(crate) fn fork_second() -> io::Result<i32> {
    let number: libc::pid_t = 2;
    let mut args = CloneArgs {
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        set_tid: (&raw const number) as u64,
        set_tid_size: 1,
        ..CloneArgs::default()
    };
    match fork(&args) {
        // Not without CAP_SYS_ADMIN, which the user may have taken.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            args.set_tid_size = 0;
            args.set_tid = 0;
            fork(&args)
        }
        other => other,
    }
}

fn fork(args: &CloneArgs) -> io::Result<i32> {
    // SAFETY: as in `clone3`: a copy of the address space, no shared state.
    let result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw const *args, size_of::<CloneArgs>()) };
    super::check(result).and_then(|pid| i32::try_from(pid).map_err(io::Error::other))
}

/// Ends the process without running exit handlers, which belong to the parent.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn clone_args_has_the_layout_of_the_kernel() {
        assert_eq!(size_of::<CloneArgs>(), 88);
        assert_eq!(offset_of!(CloneArgs, pidfd), 8);
        assert_eq!(offset_of!(CloneArgs, exit_signal), 32);
        assert_eq!(offset_of!(CloneArgs, cgroup), 80);
    }

    #[test]
    fn the_flags_are_those_of_the_kernel() {
        assert_eq!(
            flags::NEWUSER,
            u64::from(libc::CLONE_NEWUSER.unsigned_abs())
        );
        assert_eq!(flags::NEWNS, u64::from(libc::CLONE_NEWNS.unsigned_abs()));
        assert_eq!(flags::NEWPID, u64::from(libc::CLONE_NEWPID.unsigned_abs()));
        assert_eq!(flags::NEWNET, u64::from(libc::CLONE_NEWNET.unsigned_abs()));
        assert_eq!(flags::NEWUTS, u64::from(libc::CLONE_NEWUTS.unsigned_abs()));
        assert_eq!(flags::NEWIPC, u64::from(libc::CLONE_NEWIPC.unsigned_abs()));
        assert_eq!(flags::INTO_CGROUP, 1 << 33);
    }
}
