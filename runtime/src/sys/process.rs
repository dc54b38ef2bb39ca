//! Per-process settings that a payload must not inherit.

use std::io;
use std::mem;

/// Sets every signal to its default action and unblocks all.
///
/// Rust ignores SIGPIPE and the supervisor blocks what it reads by signalfd; both would
/// pass through `execve`.
pub(crate) fn reset_signals() -> io::Result<()> {
    // SAFETY: an all-zero sigaction is a valid value: SIG_DFL with an empty mask.
    let default: libc::sigaction = unsafe { mem::zeroed() };
    for signal in 1..=64 {
        // SAFETY: `default` is initialised. libc refuses SIGKILL, SIGSTOP and the two numbers
        // that it keeps for itself, which is fine.
        unsafe { libc::sigaction(signal, &raw const default, std::ptr::null_mut()) };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Joins a fresh anonymous session keyring, so that no key of the host's session is possessed.
pub(crate) fn new_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a NULL name asks for an anonymous keyring.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, 0, 0, 0, 0) };
    super::check(result).map(drop)
}

/// Sets what uname(2) tells of the processor, and other habits of the kernel.
pub(crate) fn personality(number: u64) -> io::Result<()> {
    // SAFETY: personality(2) takes a number and changes this process alone.
    let result = unsafe { libc::syscall(libc::SYS_personality, number) };
    super::check(result).map(drop)
}

/// Marks every descriptor from `first` on to be closed by `execve`.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: with CLOSE_RANGE_CLOEXEC no descriptor is closed now, so no owner is invalidated.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    super::check(result).map(drop)
}

/// Makes this process end as if by SIGKILL, which PID 1 of a namespace cannot send itself.
#[cfg(feature = "fault")]
pub(crate) fn die() -> ! {
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    super::clone::exit_now(137)
}
