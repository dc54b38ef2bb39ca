//! `nsrun status`: what is known of machines, in the layout of `machinectl status`.

use nsrun_runtime::machine::{self, Detail, Look, Manager};
use nsrun_runtime::state::State;
use nsrun_runtime::{Error, MachineName, Result};

use crate::format::{Screen, Tone, ago, bytes, draw, moment, span};
use crate::globals::Globals;
use crate::report;

/// Columns before a field's value.
const INDENT: usize = 18;

const EXAMPLES: &str = "\
Examples:
  nsrun status web
  nsrun status --full --lines=100 web db";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// The machines' names [default: all that run]
    #[arg(value_name = "NAME")]
    machines: Vec<MachineName>,

    /// Do not cut lines to the terminal's width
    #[arg(short = 'l', long)]
    full: bool,

    /// Show the last N lines of the console of a machine in the background
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
}

/// Prints what the kernel, the machine's record and its service manager say.
pub fn run(args: &StatusArgs, globals: &Globals) -> Result<()> {
    let look = Look {
        lines: args.lines,
        manager: true,
    };
    let (details, problem) = look_at(&args.machines, look, globals)?;
    if globals.json {
        match (&details[..], &args.machines[..]) {
            ([detail], [_]) => report::json(detail)?,
            ([], [_]) => {}
            (details, _) => report::json(&details)?,
        }
    } else {
        let screen = Screen::detect();
        let screen = if args.full { screen.full() } else { screen };
        for (number, detail) in details.iter().enumerate() {
            if number > 0 {
                report::line("");
            }
            print(detail, screen);
        }
        if details.is_empty() && problem.is_none() && !globals.quiet {
            report::line("No machines.");
        }
    }
    problem.map_or(Ok(()), Err)
}

/// Looks at the machines of those names, or at all. All failures but the first are told here.
pub(super) fn look_at(
    names: &[MachineName],
    look: Look,
    globals: &Globals,
) -> Result<(Vec<Detail>, Option<Error>)> {
    let mut details = Vec::new();
    let mut problem = None;
    let all = names.is_empty();
    let names = if all {
        let listing = machine::list(&globals.dirs)?;
        listing.problems.iter().for_each(report::print);
        listing.machines.into_iter().map(|row| row.name).collect()
    } else {
        names.to_vec()
    };
    for name in &names {
        match machine::status(&globals.dirs, name, look) {
            Ok(detail) => details.push(detail),
            // It has ended since it was listed.
            Err(error) if all && error.kind() == nsrun_runtime::Kind::NotFound => {}
            Err(error) => match &problem {
                None => problem = Some(error),
                Some(_) => report::print(&error),
            },
        }
    }
    Ok((details, problem))
}

/// A field and its value; the value may be in colour, and is cut before that.
struct Sheet(Screen);

impl Sheet {
    fn field(&self, name: &str, value: impl Into<Option<String>>) {
        self.toned(name, value, None);
    }

    fn toned(&self, name: &str, value: impl Into<Option<String>>, tone: Option<Tone>) {
        let Some(value) = value.into().filter(|value| !value.is_empty()) else {
            return;
        };
        let value = self.0.fit(&value, INDENT);
        let label = match name {
            "" => String::new(),
            name => format!("{name}:"),
        };
        let value = match tone {
            Some(tone) => self.0.paint(tone, value),
            None => value.into_owned(),
        };
        report::line(format_args!("{label:>17} {value}"));
    }
}

fn print(detail: &Detail, screen: Screen) {
    let summary = &detail.summary;
    let id = detail.id.as_ref().map(|id| format!("({id})"));
    let id = id.unwrap_or_default();
    report::line(format_args!(
        "{}{id}",
        screen.paint(Tone::Strong, &summary.name)
    ));
    let sheet = Sheet(screen);
    let times = detail.since_usec.and_then(moment).zip(detail.uptime_usec);
    sheet.field(
        "Since",
        times.map(|(at, for_usec)| format!("{at}; {}", ago(for_usec))),
    );
    sheet.toned(
        "State",
        summary.state.to_string(),
        Some(tone(summary.state)),
    );
    sheet.field("Status", detail.status.clone());
    let leader = detail.leader.as_ref();
    sheet.field("Leader", leader.map(|p| format!("{} ({})", p.pid, p.name)));
    sheet.field("Superv.", supervisor(detail));
    let class = summary.class.as_str();
    sheet.field(
        "Service",
        (!class.is_empty()).then(|| format!("nsrun; class {class}")),
    );
    let enabled = summary
        .enabled
        .then(|| "yes: it starts when the host boots".to_owned());
    sheet.field("Enabled", enabled);
    sheet.field("Root", detail.root.clone());
    network(detail, &sheet);
    sheet.field("OS", summary.release.os.clone());
    sheet.field("UID Shift", detail.shift.map(|base| base.to_string()));
    binds(detail, &sheet);
    usage(detail, &sheet);
    if let Some(manager) = &detail.manager {
        units(manager, &sheet);
    }
    tree(detail, &sheet);
    console(detail, screen);
}

/// What was mounted since the start, a line each.
fn binds(detail: &Detail, sheet: &Sheet) {
    for (number, bind) in detail.binds.iter().enumerate() {
        let name = if number == 0 { "Binds" } else { "" };
        let (source, target) = (bind.source.escape_debug(), bind.target.escape_debug());
        let how = if bind.read_only { " (read-only)" } else { "" };
        sheet.field(name, format!("{source} on {target}{how}"));
    }
}

fn tone(state: State) -> Tone {
    match state {
        State::Running => Tone::Good,
        State::Starting | State::Stopping | State::Paused => Tone::Passing,
        State::Orphaned | State::Dead => Tone::Bad,
    }
}

/// The name is looked up in the tree, where every process of the machine is.
fn supervisor(detail: &Detail) -> Option<String> {
    let pid = detail.supervisor?;
    let mut all = detail.tree.iter().flat_map(machine::Branch::all);
    Some(match all.find(|process| process.pid == pid) {
        Some(process) => format!("{pid} ({})", process.name),
        None => pid.to_string(),
    })
}

fn network(detail: &Detail, sheet: &Sheet) {
    match &detail.interface {
        Some(interface) => sheet.field("Iface", interface.clone()),
        None => sheet.field("Network", detail.network.clone()),
    }
    for (number, address) in detail.summary.addresses.iter().enumerate() {
        let name = if number == 0 { "Address" } else { "" };
        sheet.field(name, address.to_string());
    }
}

fn usage(detail: &Detail, sheet: &Sheet) {
    let used = &detail.usage;
    let more = |name: &str, value: Option<String>| {
        value.map_or_else(String::new, |value| format!(" ({name}: {value})"))
    };
    let tasks = used.tasks.map(|n| {
        format!(
            "{n}{}",
            more("limit", used.tasks_max.map(|n| n.to_string()))
        )
    });
    sheet.field("Tasks", tasks);
    let peak = more("peak", used.memory_peak_bytes.map(bytes));
    sheet.field("Memory", used.memory_bytes.map(|n| bytes(n) + &peak));
    sheet.field("CPU", used.cpu_usec.map(span));
    let io = used.io_read_bytes.zip(used.io_write_bytes);
    sheet.field(
        "IO",
        io.map(|(read, written)| format!("{} read, {} written", bytes(read), bytes(written))),
    );
}

fn units(manager: &Manager, sheet: &Sheet) {
    let tone = match manager.state.as_deref() {
        Some("running") => Tone::Good,
        Some("degraded" | "maintenance") => Tone::Bad,
        _ => Tone::Passing,
    };
    sheet.toned("System", manager.state.clone(), Some(tone));
    sheet.toned("System", manager.problem.clone(), Some(Tone::Passing));
    for (number, unit) in manager.failed_units.iter().enumerate() {
        let name = if number == 0 { "Failed" } else { "" };
        sheet.toned(name, unit.clone(), Some(Tone::Bad));
    }
}

fn tree(detail: &Detail, sheet: &Sheet) {
    let Some(unit) = &detail.unit else {
        return;
    };
    sheet.field("Unit", unit.name.clone());
    sheet.field("Subgroup", unit.subgroup.clone());
    for line in detail.tree.iter().flat_map(draw) {
        let used = INDENT + line.lead.chars().count();
        let lead = sheet.0.paint(Tone::Faint, &line.lead);
        let text = sheet.0.fit(&line.text, used);
        report::line(format_args!("{:INDENT$}{lead}{text}", ""));
    }
}

fn console(detail: &Detail, screen: Screen) {
    if detail.console.is_empty() {
        return;
    }
    report::line("");
    for line in &detail.console {
        report::line(screen.fit(line, 0));
    }
}
