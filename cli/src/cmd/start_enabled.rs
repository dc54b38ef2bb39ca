//! Starting all machines that are enabled: what a host without units runs when it boots.

use std::ffi::OsString;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use nsrun_runtime::enabled::{self, Enabled, Starter};
use nsrun_runtime::machine::{self, Restart, Started, Until, start_in_background};
use nsrun_runtime::state::State;
use nsrun_runtime::{Dirs, Error, Kind, MachineName, Result, systemd};

use crate::crowd;
use crate::globals::Globals;
use crate::report;

/// How machines are started.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// How far they are to be. A unit is waited for until its machine says that it is ready.
    pub until: Until,
    /// How long each may take to be that far.
    pub patience: Duration,
    /// What becomes of one that ends by itself, if no unit has it.
    pub restart: Restart,
}

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Started,
    /// It ran before.
    Running,
    /// Why has been told; the exit status.
    Failed(u8),
}

/// Starts all that are enabled.
pub fn start_all(start: &Start, globals: &Globals) -> Result<ExitCode> {
    let marks = enabled::all(&globals.dirs)?;
    if marks.is_empty() && !globals.json && !globals.quiet {
        report::line("No machines are enabled.");
        return Ok(ExitCode::SUCCESS);
    }
    self::start(&marks, start, globals)
}

/// Starts these, by their units where they have some. The exit status is that of the first failure.
pub fn start(marks: &[Enabled], start: &Start, globals: &Globals) -> Result<ExitCode> {
    let unit = |mark: &Enabled| match enabled::starter(&globals.dirs, &mark.name) {
        Starter::Unit(unit) => Some(unit),
        Starter::Service | Starter::Command => None,
    };
    let units: Option<Vec<String>> = marks.iter().map(unit).collect();
    let fates = match units {
        Some(units) => by_units(marks, &units, start, globals)?,
        None => {
            // A start takes processors, not time.
            let at_once = available_parallelism().map_or(2, |count| count.get() * 2);
            crowd::each(marks, at_once, |mark| {
                alone(mark, start, globals).unwrap_or_else(|error| told(&error))
            })
        }
    };
    tell(&fates, globals)?;
    let status = fates.iter().find_map(|(_, fate)| match fate {
        Fate::Failed(status) => Some(*status),
        Fate::Started | Fate::Running => None,
    });
    Ok(status.map_or(ExitCode::SUCCESS, ExitCode::from))
}

fn by_units<'a>(
    marks: &'a [Enabled],
    units: &[String],
    start: &Start,
    globals: &Globals,
) -> Result<Vec<(&'a Enabled, Fate)>> {
    if start.restart != Restart::No {
        let what = "machines that are units of systemd are started again as their units say";
        let hint = "systemctl edit nsrun@.service, with Restart= in [Service]";
        return Err(Error::new(Kind::Usage, what).hint(hint));
    }
    let running: Vec<bool> = marks
        .iter()
        .map(|mark| is_running(&globals.dirs, &mark.name))
        .collect::<Result<_>>()?;
    let results = systemd::start_units(units, start.patience)?;
    let all = marks.iter().zip(running).zip(results);
    let fates = all.map(|((mark, running), result)| match result {
        _ if running => (mark, Fate::Running),
        Ok(()) => (mark, Fate::Started),
        Err(error) => (mark, told(&error)),
    });
    Ok(fates.collect())
}

/// Starts a supervisor for the machine, as `nsrun start` does.
fn alone(mark: &Enabled, start: &Start, globals: &Globals) -> Result<Fate> {
    let name = &mark.name;
    if is_running(&globals.dirs, name)? {
        return Ok(Fate::Running);
    }
    let words = words(mark, start, globals);
    let started = start_in_background(name, &words, start.until, start.patience)?;
    Ok(match started {
        Started::Yes => Fate::Started,
        Started::Ended(status) => Fate::Failed(status),
    })
}

fn words(mark: &Enabled, start: &Start, globals: &Globals) -> Vec<OsString> {
    let with = |option: &str, value: &std::path::Path| {
        let mut word = OsString::from(option);
        word.push(value);
        word
    };
    let mut words = vec![
        "--supervise".into(),
        with("--image-root=", &mark.image_root),
    ];
    words.extend(
        globals
            .dirs
            .state_root()
            .map(|dir| with("--state-root=", dir)),
    );
    if globals.quiet {
        words.push("--quiet".into());
    }
    words.push("start".into());
    let own = mark
        .options
        .iter()
        .any(|word| word.starts_with("--restart"));
    if start.restart != Restart::No && !own {
        words.push(format!("--restart={}", start.restart).into());
    }
    words.extend(mark.options.iter().map(OsString::from));
    words.push(mark.name.as_str().into());
    words
}

fn is_running(dirs: &Dirs, name: &MachineName) -> Result<bool> {
    let state = machine::state(dirs, name)?;
    Ok(state.is_some_and(|state| !matches!(state, State::Dead | State::Orphaned)))
}

fn told(error: &Error) -> Fate {
    report::print(error);
    Fate::Failed(error.kind().exit_status())
}

fn tell(fates: &[(&Enabled, Fate)], globals: &Globals) -> Result<()> {
    if globals.json {
        let line = |(mark, fate): &(&'_ Enabled, Fate)| serde_json::json!({ "machine": mark.name, "result": word(*fate) });
        return report::json(&fates.iter().map(line).collect::<Vec<_>>());
    }
    for (mark, fate) in fates.iter().filter(|_| !globals.quiet) {
        let name = &mark.name;
        match fate {
            Fate::Started => report::line(format_args!("{name} has started.")),
            Fate::Running => report::line(format_args!("{name} runs already.")),
            Fate::Failed(_) => report::line(format_args!("{name} has not started.")),
        }
    }
    Ok(())
}

fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Started => "started",
        Fate::Running => "running",
        Fate::Failed(_) => "failed",
    }
}
