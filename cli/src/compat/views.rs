//! What machinectl and importctl print of machines and images, in their columns.

use std::net::IpAddr;

use nsrun_runtime::Result;
use nsrun_runtime::image::{self, ImageName, ImageSummary, ListOptions, Moment};
use nsrun_runtime::machine::{self, Summary};
use serde_json::Value;

use super::step::Choice;
use super::table::{self, Addresses, Cell, Style};
use crate::globals::Globals;
use crate::report;

/// What systemd prints of a number that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Prints the machines that run.
pub(super) fn machines(style: &Style, globals: &Globals) -> Result<()> {
    let listing = machine::list(&globals.dirs)?;
    listing.problems.iter().for_each(report::print);
    let mut head = vec!["MACHINE", "CLASS", "SERVICE", "OS", "VERSION", "ADDRESSES"];
    if style.addresses == Addresses::Some(0) {
        head.pop();
    }
    let rows: Vec<Vec<Cell>> = listing
        .machines
        .iter()
        .map(|machine| machine_row(machine, style.addresses, head.len()))
        .collect();
    print(&table::lines(*style, "machines", &head, &rows));
    Ok(())
}

fn machine_row(machine: &Summary, shown: Addresses, columns: usize) -> Vec<Cell> {
    let mut row = vec![
        Cell::of(Some(machine.name.as_str())),
        Cell::of(Some(&machine.class)),
        Cell::of(Some("nsrun")),
        Cell::of(machine.release.os_id.as_deref()),
        Cell::of(machine.release.os_version.as_deref()),
        Cell::of(Some(&addresses(&machine.addresses, shown))),
    ];
    row.truncate(columns);
    row
}

/// Those of version 4 come first; `…` stands for those that are not shown.
fn addresses(all: &[IpAddr], shown: Addresses) -> String {
    let mut sorted = all.to_vec();
    sorted.sort_by_key(IpAddr::is_ipv6);
    let count = match shown {
        Addresses::Some(count) => count,
        Addresses::All => sorted.len(),
    };
    let mut lines: Vec<String> = sorted.iter().map(ToString::to_string).collect();
    if lines.len() > count {
        lines.truncate(count);
        if let Some(last) = lines.last_mut() {
            last.push('…');
        }
    }
    lines.join("\n")
}

/// Prints the images as machinectl does.
pub(super) fn images(style: &Style, globals: &Globals) -> Result<()> {
    let head = ["NAME", "TYPE", "RO", "USAGE", "CREATED", "MODIFIED"];
    print_images(style, &head, globals, |image| {
        let read_only = yes_no(image.read_only);
        vec![
            Cell::of(Some(image.name.as_str())),
            Cell::of(Some(image.form)),
            known(Some(read_only), Some(image.read_only.into())),
            usage(image),
            time(image.created),
            time(image.modified),
        ]
    })
}

/// Prints the images as importctl does.
pub(super) fn images_with_paths(style: &Style, globals: &Globals) -> Result<()> {
    let head = [
        "CLASS", "NAME", "TYPE", "PATH", "RO", "CRTIME", "MTIME", "USAGE", "LIMIT",
    ];
    print_images(style, &head, globals, |image| {
        let read_only = if image.read_only { "ro" } else { "rw" };
        vec![
            Cell::of(Some("machine")),
            Cell::of(Some(image.name.as_str())),
            Cell::of(Some(image.form)),
            Cell::of(Some(&image.path.display().to_string())),
            known(Some(read_only), Some(image.read_only.into())),
            time(image.created),
            time(image.modified),
            usage(image),
            Cell::of(None),
        ]
    })
}

fn print_images(
    style: &Style,
    head: &[&str],
    globals: &Globals,
    row: impl Fn(&ImageSummary) -> Vec<Cell>,
) -> Result<()> {
    let options = ListOptions {
        all: style.all,
        usage: false,
    };
    let images = image::list(&globals.dirs, options)?;
    let rows: Vec<Vec<Cell>> = images.iter().map(row).collect();
    print(&table::lines(*style, "images", head, &rows));
    Ok(())
}

fn known(text: Option<&str>, value: Option<Value>) -> Cell {
    Cell {
        value: value.unwrap_or_default(),
        ..Cell::of(text)
    }
}

fn time(time: Option<Moment>) -> Cell {
    let value = time.and_then(|time| serde_json::to_value(time).ok());
    known(time.map(|time| time.to_string()).as_deref(), value)
}

fn usage(image: &ImageSummary) -> Cell {
    let text = image
        .usage
        .map(|bytes| indicatif::BinaryBytes(bytes).to_string());
    known(text.as_deref(), image.usage.map(Value::from))
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Prints properties of an image.
pub(super) fn image_properties(name: &str, choice: &Choice, globals: &Globals) -> Result<()> {
    let name: ImageName = name.parse()?;
    let summary = image::detail(&globals.dirs, &name, false)?.summary;
    let time = |time: Option<Moment>| time.map(|time| time.to_string()).unwrap_or_default();
    let usage = summary.usage.unwrap_or(UNKNOWN).to_string();
    let unknown = UNKNOWN.to_string();
    let properties = [
        ("Name", summary.name.to_string()),
        ("Path", summary.path.display().to_string()),
        ("Type", summary.form.to_owned()),
        ("ReadOnly", yes_no(summary.read_only).to_owned()),
        ("CreationTimestamp", time(summary.created)),
        ("ModificationTimestamp", time(summary.modified)),
        ("Usage", usage.clone()),
        ("Limit", unknown.clone()),
        ("UsageExclusive", usage),
        ("LimitExclusive", unknown),
    ];
    print(&chosen(&properties, choice));
    Ok(())
}

/// Prints what is known of the directory of the images.
pub(super) fn pool(choice: Option<&Choice>, globals: &Globals) {
    let path = globals.dirs.image_root().display().to_string();
    let Some(choice) = choice else {
        report::line(format_args!("{:>12}: {path}", "Path"));
        return;
    };
    let unknown = UNKNOWN.to_string();
    let properties = [
        ("PoolPath", path),
        ("PoolUsage", unknown.clone()),
        ("PoolLimit", unknown),
    ];
    print(&chosen(&properties, choice));
}

/// Lines of the properties that were asked for. One that does not exist is passed over.
fn chosen(properties: &[(&str, String)], choice: &Choice) -> Vec<String> {
    let wanted = |name: &str| choice.names.is_empty() || choice.names.iter().any(|n| n == name);
    let line = |(name, value): &(&str, String)| match choice.bare {
        true => value.clone(),
        false => format!("{name}={value}"),
    };
    let all = properties.iter().filter(|(name, _)| wanted(name));
    all.map(line).collect()
}

fn print(lines: &[String]) {
    lines.iter().for_each(report::line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_addresses_are_shown_as_asked_for() {
        let all: Vec<IpAddr> = ["fe80::1", "10.0.0.2"].map(|a| a.parse().unwrap()).into();
        assert_eq!(addresses(&all, Addresses::Some(1)), "10.0.0.2…");
        assert_eq!(addresses(&all, Addresses::Some(2)), "10.0.0.2\nfe80::1");
        assert_eq!(addresses(&all, Addresses::All), "10.0.0.2\nfe80::1");
        assert_eq!(addresses(&all, Addresses::Some(0)), "");
        assert_eq!(addresses(&[], Addresses::All), "");
    }

    #[test]
    fn properties_are_chosen_and_unknown_ones_passed_over() {
        let all = [("A", "1".to_owned()), ("B", "2".to_owned())];
        let choice = |names: &[&str], bare| Choice {
            names: names.iter().map(ToString::to_string).collect(),
            bare,
        };
        assert_eq!(chosen(&all, &choice(&[], false)), ["A=1", "B=2"]);
        assert_eq!(chosen(&all, &choice(&["B", "C"], true)), ["2"]);
    }
}
