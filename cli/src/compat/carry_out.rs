//! Doing what a translation says, in the peer's words.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use nsrun_runtime::machine;
use nsrun_runtime::state::State;
use nsrun_runtime::{Error, Kind, MachineName};

use super::Peer;
use super::step::{Refusal, Step, Subject, Translation};
use super::views;
use crate::args::Cli;
use crate::foreign::{self, Answer};
use crate::globals::Globals;
use crate::{cmd, report};

/// The peers have one status for all that fails.
const FAILED: u8 = 1;

/// How long a start waits for the end of the machine's last run: as long as systemd's unit for
/// machines lets a stop take.
const LAST_RUN: Duration = Duration::from_secs(120);

/// Why a step has failed.
enum Failure {
    /// The verb was tried.
    Tried(Error),
    /// Its words are none of nsrun's.
    Words(clap::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Tried(error)
    }
}

/// Does all steps, or those until the first that fails.
pub(super) fn all(peer: Peer, translation: &Translation) -> ExitCode {
    for step in &translation.steps {
        match one(peer, step) {
            Ok(ExitCode::SUCCESS) => {}
            Ok(status) => return status,
            Err(failure) => {
                tell(&failure, step, translation);
                return FAILED.into();
            }
        }
    }
    ExitCode::SUCCESS
}

/// Says why nothing is done, or what was asked of the program itself.
pub(super) fn refuse(peer: Peer, refusal: &Refusal) -> ExitCode {
    match refusal {
        Refusal::Unsupported(text) => report::note(text),
        Refusal::Words(error) if error.kind() == ErrorKind::UnknownArgument => {
            // getopt(3) says so; scripts look for it to learn which options there are.
            let (name, option) = (peer.name(), argument(error).unwrap_or_default());
            report::note(format_args!("{name}: unrecognized option '{option}'"));
        }
        Refusal::Words(error) => {
            // Nobody is left to be told if this fails.
            let _ = error.print();
            if !error.use_stderr() {
                return ExitCode::SUCCESS;
            }
        }
    }
    FAILED.into()
}

fn one(peer: Peer, step: &Step) -> Result<ExitCode, Failure> {
    match step {
        Step::Nsrun { words, .. } => return nsrun(peer, words),
        Step::Session { words, .. } => {
            // Theirs does not tell how the command ended.
            nsrun(peer, words)?;
        }
        Step::Start { name, words } => return start(peer, name, words),
        Step::Machines(style) => views::machines(style, &globals()?)?,
        Step::Images(style) => views::images(style, &globals()?)?,
        Step::ImagesWithPaths(style) => views::images_with_paths(style, &globals()?)?,
        Step::ImageProperties { name, choice } => {
            views::image_properties(name, choice, &globals()?)?;
        }
        Step::Pool { choice } => views::pool(choice.as_ref(), &globals()?),
        Step::Say(line) => report::line(line),
        Step::Note(line) => report::note(line),
    }
    Ok(ExitCode::SUCCESS)
}

fn nsrun(peer: Peer, words: &[String]) -> Result<ExitCode, Failure> {
    let (cli, globals) = parse(peer, words)?;
    Ok(cmd::attempt(&cli.command, &globals)?)
}

fn parse(peer: Peer, words: &[String]) -> Result<(Cli, Globals), Failure> {
    let words = ["nsrun".into()]
        .into_iter()
        .chain(words.iter().map(OsString::from));
    let words: Vec<OsString> = words.collect();
    let cli = Cli::try_parse_from(&words).map_err(Failure::Words)?;
    let mut globals = cli.globals(&words);
    globals.peer = Some(peer);
    Ok((cli, globals))
}

/// What views need to know; they have no command line of nsrun's.
fn globals() -> Result<Globals, Failure> {
    let globals = parse(Peer::Machinectl, &["list".to_owned()])?.1;
    cmd::require_root()?;
    Ok(globals)
}

/// As with a unit that is active already, there is nothing to do for a machine that runs.
fn start(peer: Peer, name: &str, words: &[String]) -> Result<ExitCode, Failure> {
    let (cli, globals) = parse(peer, words)?;
    cmd::require_root()?;
    let machine: MachineName = name.parse()?;
    match machine::state(&globals.dirs, &machine)? {
        Some(State::Stopping) => match machine::wait(&globals.dirs, &machine, LAST_RUN) {
            Err(error) if error.kind() != Kind::NotFound => return Err(error.into()),
            _ => {}
        },
        Some(State::Starting | State::Running | State::Paused) => return Ok(ExitCode::SUCCESS),
        Some(State::Orphaned | State::Dead) | None => {}
    }
    Ok(cmd::attempt(&cli.command, &globals)?)
}

fn tell(failure: &Failure, step: &Step, translation: &Translation) {
    let (cause, hint) = match failure {
        Failure::Words(error) => refused(error),
        Failure::Tried(error) => match missing(error, step, translation.subject) {
            Some(text) => (text, None),
            None => (error.to_string(), error.advice()),
        },
    };
    report::note(match translation.failure {
        "" => cause,
        what => format!("{what}: {cause}"),
    });
    if let Some(hint) = hint {
        report::note(format_args!("hint: {hint}"));
    }
}

/// What is missing is told as machined does: scripts look for it.
fn missing(error: &Error, step: &Step, subject: Subject) -> Option<String> {
    if error.kind() != Kind::NotFound {
        return None;
    }
    let name = match step {
        Step::Start { name, .. } => {
            return Some(format!("Machine image '{name}' does not exist."));
        }
        Step::Nsrun { name, .. } => name.as_ref()?,
        Step::Session { name, .. } | Step::ImageProperties { name, .. } => name,
        _ => return None,
    };
    Some(match subject {
        Subject::Machine => format!("No machine '{name}' known"),
        Subject::Image => format!("No image '{name}' known"),
    })
}

/// Why nsrun's own grammar refuses what was passed on.
fn refused(error: &clap::Error) -> (String, Option<&'static str>) {
    match (error.kind(), argument(error)) {
        (ErrorKind::UnknownArgument, Some(option)) => {
            let option = option.split('=').next().unwrap_or(option);
            match foreign::answer(option) {
                Some(Answer::Not(why)) => {
                    (format!("{option} is not supported by nsrun: {why}"), None)
                }
                Some(Answer::Instead(words)) => {
                    (format!("{option} is not supported by nsrun"), Some(words))
                }
                None => (format!("{option} is not supported by nsrun"), None),
            }
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            (line.trim_start_matches("error: ").to_owned(), None)
        }
    }
}

fn argument(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => Some(argument),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(words: &[&str]) -> (String, Option<&'static str>) {
        let words = [&["nsrun"], words].concat();
        refused(&Cli::try_parse_from(words).unwrap_err())
    }

    #[test]
    fn what_the_grammar_refuses_is_told_in_one_line() {
        let (text, hint) = refusal(&["run", "--oci-bundle=/x", "web"]);
        assert!(
            text.starts_with("--oci-bundle is not supported by nsrun: "),
            "{text}"
        );
        assert_eq!(hint, None);
        let (text, hint) = refusal(&["run", "-U", "web"]);
        assert_eq!(text, "-U is not supported by nsrun");
        assert!(hint.is_some());
        let (text, _) = refusal(&["run", "--console=loud", "web"]);
        assert!(text.contains("loud") && !text.contains('\n'), "{text}");
        assert!(!text.starts_with("error"), "{text}");
    }
}
