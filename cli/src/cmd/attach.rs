//! `nsrun attach`: the console of a machine in the background.

use nsrun_runtime::machine;
use nsrun_runtime::supervise::{Left, Viewing};
use nsrun_runtime::{MachineName, Result};

use crate::globals::Globals;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  nsrun attach web
  nsrun attach --read-only web

^] three times within a second leaves the console; the machine goes on.";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct AttachArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Only look on
    #[arg(long, conflicts_with = "take")]
    read_only: bool,

    /// Write, also if another viewer does: that one looks on from then on
    #[arg(long)]
    take: bool,
}

/// Connects until the machine ends or the user leaves.
pub fn run(args: &AttachArgs, globals: &Globals) -> Result<()> {
    let name = &args.machine;
    let tell = |text: &str| {
        if !globals.quiet {
            report::note(format_args!("nsrun: {text}\r"));
        }
    };
    let how = match (args.read_only, args.take) {
        (true, _) => Viewing::Watch,
        (false, true) => Viewing::Take,
        (false, false) => Viewing::Write,
    };
    let left = machine::attach(&globals.dirs, name, how, &mut |text| tell(text))?;
    match left {
        Left::Ended => tell(&format!("{name} has ended")),
        Left::Detached => tell(&format!("left the console of {name}, which goes on")),
        Left::PowerOff => machine::power_off(&globals.dirs, name)?,
        Left::Reboot => machine::reboot(&globals.dirs, name)?,
    }
    Ok(())
}
