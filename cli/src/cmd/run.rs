//! `nsrun run`: one command in an image.

use std::process::ExitCode;

use nsrun_runtime::Result;
use nsrun_runtime::machine::Restart;
use nsrun_runtime::plan::Mode;

use super::machine_args::MachineArgs;
use super::start;
use crate::globals::Globals;
use crate::said::Said;

const EXAMPLES: &str = "\
Examples:
  nsrun run web
  nsrun run web -- nix-store --verify
  nsrun run --bind=./src:/src --workdir=/src ./rootfs -- make check
  nsrun run --ephemeral --user=nobody web -- id";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    #[command(flatten)]
    machine: Said<MachineArgs>,

    /// Run the command as PID 1 itself, without a small init above it
    #[arg(long)]
    pid1: bool,

    /// Start the command in DIR, a path in the machine [default: /]
    #[arg(long, alias = "chdir", value_name = "DIR")]
    workdir: Option<String>,

    /// The command and its arguments [default: what settings files say, or a shell]
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<String>,
}

/// Runs the command; its exit status is ours.
pub fn run(args: &RunArgs, globals: &Globals) -> Result<ExitCode> {
    let mode = Mode::Run {
        command: args.command.clone(),
        as_pid1: args.pid1,
    };
    start::run_in(
        &args.machine,
        mode,
        args.workdir.clone(),
        Restart::No,
        globals,
    )
}
