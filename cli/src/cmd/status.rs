//! `nsrun status`: what is known of one machine.

use nsrun_runtime::machine::{self, Detail};
use nsrun_runtime::{MachineName, Result};

use crate::globals::Globals;
use crate::report;

#[derive(clap::Args, Debug)]
pub struct StatusArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,
}

/// Prints what the kernel and the machine's record say.
pub fn run(args: &StatusArgs, globals: &Globals) -> Result<()> {
    let detail = machine::status(&globals.dirs, &args.machine)?;
    if globals.json {
        return report::json(&detail);
    }
    print(&detail);
    Ok(())
}

fn print(detail: &Detail) {
    let summary = &detail.summary;
    report::line(format_args!("{}", summary.name));
    let line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            report::line(format_args!("{name:>12}: {value}"));
        }
    };
    line("State", Some(summary.state.to_string()));
    line("Status", detail.status.clone());
    line("Since", detail.since.clone());
    line(
        "Leader",
        detail
            .leader
            .as_ref()
            .map(|p| format!("{} ({})", p.pid, p.command)),
    );
    line("Supervisor", detail.supervisor.map(|pid| pid.to_string()));
    line("Class", Some(summary.class.clone()));
    line("Root", Some(detail.root.clone()));
    line("OS", summary.os.clone());
    line("Network", Some(detail.network.clone()));
    line("Iface", detail.interface.clone());
    for address in &summary.addresses {
        line("Address", Some(address.to_string()));
    }
    line("UID Shift", detail.shift.map(|base| base.to_string()));
    line("Unit", detail.cgroup.clone());
    for process in &detail.processes {
        report::line(format_args!(
            "{:>12}  {:>7} {}",
            "", process.pid, process.command
        ));
    }
}
