//! `nsrun exec`: a command in a running machine.

use std::process::ExitCode;

use nsrun_runtime::attach::{self, Command};
use nsrun_runtime::{MachineName, Result};
use rustix::termios::isatty;

use super::machine_args;
use crate::globals::Globals;

#[derive(clap::Args, Debug)]
pub struct ExecArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Set an environment variable; without a value, pass the caller's on
    #[arg(short = 'E', long, alias = "env", value_name = "NAME[=VALUE]")]
    setenv: Vec<String>,

    /// Start the command in DIR, a path in the machine
    #[arg(long, alias = "chdir", value_name = "DIR", default_value = "/")]
    workdir: String,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

/// Runs the command; its exit status is ours.
pub fn run(args: &ExecArgs, globals: &Globals) -> Result<ExitCode> {
    let command = Command {
        words: args.command.clone(),
        env: machine_args::environment(&args.setenv)?,
        workdir: args.workdir.clone(),
        terminal: isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout()),
    };
    attach::exec(&globals.dirs, &args.machine, &command).map(ExitCode::from)
}
