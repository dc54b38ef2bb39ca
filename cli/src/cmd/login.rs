//! `nsrun login` and `nsrun shell`: a terminal in a machine.

use std::process::ExitCode;

use nsrun_runtime::attach::{self, LoginEvent, Shell};
use nsrun_runtime::{Error, Kind, MachineName, Result};

use super::exec::TerminalArgs;
use super::machine_args;
use crate::globals::Globals;
use crate::report;

const LOGIN_EXAMPLES: &str = "\
Examples:
  nsrun login web

^] three times within a second leaves the machine, which goes on.";

#[derive(clap::Args, Debug)]
#[command(after_help = LOGIN_EXAMPLES)]
pub struct LoginArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,
}

const SHELL_EXAMPLES: &str = "\
Examples:
  nsrun shell web
  nsrun shell www@web /bin/sh -c id";

#[derive(clap::Args, Debug)]
#[command(after_help = SHELL_EXAMPLES)]
pub struct ShellArgs {
    /// The machine's name, after the user's if that is not root
    #[arg(value_name = "[USER@]NAME")]
    target: String,

    /// Set an environment variable; without a value, pass the caller's on
    #[arg(short = 'E', long, alias = "env", value_name = "NAME[=VALUE]")]
    setenv: Vec<String>,

    /// Open the session of USER, a name or number of the machine's
    #[arg(short, long, visible_alias = "uid", value_name = "USER")]
    user: Option<String>,

    /// Start in DIR, a path in the machine [default: the user's home]
    #[arg(long, alias = "chdir", value_name = "DIR")]
    workdir: Option<String>,

    #[command(flatten)]
    terminal: TerminalArgs,

    /// The command, by its path, and its arguments [default: the user's shell]
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
}

/// Shows a login prompt until the user leaves.
pub fn run(args: &LoginArgs, globals: &Globals) -> Result<ExitCode> {
    let mut tell = |event| {
        if let Some(text) = told(event, &args.machine, globals).filter(|_| !globals.quiet) {
            report::note(format_args!("{text}\r"));
        }
    };
    attach::login(&globals.dirs, &args.machine, &mut tell).map(ExitCode::from)
}

/// In the words of machinectl, if this is called by that name.
fn told(event: LoginEvent, name: &MachineName, globals: &Globals) -> Option<String> {
    let own = globals.peer.is_none();
    Some(match event {
        LoginEvent::Connected if own => format!(
            "nsrun: connected to a terminal of {name}; ^] three times within a second leaves it"
        ),
        LoginEvent::Connected => {
            format!("Connected to machine {name}. Press ^] three times within 1s to exit session.")
        }
        LoginEvent::Ended if own => format!("nsrun: {name} has ended"),
        LoginEvent::Left if own => return None,
        LoginEvent::Ended | LoginEvent::Left => format!("Connection to machine {name} terminated."),
    })
}

/// Opens a session; its exit status is ours.
pub fn shell(args: &ShellArgs, globals: &Globals) -> Result<ExitCode> {
    let (user, name) = match args.target.split_once('@') {
        Some((user, name)) => (Some(user.to_owned()), name),
        None => (args.user.clone(), args.target.as_str()),
    };
    if args.user.is_some() && user != args.user {
        let what = format!("'{}' names a user, and --user another", args.target);
        return Err(Error::new(Kind::Usage, what));
    }
    let name: MachineName = name.parse()?;
    let shell = Shell {
        user: user.filter(|user| !user.is_empty()),
        words: args.command.clone(),
        env: machine_args::environment(&args.setenv)?,
        workdir: args.workdir.clone(),
        terminal: args.terminal.wanted(),
    };
    attach::shell(&globals.dirs, &name, &shell).map(ExitCode::from)
}
