//! `nsrun stop`: asks a machine to power off, and makes it if it does not.

use std::time::Duration;

use nsrun_runtime::machine::{self, StopOptions, Stopped};
use nsrun_runtime::{MachineName, Result};

use crate::globals::Globals;
use crate::report;

/// A year: what is asked for in seconds is not meant to be longer.
pub(super) const LONGEST: u64 = 365 * 24 * 60 * 60;

#[derive(clap::Args, Debug)]
pub struct StopArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Kill the machine at once instead of asking it
    #[arg(long)]
    kill: bool,

    /// Kill the machine if it has not stopped after SECONDS
    #[arg(long, value_name = "SECONDS", default_value_t = 90,
        value_parser = clap::value_parser!(u64).range(..=LONGEST))]
    timeout: u64,
}

/// Stops the machine and says which step it took.
pub fn run(args: &StopArgs, globals: &Globals) -> Result<()> {
    let options = StopOptions {
        kill: args.kill,
        timeout: Duration::from_secs(args.timeout),
    };
    let stopped = machine::stop(&globals.dirs, &args.machine, options)?;
    if globals.json {
        return report::json(&stopped);
    }
    if !globals.quiet {
        let name = &args.machine;
        report::line(match stopped {
            Stopped::Asked => format!("{name} has stopped."),
            Stopped::Killed => format!("{name} was killed."),
            Stopped::Cleared => {
                format!("{name} had lost its supervisor; what was left is gone.")
            }
        });
    }
    Ok(())
}
