//! Signals as the payload numbers them.

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::Signal as Named;

use crate::error::{Error, Kind};

/// A signal by number, real-time signals included.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

/// The first real-time signal that glibc leaves to programs. systemd counts from it, whatever
/// libc this program is linked with (musl begins one later).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl Signal {
    /// Hang-up: the terminal went away.
    pub const HUP: Self = Self(libc::SIGHUP);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(libc::SIGINT);
    /// Quit from the keyboard.
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// Ends a process at once.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// Asks a process to end.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// The process was stopped and goes on.
    pub const CONT: Self = Self(libc::SIGCONT);
    /// The terminal's size has changed.
    pub const WINCH: Self = Self(libc::SIGWINCH);
    /// systemd as PID 1: halt. The signal of the container interface for a clean stop.
    pub const HALT: Self = Self(RTMIN + 3);
    /// systemd as PID 1: power off.
    pub const POWER_OFF: Self = Self(RTMIN + 4);
    /// systemd as PID 1: reboot.
    pub const REBOOT: Self = Self(RTMIN + 5);

    /// The signal of that number, 1 to 64.
    #[must_use]
    pub fn new(number: i32) -> Option<Self> {
        (1..=RTMAX).contains(&number).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// Whether a program that gets it is expected to end: hang-up, interrupt, quit, terminate.
    #[must_use]
    pub fn asks_to_end(self) -> bool {
        matches!(self, Self::HUP | Self::INT | Self::QUIT | Self::TERM)
    }

    /// What a shell makes of a command that it ended: 128 and the number.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        u8::try_from(128 + self.0).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RTMIN => f.write_str("SIGRTMIN"),
            number if number > RTMIN => write!(f, "SIGRTMIN+{}", number - RTMIN),
            number => match Named::try_from(number) {
                Ok(named) => f.write_str(named.as_str()),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signal {
    type Err = Error;

    /// Reads a number or a name as in signal(7), with or without `SIG`; `RTMIN+N` and `RTMAX-N` too.
    fn from_str(text: &str) -> Result<Self, Error> {
        let name = text.strip_prefix("SIG").unwrap_or(text);
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            offset(rest, '+').map(|n| RTMIN + n)
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            offset(rest, '-').map(|n| RTMAX - n)
        } else {
            let named = Named::from_str(&format!("SIG{name}")).ok();
            named.map(|s| s as i32).or_else(|| decimal(text))
        };
        number
            .and_then(Self::new)
            .ok_or_else(|| Error::new(Kind::Usage, format!("{text:?} is not a signal")))
    }
}

fn offset(rest: &str, sign: char) -> Option<i32> {
    if rest.is_empty() {
        return Some(0);
    }
    decimal(rest.strip_prefix(sign)?).filter(|n| *n <= RTMAX - RTMIN)
}

/// A number of one or two digits, without the sign that `parse` would take.
fn decimal(text: &str) -> Option<i32> {
    let digits = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn systemd_counts_from_34() {
        let numbers = [Signal::HALT, Signal::POWER_OFF, Signal::REBOOT].map(Signal::number);
        assert_eq!(numbers, [37, 38, 39]);
    }

    #[test]
    fn reads_names_and_numbers() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("9", 9),
            ("SIGRTMIN+3", 37),
            ("RTMIN", 34),
            ("RTMAX-0", 64),
            ("RTMAX-1", 63),
        ] {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_signal() {
        for text in [
            "", "SIG", "0", "65", "-1", "+9", "RTMIN+31", "RTMAX-31", "RTMIN3", "term", "SIG9",
        ] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_signal_reads_back() {
        for number in 1..=64 {
            let signal = Signal::new(number).unwrap();
            if number != 32 && number != 33 {
                assert_eq!(signal.to_string().parse::<Signal>().unwrap(), signal);
            }
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = text.parse::<Signal>();
        }
    }
}
