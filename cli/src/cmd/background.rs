//! `nsrun start`: a whole system in the background.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use nsrun_runtime::Result;
use nsrun_runtime::machine::{Restart, Started, Until, start_in_background};
use nsrun_runtime::plan::Mode;

use super::machine_args::MachineArgs;
use super::start;
use crate::globals::Globals;
use crate::report;
use crate::said::Said;

#[derive(clap::Args, Debug)]
pub struct StartArgs {
    #[command(flatten)]
    machine: Said<MachineArgs>,

    /// Boot the program PATH of the image instead of its init
    #[arg(long, value_name = "PATH")]
    init: Option<String>,

    /// Return when the system's init runs, or when it says that it is ready
    #[arg(long, value_enum, value_name = "WHEN", default_value = "started")]
    wait: When,

    /// Fail if it is not that far after SECONDS; the machine goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 90,
        value_parser = clap::value_parser!(u64).range(1..=super::stop::LONGEST))]
    timeout: u64,

    /// Start the machine again if it ends, and nobody has asked it to
    #[arg(long, value_name = "POLICY", default_value = "no", value_parser = policies())]
    restart: Restart,

    /// Arguments for init; NAME=VALUE goes to its environment unless NAME has a dot
    #[arg(value_name = "PARAMETER", last = true)]
    parameters: Vec<String>,
}

/// What a start waits for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    /// The init runs
    Started,
    /// The init says that it is ready
    Ready,
}

fn policies() -> impl TypedValueParser<Value = Restart> {
    PossibleValuesParser::new(Restart::ALL.map(Restart::word)).try_map(|word| {
        let found = Restart::ALL
            .into_iter()
            .find(|policy| policy.word() == word);
        found.ok_or("no such policy")
    })
}

/// Starts a supervisor and waits for its machine; in the supervisor, runs the machine.
pub fn run(args: &StartArgs, globals: &Globals) -> Result<ExitCode> {
    let mode = Mode::Boot {
        init: args.init.clone(),
        parameters: args.parameters.clone(),
    };
    if globals.supervise {
        // It was started by the name of a link, which is what `ps` would show.
        let _ = rustix::thread::set_name(c"nsrun");
    }
    if globals.supervise || args.machine.dry_run {
        return start::run_in(&args.machine, mode, None, args.restart, globals);
    }
    let name = args.machine.request(mode, globals)?.machine;
    let until = match args.wait {
        When::Started => Until::Started,
        When::Ready => Until::Ready,
    };
    let words = [OsString::from("--supervise")].into_iter();
    let words: Vec<OsString> = words.chain(globals.words.iter().cloned()).collect();
    let patience = Duration::from_secs(args.timeout);
    match start_in_background(&name, &words, until, patience)? {
        Started::Ended(status) => Ok(status.into()),
        Started::Yes => {
            if globals.json {
                report::json(&serde_json::json!({ "machine": name.as_str() }))?;
            } else if !globals.quiet {
                report::line(format_args!("{name} has started."));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
