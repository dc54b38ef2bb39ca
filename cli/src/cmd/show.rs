//! `nsrun show`: properties of machines for scripts, under the names that `machinectl show` and
//! `systemctl show` give them.

use std::collections::BTreeMap;

use nsrun_runtime::machine::{Detail, Look};
use nsrun_runtime::state::State;
use nsrun_runtime::{Error, Kind, MachineName, Result};

use super::status::look_at;
use crate::format::moment;
use crate::globals::Globals;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  nsrun show web
  nsrun show -P Leader,State web";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// The machines' names
    #[arg(value_name = "NAME", required = true)]
    machines: Vec<MachineName>,

    /// Show these properties only, in their own order
    #[arg(short, long, value_name = "PROPERTY", value_delimiter = ',')]
    property: Vec<String>,

    /// Print values without the properties' names
    #[arg(long)]
    value: bool,

    /// Print the values of these properties; the same as --value --property
    #[arg(short = 'P', value_name = "PROPERTY", value_delimiter = ',')]
    values_of: Vec<String>,

    /// Pass over properties that there are none of
    #[arg(long, hide = true)]
    lenient: bool,
}

/// Prints a block of `KEY=VALUE` lines for each machine.
pub fn run(args: &ShowArgs, globals: &Globals) -> Result<()> {
    let wanted: Vec<&String> = args.property.iter().chain(&args.values_of).collect();
    let (details, problem) = look_at(&args.machines, Look::default(), globals)?;
    let mut blocks = Vec::new();
    for detail in &details {
        blocks.push(chosen(properties(detail), &wanted, args.lenient)?);
    }
    if globals.json {
        let maps: Vec<BTreeMap<_, _>> = blocks.into_iter().map(BTreeMap::from_iter).collect();
        match (&maps[..], &args.machines[..]) {
            ([], [_]) => {}
            ([map], [_]) => report::json(map)?,
            (maps, _) => report::json(&maps)?,
        }
    } else {
        let bare = args.value || !args.values_of.is_empty();
        let blocks: Vec<String> = blocks.iter().map(|block| text(block, bare)).collect();
        if !blocks.is_empty() {
            report::line(blocks.join("\n\n"));
        }
    }
    problem.map_or(Ok(()), Err)
}

type Property = (&'static str, String);

fn text(block: &[Property], bare: bool) -> String {
    let line = |(name, value): &Property| match bare {
        true => value.clone(),
        false => format!("{name}={value}"),
    };
    block.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn chosen(all: Vec<Property>, wanted: &[&String], lenient: bool) -> Result<Vec<Property>> {
    let known = |name: &&&String| !all.iter().any(|(property, _)| property == *name);
    if let Some(unknown) = wanted.iter().find(known).filter(|_| !lenient) {
        let what = format!("cannot show property '{}'", unknown.escape_debug());
        return Err(Error::new(Kind::Usage, what)
            .because("there is none of that name")
            .hint("`nsrun show NAME` shows all"));
    }
    let is_wanted = |(name, _): &Property| wanted.is_empty() || wanted.iter().any(|w| w == name);
    Ok(all.into_iter().filter(is_wanted).collect())
}

/// All properties; what is not known or not counted is empty.
fn properties(detail: &Detail) -> Vec<Property> {
    let mut all = identity(detail);
    all.extend(place(detail));
    all.extend(usage(detail));
    all
}

fn identity(detail: &Detail) -> Vec<Property> {
    let summary = &detail.summary;
    let unit = detail.unit.as_ref();
    vec![
        ("Name", summary.name.to_string()),
        ("Id", text_of(detail.id.as_ref())),
        ("Timestamp", text_of(detail.since_usec.and_then(moment))),
        ("TimestampMonotonic", text_of(detail.since_boottime_usec)),
        ("Service", "nsrun".to_owned()),
        ("Unit", text_of(unit.map(|unit| &unit.name))),
        (
            "Subgroup",
            text_of(unit.and_then(|unit| unit.subgroup.as_ref())),
        ),
        (
            "Leader",
            text_of(detail.leader.as_ref().map(|leader| leader.pid)),
        ),
        ("Supervisor", text_of(detail.supervisor)),
        ("Class", summary.class.clone()),
        ("State", state(summary.state)),
        (
            "UnitFileState",
            match summary.enabled {
                true => "enabled".to_owned(),
                false => "disabled".to_owned(),
            },
        ),
    ]
}

/// The states that machined has go by its names.
fn state(state: State) -> String {
    match state {
        State::Starting => "opening".to_owned(),
        State::Stopping => "closing".to_owned(),
        other => other.to_string(),
    }
}

fn place(detail: &Detail) -> Vec<Property> {
    let release = &detail.summary.release;
    let addresses: Vec<String> = detail
        .summary
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    vec![
        ("RootDirectory", detail.root.clone()),
        ("Image", text_of(detail.image.as_ref())),
        ("NetworkInterfaces", text_of(detail.interface_index)),
        ("Interface", text_of(detail.interface.as_ref())),
        ("Network", detail.network.clone()),
        ("Addresses", addresses.join(" ")),
        ("UIDShift", text_of(detail.shift)),
        ("OS", text_of(release.os.as_ref())),
        ("OSID", text_of(release.os_id.as_ref())),
        ("OSVersion", text_of(release.os_version.as_ref())),
        ("StatusText", text_of(detail.status.as_ref())),
        (
            "ControlGroup",
            text_of(detail.cgroup.as_ref().map(|path| format!("/{path}"))),
        ),
    ]
}

fn usage(detail: &Detail) -> Vec<Property> {
    let used = &detail.usage;
    vec![
        (
            "CPUUsageNSec",
            text_of(used.cpu_usec.map(|usec| usec.saturating_mul(1000))),
        ),
        ("MemoryCurrent", text_of(used.memory_bytes)),
        ("MemoryPeak", text_of(used.memory_peak_bytes)),
        ("TasksCurrent", text_of(used.tasks)),
        ("TasksMax", text_of(used.tasks_max)),
        ("IOReadBytes", text_of(used.io_read_bytes)),
        ("IOWriteBytes", text_of(used.io_write_bytes)),
    ]
}

fn text_of(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Vec<Property> {
        vec![
            ("Name", "web".into()),
            ("Id", String::new()),
            ("Leader", "7".into()),
        ]
    }

    #[test]
    fn properties_are_chosen_by_name_in_their_own_order() {
        let names = |wanted: &[&String]| chosen(block(), wanted, false).unwrap();
        assert_eq!(names(&[]), block());
        let (leader, name) = ("Leader".to_owned(), "Name".to_owned());
        assert_eq!(text(&names(&[&leader, &name]), false), "Name=web\nLeader=7");
        assert_eq!(text(&names(&[&leader]), true), "7");
        let wrong = "leader".to_owned();
        let error = chosen(block(), &[&wrong], false).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(chosen(block(), &[&wrong], true).unwrap(), []);
    }
}
