//! What the payload's standard streams are, and how they meet the user.

use std::str::FromStr;

use super::request::{Mode, Request};
use crate::error::{Error, Kind, Result};

/// What the payload's standard streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// A terminal of the payload's own, forwarded by the supervisor.
    Terminal(Shown),
    /// The caller's streams as they are; there is no `/dev/console`.
    Inherited,
}

/// How the payload's terminal and the user come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Both ways if the caller has a terminal, else the output alone.
    AsItGoes,
    /// Both ways.
    Interactive,
    /// The output alone.
    ReadOnly,
    /// Not at all.
    Not,
}

/// `--console=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleMode {
    /// A terminal, both ways.
    Interactive,
    /// A terminal's output.
    ReadOnly,
    /// A terminal that nobody sees.
    Passive,
    /// The caller's streams.
    Pipe,
    /// A terminal if the caller has one, else the caller's streams.
    AutoPipe,
}

impl FromStr for ConsoleMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "interactive" => Self::Interactive,
            "read-only" => Self::ReadOnly,
            "passive" => Self::Passive,
            "pipe" => Self::Pipe,
            "autopipe" => Self::AutoPipe,
            _ => {
                let what = format!("invalid mode for the console: '{}'", text.escape_debug());
                return Err(Error::new(Kind::Usage, what)
                    .hint("interactive, read-only, passive, pipe, autopipe"));
            }
        })
    }
}

/// A system has a terminal, a command what its caller has, unless it was said otherwise.
pub(super) fn of(request: &Request) -> Result<Console> {
    let shown = Console::Terminal;
    let boots = matches!(request.mode, Mode::Boot { .. });
    Ok(match request.console {
        Some(ConsoleMode::Interactive) if !request.interactive => {
            let what = "--console=interactive needs a terminal for input and output";
            return Err(Error::new(Kind::Usage, what).hint("read-only shows the output alone"));
        }
        Some(ConsoleMode::Interactive) => shown(Shown::Interactive),
        Some(ConsoleMode::ReadOnly) => shown(Shown::ReadOnly),
        Some(ConsoleMode::Passive) => shown(Shown::Not),
        Some(ConsoleMode::Pipe) => Console::Inherited,
        Some(ConsoleMode::AutoPipe) if request.interactive => shown(Shown::Interactive),
        Some(ConsoleMode::AutoPipe) => Console::Inherited,
        None if boots || request.interactive => shown(Shown::AsItGoes),
        None => Console::Inherited,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(boots: bool, interactive: bool, mode: Option<&str>) -> Result<Console> {
        let what = if boots {
            Mode::Boot {
                init: None,
                parameters: Vec::new(),
            }
        } else {
            Mode::Run {
                command: vec!["true".to_owned()],
                as_pid1: false,
            }
        };
        let mut request = Request::new("web".parse().unwrap(), "/image".into(), what);
        request.interactive = interactive;
        request.console = mode.map(|mode| mode.parse().unwrap());
        of(&request)
    }

    #[test]
    fn a_system_has_a_terminal_and_a_command_what_its_caller_has() {
        let as_it_goes = Console::Terminal(Shown::AsItGoes);
        assert_eq!(console(true, false, None).unwrap(), as_it_goes);
        assert_eq!(console(false, true, None).unwrap(), as_it_goes);
        assert_eq!(console(false, false, None).unwrap(), Console::Inherited);
    }

    #[test]
    fn a_mode_that_was_chosen_holds_for_both() {
        for boots in [false, true] {
            let of = |interactive, mode| console(boots, interactive, Some(mode)).ok();
            let shown = |how| Some(Console::Terminal(how));
            assert_eq!(of(true, "interactive"), shown(Shown::Interactive));
            assert_eq!(of(false, "interactive"), None);
            assert_eq!(of(true, "read-only"), shown(Shown::ReadOnly));
            assert_eq!(of(false, "passive"), shown(Shown::Not));
            assert_eq!(of(true, "pipe"), Some(Console::Inherited));
            assert_eq!(of(true, "autopipe"), shown(Shown::Interactive));
            assert_eq!(of(false, "autopipe"), Some(Console::Inherited));
        }
        assert!("other".parse::<ConsoleMode>().is_err());
    }
}
