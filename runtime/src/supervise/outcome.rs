//! How a machine has ended, and what that means for nsrun's own exit.

use rustix::process::WaitIdStatus;

use super::notify::Shutdown;
use super::signal::Signal;

/// The exit status when the payload wants to be started again and the caller does not do so: the
/// one for which systemd's template for nspawn restarts the unit.
pub const REBOOT_STATUS: u8 = 133;

/// How the payload's PID 1 ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited by itself.
    Exited(u8),
    /// It powered off or halted.
    PoweredOff,
    /// It asked for a reboot.
    Rebooted,
    /// A signal ended it.
    Killed(Signal),
}

impl End {
    /// Reads what waitid(2) reported of a process; `namespaced` if that is PID 1 of a PID namespace.
    ///
    /// reboot(2) in a PID namespace ends its PID 1 by SIGHUP for a restart and by SIGINT for halt
    /// and power-off. Neither signal can end a PID 1 otherwise: from inside it is protected, and
    /// from outside only SIGKILL gets through.
    pub(crate) fn from_wait(status: &WaitIdStatus, namespaced: bool) -> Self {
        let signal = status.terminating_signal().and_then(Signal::new);
        match signal {
            Some(Signal::INT) if namespaced => Self::PoweredOff,
            Some(Signal::HUP) if namespaced => Self::Rebooted,
            Some(signal) => Self::Killed(signal),
            None => {
                let status = status.exit_status().unwrap_or_default();
                Self::Exited(u8::try_from(status & 0xff).unwrap_or(u8::MAX))
            }
        }
    }
}

/// Who brought the end about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The payload itself.
    Payload,
    /// It was asked to stop, and did.
    Asked,
    /// It was killed because the request was repeated.
    AskedAgain,
    /// It was killed because its PID 1 was not ready to be asked: it had hardly begun.
    NotReady,
    /// It was killed because it took longer than allowed to stop.
    TooSlow,
    /// The user left the console by `^]^]^]`.
    Left,
}

/// The end of one run of a machine, from its PID 1's start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How PID 1 ended.
    pub end: End,
    /// Who wanted it.
    pub cause: Cause,
    /// The status that PID 1 announced by `EXIT_STATUS=`.
    pub announced: Option<u8>,
    /// The kind of shutdown that PID 1 announced.
    pub shutdown: Option<Shutdown>,
}

impl Outcome {
    /// Whether the machine is to be started again: it rebooted and nobody had asked for its end.
    #[must_use]
    pub fn wants_reboot(&self) -> bool {
        self.end == End::Rebooted && self.cause == Cause::Payload
    }

    /// The exit status for nsrun: the payload's; 0 after a power-off that announced none; 128 and
    /// the signal's number if a signal ended it, asked for or not; [`REBOOT_STATUS`].
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self.end {
            End::Exited(status) => status,
            End::PoweredOff => self.announced.unwrap_or(0),
            End::Rebooted if self.cause == Cause::Payload => REBOOT_STATUS,
            // Asked to stop it came to its end in an orderly way, only by another name.
            End::Rebooted => 0,
            End::Killed(signal) => signal.exit_status(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::{exit_now, fork, fork_into_pid_namespace};
    use rustix::process::{
        Pid, Signal as Raw, WaitId, WaitIdOptions, getpid, kill_process, waitid,
    };
    use rustix::system::{RebootCommand, reboot};

    fn end_of(child: i32, namespaced: bool) -> End {
        let child = Pid::from_raw(child).unwrap();
        let status = waitid(WaitId::Pid(child), WaitIdOptions::EXITED).unwrap();
        End::from_wait(&status.unwrap(), namespaced)
    }

    /// Has PID 1 of a new PID namespace call reboot(2).
    fn reboot_inside(command: RebootCommand) -> End {
        let child = fork_into_pid_namespace().unwrap();
        if child == 0 {
            // Never the host's: only in a namespace of its own is this process PID 1.
            if getpid().as_raw_nonzero().get() == 1 {
                let _ = reboot(command);
            }
            exit_now(99);
        }
        end_of(child, true)
    }

    #[test]
    fn an_exit_status_is_kept() {
        let child = fork().unwrap();
        if child == 0 {
            exit_now(42);
        }
        assert_eq!(end_of(child, true), End::Exited(42));
    }

    #[test]
    fn a_kill_is_told_by_its_signal() {
        let child = fork().unwrap();
        if child == 0 {
            loop {
                std::hint::spin_loop();
            }
        }
        kill_process(Pid::from_raw(child).unwrap(), Raw::KILL).unwrap();
        assert_eq!(end_of(child, true), End::Killed(Signal::KILL));
    }

    #[test]
    fn the_kernel_tells_reboot_from_power_off() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: making a PID namespace needs root");
            return;
        }
        assert_eq!(reboot_inside(RebootCommand::Restart), End::Rebooted);
        assert_eq!(reboot_inside(RebootCommand::PowerOff), End::PoweredOff);
        assert_eq!(reboot_inside(RebootCommand::Halt), End::PoweredOff);
    }

    #[test]
    fn outside_a_namespace_signals_are_just_signals() {
        let child = fork().unwrap();
        if child == 0 {
            loop {
                std::hint::spin_loop();
            }
        }
        kill_process(Pid::from_raw(child).unwrap(), Raw::INT).unwrap();
        assert_eq!(end_of(child, false), End::Killed(Signal::INT));
    }

    #[test]
    fn exit_statuses() {
        let outcome = |end, cause, announced| Outcome {
            end,
            cause,
            announced,
            shutdown: None,
        };
        let table = [
            (End::Exited(7), Cause::Payload, None, 7, false),
            (End::PoweredOff, Cause::Payload, None, 0, false),
            (End::PoweredOff, Cause::Asked, Some(3), 3, false),
            (End::Rebooted, Cause::Payload, None, 133, true),
            (End::Rebooted, Cause::Asked, None, 0, false),
            (End::Killed(Signal::KILL), Cause::Payload, None, 137, false),
            (End::Killed(Signal::KILL), Cause::Left, None, 137, false),
        ];
        for (end, cause, announced, status, again) in table {
            let outcome = outcome(end, cause, announced);
            assert_eq!(
                (outcome.exit_status(), outcome.wants_reboot()),
                (status, again)
            );
        }
    }
}
