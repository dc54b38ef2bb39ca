//! The command lines of machinectl and importctl.

mod args;
mod images;
mod machines;
mod transfers;

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use self::args::{Importctl, Machinectl, Options, Verb};
use super::Peer;
use super::step::{Refusal, Step, Subject, Translation, words};
use super::table::{Addresses, Json, Style};

/// What a command line of one of them comes to.
pub(super) fn translate(peer: Peer, words: &[OsString]) -> Result<Translation, Refusal> {
    if peer == Peer::Importctl {
        let cli = Importctl::try_parse_from(words)?;
        return transfers::importctl(&cli);
    }
    let cli = Machinectl::try_parse_from(words)?;
    let options = &cli.options;
    options.check()?;
    let verb = cli.verb.as_ref().unwrap_or(&Verb::List);
    match verb {
        Verb::Image(verb) => images::translate(verb, options),
        Verb::Transfer(verb) => transfers::machinectl(verb, options),
        _ => machines::translate(verb, options),
    }
}

/// The grammar of machinectl.
pub(super) fn machinectl() -> clap::Command {
    Machinectl::command()
}

/// The grammar of importctl.
pub(super) fn importctl() -> clap::Command {
    Importctl::command()
}

impl Options {
    /// Refuses what is about other places than this host and its root.
    fn check(&self) -> Result<(), Refusal> {
        let elsewhere = "it looks after machines of this host alone";
        if self.host.is_some() {
            return Err(Refusal::of("--host", elsewhere));
        }
        if self.machine.is_some() {
            return Err(Refusal::of("--machine", elsewhere));
        }
        if self.user {
            return Err(Refusal::of("--user", "machines belong to root of the host"));
        }
        Ok(())
    }

    fn style(&self) -> Result<Style, Refusal> {
        let json = match self.output.as_deref() {
            Some("json") => Some(Json::Short),
            Some("json-pretty") => Some(Json::Pretty),
            _ => None,
        };
        Ok(Style {
            no_legend: self.common.no_legend || json.is_some(),
            json,
            all: self.all,
            addresses: self.addresses()?,
        })
    }

    fn addresses(&self) -> Result<Addresses, Refusal> {
        match self.max_addresses.as_deref() {
            None => Ok(Addresses::Some(1)),
            Some("all") => Ok(Addresses::All),
            Some(text) => text.parse().map(Addresses::Some).map_err(|_| {
                let text = text.escape_debug();
                Refusal::Unsupported(format!("Invalid number of addresses: {text}"))
            }),
        }
    }
}

/// A translation about machines or images of which each has a command line.
fn each(
    names: &[String],
    failure: &'static str,
    subject: Subject,
    line: impl Fn(&str) -> Vec<String>,
) -> Translation {
    let step = |name: &String| Step::Nsrun {
        words: line(name),
        name: Some(name.clone()),
    };
    Translation {
        steps: names.iter().map(step).collect(),
        failure,
        subject,
    }
}

#[cfg(test)]
mod tests;
