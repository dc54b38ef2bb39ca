//! `nsrun run`: one command in an image.

use std::process::ExitCode;

use nsrun_runtime::Kind;
use nsrun_runtime::plan::Mode;

use super::machine_args::MachineArgs;
use super::start;
use crate::globals::Globals;
use crate::report;

/// Exit status for failures of nsrun itself, so that they are not taken for the command's.
const OWN_FAILURE: u8 = 125;

/// Arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    machine: MachineArgs,

    /// Run the command as PID 1, without a small init that reaps for it
    #[arg(long)]
    pid1: bool,

    /// Directory that the command starts in
    #[arg(long, alias = "chdir", value_name = "DIR")]
    workdir: Option<String>,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

/// Runs the command; its exit status is ours.
pub fn run(args: &RunArgs, globals: &Globals) -> ExitCode {
    let mode = Mode::Run {
        command: args.command.clone(),
        as_pid1: args.pid1,
    };
    let workdir = args.workdir.clone();
    match start::run_in(&args.machine, mode, workdir, globals) {
        Ok(status) => status,
        Err(error) => {
            report::print(&error);
            match error.kind() {
                kind @ (Kind::NotExecutable | Kind::NoCommand) => kind.exit_status().into(),
                _ => OWN_FAILURE.into(),
            }
        }
    }
}
