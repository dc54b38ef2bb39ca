//! The command line of systemd-nspawn.

mod options;
mod translate;
mod voice;

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};

use self::options::{ALL, Opt, Takes};
pub(crate) use self::voice::{begins, ended};
use super::step::{Refusal, Step, Subject, Translation};

const EXAMPLES: &str = "\
This is nsrun. It is not systemd-nspawn, but understands its command line.

Examples:
  systemd-nspawn -D /srv/tree --quiet make check
  systemd-nspawn -b -M web --network-veth -U";

/// What a command line of systemd-nspawn's comes to.
pub(super) fn translate(words: &[OsString]) -> Result<Translation, Refusal> {
    let matches = command().try_get_matches_from(words)?;
    let operands = matches.get_many::<String>("words").unwrap_or_default();
    let operands: Vec<String> = operands.cloned().collect();
    let steps = match translate::words(&given(&matches), &operands)? {
        Some(words) => vec![Step::Nsrun { words, name: None }],
        None => Vec::new(),
    };
    Ok(Translation {
        steps,
        failure: "",
        subject: Subject::Image,
    })
}

/// Its grammar.
pub(super) fn command() -> Command {
    let command = Command::new("systemd-nspawn")
        .display_name("systemd")
        .version(super::VERSION)
        .about("Run a command or an operating system in a container")
        .after_help(EXAMPLES)
        .max_term_width(100)
        .args_override_self(true)
        .args(ALL.iter().map(argument));
    command.arg(
        Arg::new("words")
            .value_name("COMMAND|PARAMETER")
            .help("The command and its arguments, or arguments for init")
            .num_args(0..)
            .trailing_var_arg(true),
    )
}

fn argument(option: &Opt) -> Arg {
    let mut arg = Arg::new(option.long).short(option.short).help(option.help);
    if option.long.len() > 1 {
        arg = arg.long(option.long);
    }
    match option.takes {
        Takes::Nothing => arg.action(ArgAction::SetTrue),
        Takes::One(name) => arg.value_name(name).allow_hyphen_values(true),
        Takes::Each(name) => arg
            .value_name(name)
            .action(ArgAction::Append)
            .allow_hyphen_values(true),
        Takes::Maybe(name, default) => arg
            .value_name(name)
            .num_args(0..=1)
            // It is a user's name there, also after a blank.
            .require_equals(option.long != "user")
            .default_missing_value(default),
    }
}

/// The options in the order in which they were given, which decides between those that exclude
/// each other.
fn given(matches: &ArgMatches) -> Vec<(&'static Opt, Option<String>)> {
    let mut found: Vec<(usize, &Opt, Option<String>)> = Vec::new();
    for option in ALL {
        let id = option.long;
        if matches.value_source(id) != Some(clap::parser::ValueSource::CommandLine) {
            continue;
        }
        let indices = matches.indices_of(id).into_iter().flatten();
        if option.takes == Takes::Nothing {
            found.extend(indices.map(|index| (index, option, None)));
        } else {
            let values = matches.get_many::<String>(id).into_iter().flatten();
            let values = values.map(|value| Some(value.clone()));
            found.extend(indices.zip(values).map(|(i, value)| (i, option, value)));
        }
    }
    found.sort_by_key(|(index, ..)| *index);
    let given = found.into_iter().map(|(_, option, value)| (option, value));
    given.collect()
}
