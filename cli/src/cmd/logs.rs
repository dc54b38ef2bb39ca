//! `nsrun logs`: what a machine wrote to its console.

use nsrun_runtime::machine::{self, Follow};
use nsrun_runtime::{MachineName, Result};

use crate::globals::Globals;

#[derive(clap::Args, Debug)]
pub struct LogsArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Go on with what comes, until the machine ends
    #[arg(short, long)]
    follow: bool,

    /// Show the last N lines only
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
}

/// Prints the log of the machine's current or last run.
pub fn run(args: &LogsArgs, globals: &Globals) -> Result<()> {
    let follow = if args.follow {
        Follow::UntilItsEnd
    } else {
        Follow::No
    };
    machine::console_log(&globals.dirs, &args.machine, args.lines, follow)
}
