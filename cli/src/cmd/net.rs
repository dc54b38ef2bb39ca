//! `nsrun ip` and `nsrun ports`: where machines are reached.

use std::net::IpAddr;

use comfy_table::{Table, presets};
use nsrun_runtime::machine::{self, Summary};
use nsrun_runtime::name::MachineName;
use nsrun_runtime::plan::network::Publish;
use nsrun_runtime::{Error, Kind, Result};
use serde::Serialize;

use crate::globals::Globals;
use crate::report;

const IP_EXAMPLES: &str = "\
Examples:
  nsrun ip web
  nsrun ip -4 web";

#[derive(clap::Args, Debug)]
#[command(after_help = IP_EXAMPLES)]
pub struct IpArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Print addresses of IPv4 only
    #[arg(short = '4', long)]
    ipv4: bool,

    /// Print addresses of IPv6 only
    #[arg(short = '6', long, conflicts_with = "ipv4")]
    ipv6: bool,
}

const PORTS_EXAMPLES: &str = "\
Examples:
  nsrun ports
  nsrun ports web";

#[derive(clap::Args, Debug)]
#[command(after_help = PORTS_EXAMPLES)]
pub struct PortsArgs {
    /// The machines' names; all if there is none
    #[arg(value_name = "NAME")]
    machines: Vec<MachineName>,

    /// Print the rows only, without heading
    #[arg(long)]
    no_legend: bool,
}

/// Prints the addresses that nsrun has given to a machine, one a line.
pub fn ip(args: &IpArgs, globals: &Globals) -> Result<()> {
    let machines = chosen(std::slice::from_ref(&args.machine), globals)?;
    let wanted = |address: &IpAddr| match address {
        IpAddr::V4(_) => !args.ipv6,
        IpAddr::V6(_) => !args.ipv4,
    };
    let addresses = machines.iter().flat_map(|machine| &machine.addresses);
    let mut addresses: Vec<IpAddr> = addresses.copied().filter(wanted).collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    if addresses.is_empty() {
        let name = &args.machine;
        let what = format!("nsrun has given no such address to machine {name}");
        let error = Error::new(Kind::Failed, what);
        return Err(error.hint(format!(
            "`nsrun status {name}` tells its network; with the host's, its addresses are the host's"
        )));
    }
    if globals.json {
        return report::json(&addresses);
    }
    addresses.iter().for_each(report::line);
    Ok(())
}

/// A published port, or a range of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    machine: String,
    protocol: String,
    /// The host's address; all if there is none.
    address: Option<IpAddr>,
    /// The first and the last port of the host.
    first: u16,
    last: u16,
    /// The machine's port that the first one leads to.
    to: u16,
}

/// Prints which ports of the host lead to machines.
pub fn ports(args: &PortsArgs, globals: &Globals) -> Result<()> {
    let machines = chosen(&args.machines, globals)?;
    let rows: Vec<Row> = machines.iter().flat_map(rows).collect();
    if globals.json {
        return report::json(&rows);
    }
    let legend = !args.no_legend && !globals.quiet;
    if rows.is_empty() {
        if legend {
            report::line("No ports.");
        }
        return Ok(());
    }
    report::line(table(&rows, legend));
    Ok(())
}

/// The machines of these names, or all.
fn chosen(names: &[MachineName], globals: &Globals) -> Result<Vec<Summary>> {
    let listing = machine::list(&globals.dirs)?;
    listing.problems.iter().for_each(report::print);
    let mut machines = listing.machines;
    let unknown = names
        .iter()
        .find(|name| machines.iter().all(|machine| machine.name != **name));
    if let Some(name) = unknown {
        return Err(machine::absent(&globals.dirs, name));
    }
    if !names.is_empty() {
        machines.retain(|machine| names.contains(&machine.name));
    }
    Ok(machines)
}

fn rows(machine: &Summary) -> Vec<Row> {
    let published = machine.ports.iter().filter_map(|text| text.parse().ok());
    let row = |publish: Publish| Row {
        machine: machine.name.to_string(),
        protocol: publish.protocol.to_string(),
        address: publish.address,
        first: publish.first,
        last: publish.last,
        to: publish.machine,
    };
    published.map(row).collect()
}

fn table(rows: &[Row], legend: bool) -> String {
    let mut table = Table::new();
    *table.style_mut() = presets::NOTHING;
    if legend {
        table.set_header(["MACHINE", "PROTOCOL", "ADDRESS", "PORT", "LEADS TO"]);
    }
    for row in rows {
        let address = row.address.map_or("*".to_owned(), |at| at.to_string());
        let last = row.to.saturating_add(row.last - row.first);
        table.add_row([
            row.machine.clone(),
            row.protocol.clone(),
            address,
            span(row.first, row.last),
            span(row.to, last),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.trim_fmt()
}

fn span(first: u16, last: u16) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_shown_on_both_sides() {
        let row = Row {
            machine: "web".to_owned(),
            protocol: "tcp".to_owned(),
            address: None,
            first: 8000,
            last: 8003,
            to: 80,
        };
        let shown = table(&[row], false);
        assert_eq!(
            shown.split_whitespace().collect::<Vec<_>>(),
            ["web", "tcp", "*", "8000-8003", "80-83"]
        );
        assert_eq!(span(53, 53), "53");
    }
}
