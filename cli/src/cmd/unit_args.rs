//! Options for what the host's systemd and machined see of a machine, in nspawn's spelling.

use clap::builder::TypedValueParser;
use nsrun_runtime::cgroup::{Property, ScopeOptions, Slice};
use nsrun_runtime::plan::Register;

/// Where they are in the help: by each option, since a group's heading would hold for what follows.
const HEADING: &str = "Place on the host";

// Where the machine is among the host's units, and what it may use there.
#[derive(clap::Args, Debug)]
pub struct UnitArgs {
    /// Set a limit of the whole machine, by the names of systemd.resource-control(5), such as
    /// MemoryMax=1G, CPUQuota=150%, TasksMax=500
    #[arg(help_heading = HEADING, long, value_name = "NAME=VALUE")]
    property: Vec<Property>,

    /// Put the machine into a slice of the host's systemd [default: machine.slice]
    #[arg(help_heading = HEADING, short = 'S', long, value_name = "SLICE")]
    slice: Option<Slice>,

    /// Have machinectl show the machine: `yes`, `no`, or `auto` if the host has machined
    #[arg(help_heading = HEADING, long,
        value_name = "MODE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        default_value = "no",
        hide_default_value = true,
        value_parser = registers()
    )]
    pub register: Register,
}

impl UnitArgs {
    /// Where the machine's scope is to be, and its limits.
    pub fn scope(&self) -> ScopeOptions {
        ScopeOptions {
            slice: self.slice.clone(),
            properties: self.property.clone(),
        }
    }
}

fn registers() -> impl TypedValueParser<Value = Register> {
    clap::builder::StringValueParser::new().try_map(|word| match word.as_str() {
        "auto" => Ok(Register::Auto),
        "yes" | "true" | "on" | "1" => Ok(Register::Yes),
        "no" | "false" | "off" | "0" => Ok(Register::No),
        _ => Err("yes, no or auto is wanted"),
    })
}
