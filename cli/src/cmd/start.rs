//! What `boot` and `run` share: plan, explain or start, and the exit status of how it ended.

use std::process::ExitCode;

use nsrun_runtime::Result;
use nsrun_runtime::machine::{self, Event, Explanation, Restart, StartOptions};
use nsrun_runtime::plan::Mode;
use nsrun_runtime::settings::Line;
use serde::Serialize;

use super::config::Setting;
use super::machine_args::MachineArgs;
use crate::compat::{Peer, nspawn};
use crate::globals::Globals;
use crate::progress::Progress;
use crate::report;
use crate::said::Said;
use crate::settings;

/// Starts a payload in the root directory.
pub fn run(args: &Said<MachineArgs>, mode: Mode, globals: &Globals) -> Result<ExitCode> {
    run_in(args, mode, None, Restart::No, globals)
}

/// Starts a payload in the given directory, and again as `restart` says.
pub fn run_in(
    args: &Said<MachineArgs>,
    mode: Mode,
    workdir: Option<String>,
    restart: Restart,
    globals: &Globals,
) -> Result<ExitCode> {
    let mut request = args.request(mode, globals)?;
    request.workdir = workdir;
    let lines = settings::apply(args, &mut request, globals)?;
    args.defaults.fill_in(&mut request);
    if args.dry_run {
        let explanation = machine::explain(&request, &globals.dirs)?;
        return print(&explanation, &lines, globals).map(|()| ExitCode::SUCCESS);
    }
    // The peer's voice, if this is called by its name.
    let nspawn = globals.peer == Some(Peer::Nspawn);
    if nspawn {
        nspawn::begins(&request, globals);
    }
    let options = StartOptions {
        background: globals.supervise,
        tied: globals.tied,
        restart,
    };
    let mut progress = None;
    let outcome = machine::start(&request, &globals.dirs, options, &mut |event| match event {
        Event::Warning(warning) if !globals.quiet => {
            report::note(format_args!("nsrun: warning: {warning}"));
        }
        Event::Warning(_) => {}
        Event::Owners { done, total } => {
            let new = || Progress::of_owners(&request.machine, globals.quiet);
            progress.get_or_insert_with(new).advance(done, Some(total));
            if done == total {
                progress = None;
            }
        }
    })?;
    Ok(match nspawn {
        true => nspawn::ended(&request.machine, &outcome, globals).into(),
        false => outcome.exit_status().into(),
    })
}

/// An explanation, and the settings that have part in it.
#[derive(Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    settings: Vec<Setting<'a>>,
}

fn print(explanation: &Explanation, lines: &[Line], globals: &Globals) -> Result<()> {
    if globals.json {
        let settings = lines.iter().map(Setting::from).collect();
        return report::json(&Explained {
            explanation,
            settings,
        });
    }
    for line in lines {
        let Line { key, value, .. } = line;
        let outranked = match line.outranked {
            true => ", replaced by an option",
            false => "",
        };
        let place = &line.place;
        report::line(format_args!(
            "{:>20}: {}={value} ({place}{outranked})",
            "setting", key.name
        ));
    }
    report::line(explanation);
    Ok(())
}
