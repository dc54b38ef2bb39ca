//! `nsrun config`: what the settings files of a machine come to, and where each line is from.

use nsrun_runtime::settings::{
    Collected, Found, KEYS, Key, Line, Problem, SearchPath, Section, Use, collect,
};
use nsrun_runtime::{MachineName, Result};
use serde::Serialize;

use super::cat::no_settings;
use crate::globals::Globals;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  nsrun config web";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ConfigArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Show what holds without a line, too
    #[arg(long)]
    all: bool,

    /// Read the files as `boot --settings=MODE` does: `yes` or `trusted`
    #[arg(
        long,
        value_name = "MODE",
        default_value = "yes",
        hide_default_value = true
    )]
    settings: Use,
}

/// Prints the settings as one file, each below a comment that names its origin.
pub fn run(args: &ConfigArgs, globals: &Globals) -> Result<()> {
    let found = SearchPath::of(&globals.dirs, &args.machine).find(args.machine.as_str())?;
    let all = match args.settings {
        Use::No => Collected::default(),
        usage => collect(&found, usage),
    };
    if globals.json {
        report::json(&json(&args.machine, &found, &all))?;
        return all.check();
    }
    found.skipped.iter().for_each(report::note);
    if found.files.is_empty() && !args.all {
        return Err(no_settings(&args.machine));
    }
    for section in Section::ALL {
        print(section, &all, args.all);
    }
    if !globals.quiet {
        all.warnings.iter().for_each(report::note);
    }
    all.errors.iter().skip(1).for_each(report::note);
    all.check()
}

fn print(section: Section, all: &Collected, defaults: bool) {
    let lines: Vec<&Line> = of(section, all).collect();
    let is_unsaid = |key: &&Key| !lines.iter().any(|line| line.key.name == key.name);
    let shown = |key: &&Key| defaults && key.section == section && !key.default.is_empty();
    let unsaid: Vec<&Key> = KEYS.iter().filter(shown).filter(is_unsaid).collect();
    if lines.is_empty() && unsaid.is_empty() {
        return;
    }
    report::line(format_args!("[{}]", section.name()));
    for line in &lines {
        let Line {
            key, value, place, ..
        } = line;
        match key.ignored {
            None => report::line(format_args!("# {place}\n{}={value}", key.name)),
            Some(why) => {
                report::line(format_args!(
                    "# {place}: ignored, {why}\n#{}={value}",
                    key.name
                ));
            }
        }
    }
    for key in unsaid {
        report::line(format_args!("# default: {}\n#{}=", key.default, key.name));
    }
    report::line("");
}

/// Lines of a section, those of one key together.
fn of(section: Section, all: &Collected) -> impl Iterator<Item = &Line> {
    let lines = all.lines.iter().filter(move |l| l.key.section == section);
    let mut lines: Vec<&Line> = lines.collect();
    let first = |name: &str| all.lines.iter().position(|line| line.key.name == name);
    lines.sort_by_key(|line| first(line.key.name));
    lines.into_iter()
}

#[derive(Serialize)]
struct Shown<'a> {
    machine: &'a str,
    files: Vec<File>,
    settings: Vec<Setting<'a>>,
    warnings: Vec<Told<'a>>,
    errors: Vec<Told<'a>>,
}

#[derive(Serialize)]
struct File {
    path: String,
    trusted: bool,
}

/// A line of a settings file.
#[derive(Serialize)]
pub struct Setting<'a> {
    section: &'static str,
    key: &'static str,
    value: &'a str,
    file: String,
    line: usize,
    ignored: Option<&'static str>,
    outranked: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    file: String,
    line: usize,
    text: &'a str,
    hint: Option<&'a str>,
}

fn json<'a>(machine: &'a MachineName, found: &Found, all: &'a Collected) -> Shown<'a> {
    let file = |file: &nsrun_runtime::settings::SettingsFile| File {
        path: file.path.display().to_string(),
        trusted: file.trusted,
    };
    let lines = Section::ALL
        .into_iter()
        .flat_map(|section| of(section, all));
    Shown {
        machine: machine.as_str(),
        files: found.files.iter().map(file).collect(),
        settings: lines.map(Setting::from).collect(),
        warnings: all.warnings.iter().map(told).collect(),
        errors: all.errors.iter().map(told).collect(),
    }
}

impl<'a> From<&'a Line> for Setting<'a> {
    fn from(line: &'a Line) -> Self {
        Self {
            section: line.key.section.name(),
            key: line.key.name,
            value: &line.value,
            file: line.place.file.display().to_string(),
            line: line.place.line,
            ignored: line.key.ignored,
            outranked: line.outranked,
        }
    }
}

fn told(problem: &Problem) -> Told<'_> {
    Told {
        file: problem.place.file.display().to_string(),
        line: problem.place.line,
        text: &problem.text,
        hint: problem.hint.as_deref(),
    }
}
