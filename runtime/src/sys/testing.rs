//! Child processes for tests that play a payload.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use nix::sys::signal::SigSet;

/// Forks. libc makes its allocator usable in the child.
pub(crate) fn fork() -> io::Result<i32> {
    // SAFETY: the child calls nothing that needs a lock of another thread but libc's own.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

/// Forks, the child being PID 1 of a PID namespace of its own. The child must not allocate.
pub(crate) fn fork_into_pid_namespace() -> io::Result<i32> {
    bare_fork(libc::CLONE_NEWPID)
}

/// Forks by the system call alone, for children that have no use of libc's locks.
pub(crate) fn bare_fork(flags: i32) -> io::Result<i32> {
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: without CLONE_VM the child has its own copy of the memory, as after fork(2).
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if pid == -1 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(pid).map_err(io::Error::other)
}

/// Ends the process without running destructors or exit handlers.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Runs `script` in a shell that is PID 1 of a PID namespace of its own, on `terminal`, with no
/// signal blocked.
pub(crate) fn shell_as_init(script: &CStr, terminal: BorrowedFd<'_>) -> io::Result<i32> {
    let argv = [
        c"sh".as_ptr(),
        c"-c".as_ptr(),
        script.as_ptr(),
        std::ptr::null(),
    ];
    let none = SigSet::empty();
    let pid = fork_into_pid_namespace()?;
    if pid == 0 {
        let _ = rustix::stdio::dup2_stdin(terminal);
        let _ = rustix::stdio::dup2_stdout(terminal);
        let _ = rustix::stdio::dup2_stderr(terminal);
        let _ = none.thread_set_mask();
        // SAFETY: the strings were prepared before the fork, and a NULL ends the list.
        unsafe { libc::execv(c"/bin/sh".as_ptr(), argv.as_ptr()) };
        exit_now(127);
    }
    Ok(pid)
}
