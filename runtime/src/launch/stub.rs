//! PID 1 for a payload that is one command: reaps, passes signals on, ends with the command.
//!
//! child: everything here is async-signal-safe and allocates nothing.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::sys;

/// What systemd understands as halt, power off, reboot and kexec, each also in its immediate form:
/// SIGRTMIN+3 to +6 and +13 to +16, counted as glibc does.
const SHUTDOWN: [std::ops::RangeInclusive<i32>; 2] = [37..=40, 47..=50];

/// Blocks all signals. To be called before the fork, so that none is lost between it and [`run`].
pub(crate) fn block_signals() -> Result<(), Errno> {
    SigSet::all()
        .thread_block()
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))
}

/// Undoes that in the command-to-be, whose signals have been reset before.
pub(super) fn unblock_signals() -> Result<(), Errno> {
    SigSet::empty()
        .thread_set_mask()
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))
}

/// In PID 1, after the fork: waits for `command` to end and returns the exit status for PID 1, with
/// which everything else in the PID namespace ends. That is the command's, or 128 and the signal that
/// ended it.
///
/// All descriptors are closed: whoever waits for the end of a pipe must not wait for PID 1.
pub(crate) fn run(command: Pid) -> u8 {
    release_files();
    let all = SigSet::all();
    let queue = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC).ok();
    loop {
        // The only error is EINTR, after a stop.
        match next(queue.as_ref(), &all) {
            Ok(libc::SIGCHLD) => {
                if let Some(status) = reap(command) {
                    return status;
                }
            }
            Ok(signal) => pass(command, signal),
            Err(_) => {}
        }
    }
}

/// Waits for a signal. From a descriptor, if there is one: sigwaitinfo(2) unblocks what it waits for,
/// and to those who look at /proc/1/status a PID 1 that blocks nothing would seem to lose signals.
fn next(queue: Option<&SignalFd>, all: &SigSet) -> std::io::Result<i32> {
    let Some(queue) = queue else {
        return sys::signal::wait(all);
    };
    let signal = queue.read_signal()?.ok_or(std::io::ErrorKind::WouldBlock)?;
    i32::try_from(signal.ssi_signo).map_err(|_| std::io::ErrorKind::InvalidData.into())
}

/// Standard input, output and error become /dev/null; without it they stay.
fn release_files() {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY;
    if let Ok(null) = rustix::fs::open(c"/dev/null", flags, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    sys::signal::close_from(3);
}

/// Takes every child that has ended; one SIGCHLD may stand for many.
fn reap(command: Pid) -> Option<u8> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => return Some(exit_status(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

fn exit_status(status: WaitStatus) -> u8 {
    let number = match status.terminating_signal() {
        Some(signal) => 128 + signal,
        None => status.exit_status().unwrap_or(1),
    };
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn pass(command: Pid, signal: i32) {
    if SHUTDOWN.iter().any(|range| range.contains(&signal)) {
        // A command that is stopped has to go on to notice; a login shell ends of the hang-up only.
        for signal in [Signal::TERM, Signal::CONT, Signal::HUP] {
            let _ = rustix::process::kill_process(command, signal);
        }
    } else if let Some(signal) = Signal::from_named_raw(signal) {
        // It may have ended a moment ago.
        let _ = rustix::process::kill_process(command, signal);
    }
}

#[cfg(test)]
mod tests;
