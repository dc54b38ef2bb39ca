//! Signals by number: nix knows no real-time signals, rustix none that libc reserves.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Sends `signal` to the process behind `pidfd`; a process that has ended gives `ESRCH`.
pub(crate) fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a NULL siginfo is allowed; the kernel fills in what kill(2) would.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            no_info,
            0,
        )
    };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Waits for one of `signals`, all of which are blocked, and takes it.
///
/// child: async-signal-safe, no allocation
pub(crate) fn wait(signals: &SigSet) -> io::Result<i32> {
    // SAFETY: the set is initialised and a NULL siginfo is allowed.
    let signal = unsafe { libc::sigwaitinfo(signals.as_ref(), std::ptr::null_mut()) };
    if signal == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(signal)
    }
}

/// Has `handler` run once when the process is about to die of a fault of its own.
///
/// `handler` may only call what signal-safety(7) allows, and has to raise the signal again.
pub(crate) fn on_crash(handler: extern "C" fn(i32)) -> nix::Result<()> {
    // A stack overflow leaves no room on the ordinary stack. Rust gives the main thread another.
    let flags = SaFlags::SA_ONSTACK | SaFlags::SA_RESETHAND;
    let action = SigAction::new(SigHandler::Handler(handler), flags, SigSet::empty());
    for signal in [
        Signal::SIGABRT,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGSEGV,
        Signal::SIGSYS,
        Signal::SIGTRAP,
    ] {
        // SAFETY: the caller vouches that the handler is async-signal-safe.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// Sends `signal` to this thread.
///
/// Async-signal-safe.
pub(crate) fn raise(signal: i32) {
    // SAFETY: raise(3) has no preconditions. nix's wants a signal by name.
    unsafe { libc::raise(signal) };
}

/// Closes every descriptor from `first` on.
///
/// For a process that will never return to code which owns one of them.
///
/// child: async-signal-safe, no allocation
pub(crate) fn close_from(first: u32) {
    // SAFETY: the caller ends by _exit, so no owner closes its number a second time.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}
