//! `nsrun list`: the machines that run.

use comfy_table::{Table, presets};
use nsrun_runtime::Result;
use nsrun_runtime::machine::{self, Summary};

use crate::globals::Globals;
use crate::report;

#[derive(clap::Args, Debug)]
pub struct ListArgs {
    /// Print the rows only, without heading and count
    #[arg(long)]
    no_legend: bool,
}

/// Prints one row for each machine.
pub fn run(args: &ListArgs, globals: &Globals) -> Result<()> {
    let listing = machine::list(&globals.dirs)?;
    listing.problems.iter().for_each(report::print);
    let machines = listing.machines;
    if globals.json {
        return report::json(&machines);
    }
    if machines.is_empty() {
        if !args.no_legend && !globals.quiet {
            report::line("No machines.");
        }
        return Ok(());
    }
    let mut table = Table::new();
    *table.style_mut() = presets::NOTHING;
    if !args.no_legend {
        table.set_header(["MACHINE", "CLASS", "STATE", "OS", "ADDRESSES"]);
    }
    for machine in &machines {
        table.add_row(row(machine));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    report::line(table.trim_fmt());
    if !args.no_legend && !globals.quiet {
        report::line(format_args!("\n{} machines listed.", machines.len()));
    }
    Ok(())
}

fn row(machine: &Summary) -> [String; 5] {
    let dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    let addresses: Vec<String> = machine.addresses.iter().map(ToString::to_string).collect();
    [
        machine.name.to_string(),
        dash(&machine.class),
        machine.state.to_string(),
        dash(machine.os.as_deref().unwrap_or_default()),
        dash(&addresses.join("\n")),
    ]
}
