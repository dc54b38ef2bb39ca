//! Whether a process would take a signal or lose it.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::signal::Signal;

/// The leader's directory in procfs, opened once, so that it can only be this process's.
#[derive(Debug)]
pub(crate) struct Reception(OwnedFd);

impl Reception {
    /// Opens the directory of `pid`, a child that has not been reaped.
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(
            format!("/proc/{pid}"),
            flags,
            Mode::empty(),
        )?))
    }

    /// Whether `signal` sent now would be handled, or stay pending until it is.
    ///
    /// The kernel drops what a PID 1 neither handles nor blocks (pid_namespaces(7)). A process
    /// that cannot be asked is one that has ended.
    pub(crate) fn takes(&self, signal: Signal) -> bool {
        self.status()
            .is_ok_and(|status| mentions(&status, signal).unwrap_or(false))
    }

    fn status(&self) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.0.as_fd(), "status", flags, Mode::empty())?;
        let mut text = String::new();
        std::fs::File::from(file).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// Whether `SigBlk` or `SigCgt` of a proc_pid_status(5) text has the signal; `None` without both lines.
fn mentions(status: &str, signal: Signal) -> Option<bool> {
    let bit = 1_u64 << (signal.number() - 1);
    let blocked = mask(status, "SigBlk:")?;
    let caught = mask(status, "SigCgt:")?;
    Some((blocked | caught) & bit != 0)
}

fn mask(status: &str, key: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// systemd as PID 1 reads its signals from a descriptor: all are blocked.
    const SYSTEMD: &str = "Name:\tsystemd\nSigPnd:\t0000000000000000\n\
        SigBlk:\t7fe3c0fe28014a03\nSigIgn:\t0000000000001000\nSigCgt:\t00000001000004ec\n";
    /// A shell that runs a script waits for its children only.
    const SHELL: &str = "Name:\tbash\nSigPnd:\t0000000000000000\n\
        SigBlk:\t0000000000010000\nSigIgn:\t0000000000000004\nSigCgt:\t0000000000010002\n";

    #[test]
    fn systemd_takes_the_halt_signal() {
        assert_eq!(mentions(SYSTEMD, Signal::HALT), Some(true));
    }

    #[test]
    fn a_shell_loses_it() {
        assert_eq!(mentions(SHELL, Signal::HALT), Some(false));
        assert_eq!(mentions(SHELL, Signal::TERM), Some(false));
    }

    #[test]
    fn handled_and_blocked_both_count() {
        assert_eq!(mentions(SHELL, Signal::INT), Some(true));
        assert_eq!(mentions(SHELL, Signal::new(17).unwrap()), Some(true));
    }

    #[test]
    fn the_highest_signal_has_the_highest_bit() {
        let status = "SigBlk:\t8000000000000000\nSigCgt:\t0\n";
        assert_eq!(mentions(status, Signal::new(64).unwrap()), Some(true));
    }

    #[test]
    fn damaged_text_is_no_answer() {
        for status in ["", "SigBlk:\t0\n", "SigBlk:\tx\nSigCgt:\t0\n"] {
            assert_eq!(mentions(status, Signal::TERM), None);
        }
    }

    #[test]
    fn reads_this_process() {
        let own = i32::try_from(std::process::id()).unwrap();
        let reception = Reception::of(own).unwrap();
        // Rust's runtime handles SIGSEGV to report stack overflows.
        assert!(reception.takes(Signal::new(libc::SIGSEGV).unwrap()));
        assert!(!reception.takes(Signal::KILL));
    }
}
