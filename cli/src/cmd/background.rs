//! `nsrun start`: a whole system in the background.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{
    ArgPredicate, NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser,
};
use clap::{Args, ValueEnum};
use nsrun_runtime::machine::{Restart, Started, Until, start_in_background};
use nsrun_runtime::plan::Mode;
use nsrun_runtime::{Error, Kind, Result};

use super::machine_args::MachineArgs;
use super::{start, start_enabled};
use crate::globals::Globals;
use crate::report;
use crate::said::Said;

#[derive(clap::Args, Debug)]
#[command(mut_arg("image", |image| image
    .required(false)
    .required_unless_present_any(["all_enabled", "system"])
    .default_value_ifs(["all_enabled", "system"].map(|given| (given, ArgPredicate::IsPresent, "")))
))]
pub struct StartArgs {
    #[command(flatten)]
    machine: Said<MachineArgs>,

    /// Start all machines that are enabled, each as `nsrun start NAME` does
    #[arg(long)]
    all_enabled: bool,

    /// Boot the program PATH of the image instead of its init
    #[arg(long, value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
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
    if !args.all_enabled && (globals.supervise || args.machine.dry_run) {
        return start::run_in(&args.machine, mode, None, args.restart, globals);
    }
    let until = match args.wait {
        When::Started => Until::Started,
        When::Ready => Until::Ready,
    };
    if args.all_enabled {
        return start_all(args, until, globals);
    }
    let name = args.machine.request(mode, globals)?.machine;
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

/// Each is started by its name alone: what is special about one is in its settings file.
fn start_all(args: &StartArgs, until: Until, globals: &Globals) -> Result<ExitCode> {
    let of_one = MachineArgs::augment_args(clap::Command::new("start"));
    let is_of_one = |name: &&String| {
        let mut ids = of_one.get_arguments().map(|arg| arg.get_id().as_str());
        ids.any(|id| id != "image" && id.replace('_', "-") == **name)
    };
    if let Some(option) = args.machine.names().iter().find(is_of_one) {
        let what = format!("--{option} and --all-enabled do not go together");
        let hint = "put it into the settings files: nsrun edit NAME";
        return Err(Error::new(Kind::Usage, what).hint(hint));
    }
    if !args.machine.image.is_empty() || !args.parameters.is_empty() || args.init.is_some() {
        let what = "--all-enabled starts machines by their names, without further words";
        return Err(Error::new(Kind::Usage, what));
    }
    let start = start_enabled::Start {
        until,
        patience: Duration::from_secs(args.timeout),
        restart: args.restart,
    };
    start_enabled::start_all(&start, globals)
}
