//! `nsrun exec`: a command in a running machine.

use std::process::ExitCode;

use nsrun_runtime::attach::{self, Command};
use nsrun_runtime::{MachineName, Result};
use rustix::termios::isatty;

use super::machine_args;
use crate::globals::Globals;

/// Arguments of `exec`.
#[derive(clap::Args, Debug)]
pub struct ExecArgs {
    /// Name of the machine
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Set an environment variable; without value, pass the caller's on
    #[arg(
        short = 'E',
        long = "env",
        alias = "setenv",
        value_name = "NAME[=VALUE]"
    )]
    env: Vec<String>,

    /// Directory that the command starts in
    #[arg(long, value_name = "DIR", default_value = "/")]
    workdir: String,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

/// Runs the command; its exit status is ours.
pub fn run(args: &ExecArgs, globals: &Globals) -> Result<ExitCode> {
    let command = Command {
        words: args.command.clone(),
        env: machine_args::environment(&args.env)?,
        workdir: args.workdir.clone(),
        terminal: isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout()),
    };
    attach::exec(&globals.dirs, &args.machine, &command).map(ExitCode::from)
}
