//! Mount trees whose masks are locks.
//!
//! The kernel locks the mounts of a namespace when it is copied for a user namespace that
//! is not its owner's (`mount_namespaces(7)`). A short-lived helper therefore enters a nested
//! user and mount namespace, clones the trees there and leaves the descriptors behind: what is
//! mounted below them can no longer be taken off or changed by the container's root.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use nix::sched::CloneFlags;

/// How many trees one helper clones.
pub(crate) const COUNT: usize = 2;

const STACK: usize = 16 * 1024;

/// How the helper gets into a mount namespace of another user namespace's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Crossing<'a> {
    /// Down: into a user namespace below the caller's, with a copy of the caller's mounts.
    Nested,
    /// Up: from the initial user namespace into a copy of this mount namespace of a container's.
    Copy(BorrowedFd<'a>),
}

struct Task<'a> {
    paths: [&'a CStr; COUNT],
    copy: Option<BorrowedFd<'a>>,
    fds: [c_int; COUNT],
    errno: c_int,
}

/// The clones, and the helper that must be reaped by [`reap`].
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) trees: [OwnedFd; COUNT],
    pub(crate) helper: i32,
}

/// Clones the mount trees at `paths`, with everything below them locked. Allocates nothing.
pub(crate) fn clone_locked(paths: [&CStr; COUNT], crossing: Crossing<'_>) -> io::Result<Locked> {
    #[repr(align(16))]
    struct Stack([u8; STACK]);
    let mut stack = Stack([0; STACK]);
    let (namespaces, copy) = match crossing {
        Crossing::Nested => (libc::CLONE_NEWUSER | libc::CLONE_NEWNS, None),
        Crossing::Copy(mounts) => (0, Some(mounts)),
    };
    let mut task = Task {
        paths,
        copy,
        fds: [-1; COUNT],
        errno: 0,
    };
    let sharing = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES;
    let flags = sharing | namespaces | libc::SIGCHLD;
    let top = stack.0.as_mut_ptr_range().end;
    // SAFETY: CLONE_VFORK suspends this process until the helper exits, so `stack` and `task`
    // are used by one side at a time and outlive the helper; the pointer is the stack's upper,
    // 16-byte aligned end, as architectures with a downward stack want it.
    let pid = unsafe { libc::clone(helper, top.cast(), flags, (&raw mut task).cast()) };
    super::check(pid.into())?;
    if task.errno != 0 {
        reap(pid);
        return Err(io::Error::from_raw_os_error(task.errno));
    }
    // SAFETY: CLONE_FILES shares the descriptor table, so the helper's descriptors are ours and
    // nobody else's.
    let trees = task.fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(Locked { trees, helper: pid })
}

/// Waits for the helper, which has exited already.
pub(crate) fn reap(helper: i32) {
    // SAFETY: waitpid with a NULL status has no preconditions.
    unsafe { libc::waitpid(helper, std::ptr::null_mut(), libc::__WALL) };
}

extern "C" fn helper(argument: *mut c_void) -> c_int {
    // SAFETY: `argument` is the Task that the suspended parent keeps alive.
    let task = unsafe { &mut *argument.cast::<Task<'_>>() };
    if let Some(mounts) = task.copy {
        let entered = nix::sched::setns(mounts, CloneFlags::CLONE_NEWNS);
        let copied = entered.and_then(|()| nix::sched::unshare(CloneFlags::CLONE_NEWNS));
        if let Err(errno) = copied {
            task.errno = errno as c_int;
            return 1;
        }
    }
    for (path, fd) in task.paths.iter().zip(&mut task.fds) {
        let flags =
            libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE.unsigned_abs();
        // SAFETY: `path` is NUL-terminated.
        let result =
            unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
        match c_int::try_from(result) {
            Ok(opened) if opened >= 0 => *fd = opened,
            _ => {
                task.errno = nix::errno::Errno::last_raw();
                return 1;
            }
        }
    }
    0
}
