//! `nsrun list`: the machines that run.

use std::net::IpAddr;

use comfy_table::{Table, presets};
use nsrun_runtime::Result;
use nsrun_runtime::machine::{self, Summary};

use crate::format::Screen;
use crate::globals::Globals;
use crate::report;

/// machinectl's columns, and what the machine does.
const COLUMNS: [&str; 7] = [
    "MACHINE",
    "CLASS",
    "SERVICE",
    "OS",
    "VERSION",
    "ADDRESSES",
    "STATE",
];

const EXAMPLES: &str = "\
Examples:
  nsrun list
  nsrun list --no-legend
  nsrun --json list";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// Print the rows only, without heading and count
    #[arg(long)]
    no_legend: bool,

    /// Show all addresses, and do not cut lines to the terminal's width
    #[arg(short = 'l', long)]
    full: bool,
}

/// Prints one row for each machine.
pub fn run(args: &ListArgs, globals: &Globals) -> Result<()> {
    let listing = machine::list(&globals.dirs)?;
    listing.problems.iter().for_each(report::print);
    let machines = listing.machines;
    if globals.json {
        return report::json(&machines);
    }
    let legend = !args.no_legend && !globals.quiet;
    if machines.is_empty() {
        if legend {
            report::line("No machines.");
        }
        return Ok(());
    }
    let screen = Screen::detect();
    let screen = if args.full { screen.full() } else { screen };
    let table = table(&machines, args);
    let lines: Vec<_> = table.lines().map(|line| screen.fit(line, 0)).collect();
    report::line(lines.join("\n"));
    if legend {
        report::line(format_args!("\n{} machines listed.", machines.len()));
    }
    Ok(())
}

fn table(machines: &[Summary], args: &ListArgs) -> String {
    let mut table = Table::new();
    *table.style_mut() = presets::NOTHING;
    if !args.no_legend {
        table.set_header(COLUMNS);
    }
    for machine in machines {
        table.add_row(row(machine, args.full));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.trim_fmt()
}

fn row(machine: &Summary, full: bool) -> [String; COLUMNS.len()] {
    let dash = |text: Option<&str>| match text {
        None | Some("") => "-".to_owned(),
        Some(text) => text.to_owned(),
    };
    let release = &machine.release;
    [
        machine.name.to_string(),
        dash(Some(&machine.class)),
        "nsrun".to_owned(),
        dash(release.os_id.as_deref()),
        dash(release.os_version.as_deref()),
        dash(Some(&addresses(&machine.addresses, full))),
        machine.state.to_string(),
    ]
}

/// Addresses of version 4 come first; the row stays one line unless all are wanted.
fn addresses(addresses: &[IpAddr], full: bool) -> String {
    let mut sorted = addresses.to_vec();
    sorted.sort_by_key(IpAddr::is_ipv6);
    let texts: Vec<String> = sorted.iter().map(ToString::to_string).collect();
    match texts.split_first() {
        Some((first, rest)) if !full && !rest.is_empty() => format!("{first}…"),
        _ => texts.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_first_address_or_all() {
        let list: Vec<IpAddr> = ["fe80::1", "10.0.0.2"].map(|a| a.parse().unwrap()).into();
        assert_eq!(addresses(&list, false), "10.0.0.2…");
        assert_eq!(addresses(&list, true), "10.0.0.2\nfe80::1");
        assert_eq!(addresses(&list[..1], false), "fe80::1");
        assert_eq!(addresses(&[], false), "");
    }
}
