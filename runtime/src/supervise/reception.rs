//! Whether a process would take a signal or lose it.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::signal::Signal;

/// What would become of a signal that is sent now.
///
/// The kernel drops what a PID 1 neither handles nor blocks (pid_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reception {
    /// It would be dropped. Also the answer of a process that has ended.
    Lost,
    /// It is blocked, and the process is doing something. That may be systemd, which reads its signals
    /// from a descriptor in its own time; or a shell that blocks all signals while it starts a command
    /// (in vfork(2), an uninterruptible sleep) and loses them afterwards.
    Busy,
    /// It is blocked, and one that was sent before has not been taken yet.
    Pending,
    /// It is blocked, none is pending, and the process waits for something to happen.
    Awaited,
    /// It has a handler.
    Handled,
}

/// The leader's directory in procfs, opened once, so that it can only be this process's.
#[derive(Debug)]
pub(crate) struct ProcessStatus(OwnedFd);

impl ProcessStatus {
    /// Opens the directory of `pid`, a child that has not been reaped.
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(
            format!("/proc/{pid}"),
            flags,
            Mode::empty(),
        )?))
    }

    /// What would become of `signal`.
    pub(crate) fn reception(&self, signal: Signal) -> Reception {
        let status = self.read();
        status.map_or(Reception::Lost, |status| reception(&status, signal))
    }

    fn read(&self) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.0.as_fd(), "status", flags, Mode::empty())?;
        let mut text = String::new();
        std::fs::File::from(file).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// Whether the process would not lose `signal` if it were sent now.
pub(crate) fn takes(pid: i32, signal: Signal) -> bool {
    let status = ProcessStatus::of(pid);
    status.is_ok_and(|status| status.reception(signal) != Reception::Lost)
}

/// Reads it from a proc_pid_status(5) text.
fn reception(status: &str, signal: Signal) -> Reception {
    let bit = 1_u64 << (signal.number() - 1);
    let set = |key| {
        let mask = value(status, key).and_then(|text| u64::from_str_radix(text, 16).ok());
        mask.is_some_and(|mask| mask & bit != 0)
    };
    if set("SigCgt:") {
        Reception::Handled
    } else if !set("SigBlk:") {
        Reception::Lost
    } else if set("ShdPnd:") {
        Reception::Pending
    } else if value(status, "State:").is_some_and(|state| state.starts_with('S')) {
        Reception::Awaited
    } else {
        Reception::Busy
    }
}

fn value<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = status.lines();
    lines.find_map(|line| line.strip_prefix(key)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// systemd as PID 1 reads its signals from a descriptor: all are blocked. A SIGHUP is on its way.
    const SYSTEMD: &str = "Name:\tsystemd\nState:\tS (sleeping)\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000001\n\
        SigBlk:\t7fe3c0fe28014a03\nSigIgn:\t0000000000001000\nSigCgt:\t00000001000004ec\n";
    /// A shell that runs a script waits for its children only.
    const SHELL: &str = "Name:\tbash\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n\
        SigBlk:\t0000000000010000\nSigIgn:\t0000000000000004\nSigCgt:\t0000000000010002\n";

    #[test]
    fn systemd_takes_the_halt_signal() {
        assert_eq!(reception(SYSTEMD, Signal::HALT), Reception::Awaited);
        assert_eq!(reception(SYSTEMD, Signal::HUP), Reception::Pending);
    }

    #[test]
    fn a_shell_loses_it() {
        assert_eq!(reception(SHELL, Signal::HALT), Reception::Lost);
        assert_eq!(reception(SHELL, Signal::TERM), Reception::Lost);
    }

    #[test]
    fn a_shell_that_starts_a_command_is_busy() {
        let status = "State:\tD (disk sleep)\nSigBlk:\tffffffffffffffff\n";
        assert_eq!(reception(status, Signal::HALT), Reception::Busy);
    }

    #[test]
    fn an_ignored_signal_is_lost_and_a_handled_one_is_not() {
        assert_eq!(reception(SHELL, Signal::QUIT), Reception::Lost);
        assert_eq!(reception(SHELL, Signal::INT), Reception::Handled);
    }

    #[test]
    fn the_highest_signal_has_the_highest_bit() {
        let status = "SigBlk:\t8000000000000000\n";
        let highest = Signal::new(64).unwrap();
        assert_eq!(reception(status, highest), Reception::Busy);
    }

    #[test]
    fn damaged_text_is_no_promise() {
        for status in ["", "SigBlk:\tx\nSigCgt:\t\n", "SigBlk:\n"] {
            assert_eq!(reception(status, Signal::TERM), Reception::Lost);
        }
    }

    #[test]
    fn reads_this_process() {
        let own = i32::try_from(std::process::id()).unwrap();
        let status = ProcessStatus::of(own).unwrap();
        // Rust's runtime handles SIGSEGV to report stack overflows.
        let fault = Signal::new(libc::SIGSEGV).unwrap();
        assert_eq!(status.reception(fault), Reception::Handled);
        assert_eq!(status.reception(Signal::KILL), Reception::Lost);
    }
}
