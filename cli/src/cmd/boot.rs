//! `nsrun boot`: a whole system in the foreground.

use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use nsrun_runtime::Result;
use nsrun_runtime::plan::Mode;

use super::machine_args::MachineArgs;
use super::start;
use crate::globals::Globals;
use crate::said::Said;

const EXAMPLES: &str = "\
Examples:
  nsrun boot web
  nsrun boot --network=host --bind-ro=/srv/data web
  nsrun boot --ephemeral web -- systemd.unit=rescue.target
  nsrun boot --dry-run ./rootfs";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BootArgs {
    #[command(flatten)]
    machine: Said<MachineArgs>,

    /// Boot the program PATH of the image instead of its init
    #[arg(long, value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    init: Option<String>,

    /// Arguments for init; NAME=VALUE goes to its environment unless NAME has a dot
    #[arg(value_name = "PARAMETER", last = true)]
    parameters: Vec<String>,
}

/// Boots, supervises, and ends when the system has ended.
pub fn run(args: &BootArgs, globals: &Globals) -> Result<ExitCode> {
    let mode = Mode::Boot {
        init: args.init.clone(),
        parameters: args.parameters.clone(),
    };
    start::run(&args.machine, mode, globals)
}
