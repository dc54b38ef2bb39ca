//! `nsrun stop`: asks a machine to power off, and makes it if it does not.

use std::time::Duration;

use nsrun_runtime::machine::{self, StopOptions, Stopped};
use nsrun_runtime::{Kind, MachineName, Result};

use crate::crowd;
use crate::globals::Globals;
use crate::report;

/// A year: what is asked for in seconds is not meant to be longer.
pub(super) const LONGEST: u64 = 365 * 24 * 60 * 60;

const EXAMPLES: &str = "\
Examples:
  nsrun stop web
  nsrun stop --timeout=10 web
  nsrun stop --kill web";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct StopArgs {
    /// The machine's name
    #[arg(
        value_name = "NAME",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    machine: Option<MachineName>,

    /// Stop all machines, all at once
    #[arg(long)]
    all: bool,

    /// Kill the machine at once instead of asking it
    #[arg(long)]
    kill: bool,

    /// Kill the machine if it has not stopped after SECONDS
    #[arg(long, value_name = "SECONDS", default_value_t = 90,
        value_parser = clap::value_parser!(u64).range(..=LONGEST))]
    timeout: u64,
}

/// Stops the machine, or all, and says which step it took.
pub fn run(args: &StopArgs, globals: &Globals) -> Result<()> {
    let options = StopOptions {
        kill: args.kill,
        timeout: Duration::from_secs(args.timeout),
    };
    let Some(name) = &args.machine else {
        return stop_all(options, globals);
    };
    let stopped = machine::stop(&globals.dirs, name, options)?;
    if globals.json {
        return report::json(&stopped);
    }
    if !globals.quiet {
        report::line(told(name, stopped));
    }
    Ok(())
}

fn told(name: &MachineName, stopped: Stopped) -> String {
    match stopped {
        Stopped::Asked => format!("{name} has stopped."),
        Stopped::Killed => format!("{name} was killed."),
        Stopped::Cleared => {
            format!("{name} had lost its supervisor; what was left is gone.")
        }
    }
}

/// All failures are told, the first is the result.
fn stop_all(options: StopOptions, globals: &Globals) -> Result<()> {
    let listing = machine::list(&globals.dirs)?;
    listing.problems.iter().for_each(report::print);
    let names: Vec<MachineName> = listing.machines.into_iter().map(|row| row.name).collect();
    let stop = |name: &MachineName| match machine::stop(&globals.dirs, name, options) {
        // It has ended since it was listed.
        Err(error) if error.kind() == Kind::NotFound => Ok(Stopped::Asked),
        other => other,
    };
    // A thread that waits takes nothing, and each machine has its time from now on.
    let mut failure = None;
    let mut done = Vec::new();
    for (name, result) in crowd::each(&names, names.len(), stop) {
        match (result, &failure) {
            (Ok(stopped), _) => done.push((name, stopped)),
            (Err(error), None) => failure = Some(error),
            (Err(error), Some(_)) => report::print(&error),
        }
    }
    tell_all(&done, globals)?;
    failure.map_or(Ok(()), Err)
}

fn tell_all(done: &[(&MachineName, Stopped)], globals: &Globals) -> Result<()> {
    if globals.json {
        let line = |(name, stopped): &(&MachineName, Stopped)| serde_json::json!({ "machine": name, "result": stopped });
        return report::json(&done.iter().map(line).collect::<Vec<_>>());
    }
    for (name, stopped) in done.iter().filter(|_| !globals.quiet) {
        report::line(told(name, *stopped));
    }
    Ok(())
}
