//! `nsrun enable` and `nsrun disable`: which machines start when the host boots.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use nsrun_runtime::enabled::{self, Starter};
use nsrun_runtime::machine::{Restart, StopOptions, Until, stop};
use nsrun_runtime::{Error, Kind, MachineName, Result, systemd};

use super::start_enabled::{self, Start};
use crate::args::{Cli, Command};
use crate::globals::Globals;
use crate::report;

/// How long machines may take to start or stop with `--now`: as long as their unit lets them.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(clap::Args, Debug)]
pub struct EnableArgs {
    /// The machines' names, which are those of their images
    #[arg(value_name = "NAME", required = true)]
    machines: Vec<MachineName>,

    /// Start them now, too
    #[arg(long)]
    now: bool,

    /// Options of `nsrun start` to start them with
    #[arg(value_name = "OPTION", last = true)]
    options: Vec<String>,
}

#[derive(clap::Args, Debug)]
pub struct DisableArgs {
    /// The machines' names
    #[arg(value_name = "NAME", required = true)]
    machines: Vec<MachineName>,

    /// Stop them now, too
    #[arg(long)]
    now: bool,
}

/// Enables each, and starts them if that is wanted.
pub fn enable(args: &EnableArgs, globals: &Globals) -> Result<ExitCode> {
    let mut failure = None;
    let mut enabled = Vec::new();
    for name in &args.machines {
        check(&args.options, name)?;
        match enabled::enable(&globals.dirs, name, &args.options) {
            Ok(starter) => enabled.push((name, starter)),
            Err(error) => keep(&mut failure, error),
        }
    }
    tell_systemd(enabled.iter().map(|(_, starter)| starter), globals);
    if !globals.quiet && !globals.json {
        for (name, starter) in &enabled {
            report::line(format_args!("{name} {}", told(starter)));
        }
        if enabled
            .iter()
            .any(|(_, starter)| *starter == Starter::Command)
        {
            report::note("hint: have this run when the host boots: nsrun start --all-enabled");
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    if !args.now {
        return Ok(ExitCode::SUCCESS);
    }
    let mut marks = enabled::all(&globals.dirs)?;
    marks.retain(|mark| args.machines.contains(&mark.name));
    let start = Start {
        until: Until::Started,
        patience: PATIENCE,
        restart: Restart::No,
    };
    start_enabled::start(&marks, &start, globals)
}

/// Options that would keep the machine from starting are told now, not when the host boots.
fn check(options: &[String], name: &MachineName) -> Result<()> {
    let not_for_good = |option: &&String| matches!(&***option, "--all-enabled" | "--dry-run");
    if let Some(option) = options.iter().find(not_for_good) {
        let what = format!("machine {name} cannot always be started with {option}");
        return Err(Error::new(Kind::Usage, what));
    }
    let words = ["nsrun", "start"].into_iter();
    let words = words.chain(options.iter().map(String::as_str));
    let parsed = Cli::try_parse_from(words.chain([name.as_str()]));
    let error = match parsed.map(|cli| cli.command) {
        Ok(Command::Start(_)) => return Ok(()),
        Ok(_) => Error::new(Kind::Usage, "they are another verb's"),
        Err(error) => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            Error::new(Kind::Usage, line.trim_start_matches("error: ").to_owned())
        }
    };
    let what = format!("machine {name} cannot be started with these options");
    Err(Error::new(Kind::Usage, what)
        .because(error)
        .hint("see nsrun help start"))
}

fn told(starter: &Starter) -> String {
    match starter {
        Starter::Unit(unit) => format!("starts when the host boots, as {unit}."),
        Starter::Service => "starts when the host boots, by the service nsrun.".to_owned(),
        Starter::Command => "is enabled.".to_owned(),
    }
}

/// Units count when the host boots, whatever systemd knows now.
fn tell_systemd<'a>(mut starters: impl Iterator<Item = &'a Starter>, globals: &Globals) {
    if !starters.any(|starter| matches!(starter, Starter::Unit(_))) {
        return;
    }
    if let Err(error) = systemd::reload()
        && !globals.quiet
    {
        report::note(format_args!("nsrun: warning: {error}"));
    }
}

/// Disables each, and stops them if that is wanted.
pub fn disable(args: &DisableArgs, globals: &Globals) -> Result<()> {
    let mut failure = None;
    let mut starters = Vec::new();
    for name in &args.machines {
        match enabled::disable(&globals.dirs, name) {
            Ok(was) => {
                if was {
                    starters.push(enabled::starter(&globals.dirs, name));
                }
                tell_disabled(name, was, globals);
            }
            Err(error) => keep(&mut failure, error),
        }
        if args.now {
            let options = StopOptions {
                kill: false,
                timeout: PATIENCE,
            };
            match stop(&globals.dirs, name, options) {
                Err(error) if error.kind() != Kind::NotFound => keep(&mut failure, error),
                _ => {}
            }
        }
    }
    tell_systemd(starters.iter(), globals);
    failure.map_or(Ok(()), Err)
}

fn tell_disabled(name: &MachineName, was: bool, globals: &Globals) {
    if globals.quiet || globals.json {
        return;
    }
    report::line(match was {
        true => format!("{name} does not start when the host boots any more."),
        false => format!("{name} was not enabled."),
    });
}

/// The first failure is the result; others are told.
fn keep(first: &mut Option<Error>, error: Error) {
    match first {
        None => *first = Some(error),
        Some(_) => report::print(&error),
    }
}
