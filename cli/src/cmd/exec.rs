//! `nsrun exec`: a command in a running machine.

use std::process::ExitCode;

use nsrun_runtime::attach::{self, Command};
use nsrun_runtime::{MachineName, Result};
use rustix::termios::isatty;

use super::machine_args;
use crate::globals::Globals;

// Whether a command has a terminal.
#[derive(clap::Args, Debug)]
pub struct TerminalArgs {
    /// Give the command a terminal [default: if input and output are one]
    #[arg(short, long, overrides_with = "no_tty")]
    tty: bool,

    /// Give the command the streams as they are
    #[arg(short = 'T', long, overrides_with = "tty")]
    no_tty: bool,
}

impl TerminalArgs {
    pub(super) fn wanted(&self) -> bool {
        let has = || isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout());
        self.tty || !self.no_tty && has()
    }
}

const EXAMPLES: &str = "\
Examples:
  nsrun exec web -- systemctl --failed
  nsrun exec -u alice -E EDITOR=vi web -- env
  tar -c site | nsrun exec --workdir=/srv web -- tar -x

In a NixOS system the environment is that of a login: the machine's shell is asked what
/etc/set-environment sets for the user. No shell is between nsrun and the command.";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
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

    /// Run it as USER, a name or number of the machine's
    #[arg(short, long, visible_alias = "uid", value_name = "USER")]
    user: Option<String>,

    /// Leave out the environment that NixOS sets for logins in /etc/set-environment
    #[arg(long)]
    no_set_environment: bool,

    /// Let what the command starts go on after it, until the machine ends
    #[arg(long)]
    keep_processes: bool,

    #[command(flatten)]
    terminal: TerminalArgs,

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
        user: args.user.clone(),
        terminal: args.terminal.wanted(),
        login_environment: !args.no_set_environment,
        leaves_processes: args.keep_processes,
    };
    attach::exec(&globals.dirs, &args.machine, &command).map(ExitCode::from)
}
