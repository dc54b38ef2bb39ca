//! `nsrun logs`: what a machine wrote to its console, and its journal.

use jiff::ZonedDateTime;
use nsrun_runtime::machine::{self, Entries, Excerpt, Follow, Period};
use nsrun_runtime::{Error, Kind, MachineName, Result};

use crate::format::Screen;
use crate::globals::Globals;
use crate::when::When;

const EXAMPLES: &str = "\
Examples:
  nsrun logs -f web
  nsrun logs --since '10min ago' web
  nsrun logs -u nginx -p warning --since yesterday web
  nsrun logs --journal -o json web

The console is kept for machines in the background. The journal is read by the image's own
journalctl: in the machine if it runs, else in one that cannot write. What else journalctl can do:
`nsrun exec NAME -- journalctl ...`.";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct LogsArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Go on with what comes, until the machine stops
    #[arg(short, long)]
    follow: bool,

    /// Show the last N lines only
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,

    /// Show what was written then or later: '2026-01-31 18:00', '18:00', yesterday, '1h ago'
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<When>,

    /// Show what was written until then
    #[arg(
        short = 'U',
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "follow"
    )]
    until: Option<When>,

    /// Show the console [default, unless an option asks for the journal]
    #[arg(long, conflicts_with_all = ["journal", "unit", "priority", "output"])]
    console: bool,

    /// Show the journal
    #[arg(short, long)]
    journal: bool,

    /// Show the journal of a unit; may be given several times
    #[arg(short, long, value_name = "UNIT")]
    unit: Vec<String>,

    /// Show entries of the journal of this priority or a graver one, or of a range
    #[arg(short, long, value_name = "PRIORITY[..PRIORITY]")]
    priority: Option<String>,

    /// Show the journal in this form, such as short-precise, cat, verbose, json
    #[arg(short, long, value_name = "FORM")]
    output: Option<String>,
}

/// Prints the log of the machine's current or last run, or its journal.
pub fn run(args: &LogsArgs, globals: &Globals) -> Result<()> {
    let now = ZonedDateTime::now();
    let excerpt = Excerpt {
        lines: args.lines,
        period: Period {
            since_usec: resolve(args.since.as_ref(), &now)?,
            until_usec: resolve(args.until.as_ref(), &now)?,
        },
        follow: match args.follow {
            true => Follow::UntilItsEnd,
            false => Follow::No,
        },
    };
    let of_journal =
        args.journal || !args.unit.is_empty() || args.priority.is_some() || args.output.is_some();
    if !of_journal {
        return machine::console_log(&globals.dirs, &args.machine, excerpt);
    }
    let as_json = || globals.json.then(|| "json".to_owned());
    let entries = Entries {
        units: args.unit.clone(),
        priority: args.priority.clone(),
        output: args.output.clone().or_else(as_json),
        coloured: Screen::detect().has_colours(),
    };
    machine::journal(&globals.dirs, &args.machine, excerpt, &entries)
}

fn resolve(when: Option<&When>, now: &ZonedDateTime) -> Result<Option<u64>> {
    let no_moment = || {
        Error::new(
            Kind::Usage,
            "no calendar has that moment, or 1970 had not begun",
        )
    };
    when.map(|when| when.usec(now).ok_or_else(no_moment))
        .transpose()
}
