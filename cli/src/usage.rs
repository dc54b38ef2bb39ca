//! What was typed and is not understood.

use crate::report;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use nsrun_runtime::suggest::nearest;

use crate::args::Cli;
use crate::cmd;
use crate::foreign::{self, Answer};

/// Prints what is wrong with the words, or the help or version that they ask for.
///
/// The exit status is 2, but 125 for `run` and `exec`: theirs would be taken for the command's.
pub fn explain(error: &clap::Error, words: &[OsString]) -> ExitCode {
    match error.kind() {
        ErrorKind::MissingSubcommand => report::note(Cli::command().render_help()),
        ErrorKind::UnknownArgument if is_of_nspawn(error, words) => {}
        // Nobody is left to be told if this fails.
        _ => drop(error.print()),
    }
    if let Some(verb) = meant(error) {
        report::note(format_args!("hint: did you mean {verb}?"));
    }
    let Ok(status @ 1..) = u8::try_from(error.exit_code()) else {
        return ExitCode::SUCCESS;
    };
    match verb(words).as_deref() {
        Some(verb @ ("run" | "exec" | "shell")) => {
            let extra_word = error.kind() == ErrorKind::UnknownArgument;
            if extra_word && !words.iter().any(|word| word == "--") {
                report::note(format_args!(
                    "hint: the command goes after `--`: nsrun {verb} NAME -- COMMAND"
                ));
            }
            cmd::OWN_FAILURE.into()
        }
        _ => status.into(),
    }
}

/// What a verb that is none was meant to be, where the grammar does not tell: it does not know that
/// letters change places.
fn meant(error: &clap::Error) -> Option<String> {
    let tells = error.get(ContextKind::SuggestedSubcommand).is_some();
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let mut command = Cli::command();
    command.build();
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let names = shown.flat_map(|verb| {
        [verb.get_name()]
            .into_iter()
            .chain(verb.get_visible_aliases())
    });
    let names: Vec<&str> = names.collect();
    let found = nearest(word, names.into_iter()).filter(|_| !tells);
    found.map(str::to_owned)
}

/// Says so if it is an option of systemd-nspawn's that is not understood.
fn is_of_nspawn(error: &clap::Error, words: &[OsString]) -> bool {
    let starts = matches!(verb(words).as_deref(), Some("boot" | "run" | "start"));
    let option = error.get(ContextKind::InvalidArg).filter(|_| starts);
    let Some(ContextValue::String(option)) = option else {
        return false;
    };
    match foreign::answer(option) {
        Some(Answer::Instead(words)) => {
            report::note(format_args!("nsrun: there is no {option}"));
            report::note(format_args!("hint: {words}"));
        }
        Some(Answer::Not(why)) => {
            report::note(format_args!("nsrun: {option} is not supported: {why}"));
        }
        None => return false,
    }
    true
}

/// The verb among words that are not all understood.
fn verb(words: &[OsString]) -> Option<String> {
    let matches = Cli::command()
        .ignore_errors(true)
        .try_get_matches_from(words);
    let name = matches.ok()?.subcommand_name()?.to_owned();
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb_of(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        verb(&words)
    }

    #[test]
    fn letters_that_changed_places_are_put_back() {
        let hint = |word: &str| {
            let error = Cli::command().try_get_matches_from(["nsrun", word]);
            meant(&error.unwrap_err())
        };
        assert_eq!(hint("rnu").as_deref(), Some("run"));
        assert_eq!(hint("nonsense"), None);
        assert_eq!(hint("imprt"), None, "the grammar tells");
    }

    #[test]
    fn the_verb_is_found_among_errors() {
        let table = [
            ("nsrun run --nonsense x", Some("run")),
            ("nsrun --image-root run exec", Some("exec")),
            ("nsrun -q exec", Some("exec")),
            ("nsrun nonsense run", None),
            ("nsrun", None),
        ];
        for (line, wanted) in table {
            assert_eq!(verb_of(line).as_deref(), wanted, "{line}");
        }
    }
}
