//! Verbs that act on machines that run: power-off, reboot, signals, pause, waiting.

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use nsrun_runtime::machine::{self, StopOptions, Whom};
use nsrun_runtime::state::State;
use nsrun_runtime::supervise::Signal;
use nsrun_runtime::{Dirs, Error, Kind, MachineName, Result};

use crate::globals::Globals;
use crate::report;

/// The exit status of `is-running` for a machine that exists and does something else.
const NOT_RUNNING: u8 = 1;

#[derive(clap::Args, Debug)]
pub struct NamesArgs {
    /// The machines' names
    #[arg(value_name = "NAME", required = true)]
    machines: Vec<MachineName>,
}

const KILL_EXAMPLES: &str = "\
Examples:
  nsrun kill --signal=HUP --whom=leader web";

#[derive(clap::Args, Debug)]
#[command(after_help = KILL_EXAMPLES)]
pub struct KillArgs {
    /// The machines' names
    #[arg(value_name = "NAME", required = true)]
    machines: Vec<MachineName>,

    /// Send this signal, by name or number
    #[arg(short, long, default_value = "SIGTERM")]
    signal: Signal,

    /// Send it to PID 1 of the machine or to all its processes
    #[arg(long, visible_alias = "kill-whom", value_enum, default_value = "all")]
    whom: WhomArg,
}

/// Which processes get the signal.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhomArg {
    /// PID 1 of the machine
    Leader,
    /// Every process of the machine
    All,
}

const WAIT_EXAMPLES: &str = "\
Examples:
  nsrun wait --timeout=60 web db";

#[derive(clap::Args, Debug)]
#[command(after_help = WAIT_EXAMPLES)]
pub struct WaitArgs {
    /// The machines' names
    #[arg(value_name = "NAME", required = true)]
    machines: Vec<MachineName>,

    /// Fail if they have not ended after SECONDS
    #[arg(long, value_name = "SECONDS", default_value_t = super::stop::LONGEST,
        hide_default_value = true,
        value_parser = clap::value_parser!(u64).range(..=super::stop::LONGEST))]
    timeout: u64,
}

const RUNNING_EXAMPLES: &str = "\
Examples:
  nsrun --quiet is-running web && echo up";

#[derive(clap::Args, Debug)]
#[command(after_help = RUNNING_EXAMPLES)]
pub struct IsRunningArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,
}

/// Asks each to power off.
pub fn power_off(args: &NamesArgs, globals: &Globals) -> Result<()> {
    each(&args.machines, globals, machine::power_off)
}

/// Asks each to reboot.
pub fn reboot(args: &NamesArgs, globals: &Globals) -> Result<()> {
    each(&args.machines, globals, machine::reboot)
}

/// Ends each, without asking.
pub fn terminate(args: &NamesArgs, globals: &Globals) -> Result<()> {
    let options = StopOptions {
        kill: true,
        timeout: Duration::ZERO,
    };
    let end = |dirs: &Dirs, name: &MachineName| machine::stop(dirs, name, options).map(drop);
    each(&args.machines, globals, end)
}

/// Sends a signal to each.
pub fn kill(args: &KillArgs, globals: &Globals) -> Result<()> {
    let whom = match args.whom {
        WhomArg::Leader => Whom::Leader,
        WhomArg::All => Whom::All,
    };
    let kill = |dirs: &Dirs, name: &MachineName| machine::kill(dirs, name, args.signal, whom);
    each(&args.machines, globals, kill)
}

/// Pauses each.
pub fn pause(args: &NamesArgs, globals: &Globals) -> Result<()> {
    each(&args.machines, globals, machine::pause)
}

/// Lets each go on.
pub fn resume(args: &NamesArgs, globals: &Globals) -> Result<()> {
    each(&args.machines, globals, machine::resume)
}

/// Waits for the end of each.
pub fn wait(args: &WaitArgs, globals: &Globals) -> Result<()> {
    let deadline = std::time::Instant::now() + Duration::from_secs(args.timeout);
    let wait = |dirs: &Dirs, name: &MachineName| {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        if machine::wait(dirs, name, left)? {
            return Ok(());
        }
        let what = format!("machine {name} has not ended after {} s", args.timeout);
        Err(Error::new(Kind::Failed, what))
    };
    each(&args.machines, globals, wait)
}

/// Prints what the machine does; the exit status is 0 if it runs.
pub fn is_running(args: &IsRunningArgs, globals: &Globals) -> Result<ExitCode> {
    let name = &args.machine;
    let Some(state) = machine::state(&globals.dirs, name)? else {
        let error = machine::absent(&globals.dirs, name);
        return if globals.quiet {
            Ok(error.kind().exit_status().into())
        } else {
            Err(error)
        };
    };
    if globals.json {
        report::json(&state)?;
    } else if !globals.quiet {
        report::line(state);
    }
    Ok(match state {
        State::Running => ExitCode::SUCCESS,
        _ => NOT_RUNNING.into(),
    })
}

/// Does it to each, also if one fails; all failures are told, the first is the result.
fn each(
    names: &[MachineName],
    globals: &Globals,
    act: impl Fn(&Dirs, &MachineName) -> Result<()>,
) -> Result<()> {
    let mut failures = names
        .iter()
        .filter_map(|name| act(&globals.dirs, name).err());
    let Some(first) = failures.next() else {
        return Ok(());
    };
    failures.for_each(|error| report::print(&error));
    Err(first)
}
