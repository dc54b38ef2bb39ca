//! `nsrun clone`: another image with the same files.

use nsrun_runtime::Result;
use nsrun_runtime::image::{self, CloneReport, CloneRequest, ImageName};

use crate::globals::Globals;
use crate::progress::Progress;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  nsrun clone --new-identity web web-2";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CloneArgs {
    /// The image to copy
    source: ImageName,

    /// The name of the copy
    #[arg(value_parser = ImageName::of_new)]
    name: ImageName,

    /// Take out the machine id, host name, SSH host keys and the like
    #[arg(long)]
    new_identity: bool,

    /// Mark the copy as read-only
    #[arg(long)]
    read_only: bool,

    /// Publish the copy without waiting until it is on disk
    #[arg(long)]
    no_sync: bool,
}

/// Clones an image.
pub(crate) fn run(args: &CloneArgs, globals: &Globals) -> Result<()> {
    let request = CloneRequest {
        source: args.source.clone(),
        name: args.name.clone(),
        new_identity: args.new_identity,
        read_only: args.read_only,
        sync: !args.no_sync,
    };
    let mut progress = Progress::of_clone(&args.source, globals.quiet);
    let report = image::clone(&globals.dirs, &request, &mut progress)?;
    progress.finish();
    if !globals.quiet {
        warn(&report, args);
    }
    if globals.json {
        return report::json(&report);
    }
    if !globals.quiet {
        report::line(format_args!(
            "cloned {} as {}: {}",
            args.source,
            report.path.display(),
            report::counts(&report.counts)
        ));
        for path in &report.reset {
            report::line(format_args!("reset {path}"));
        }
    }
    Ok(())
}

fn warn(report: &CloneReport, args: &CloneArgs) {
    if report.was_in_use {
        report::note(format_args!(
            "warning: {} was in use while it was copied: its files may be of different moments",
            args.source
        ));
    }
    for warning in &report.warnings {
        report::note(format_args!("warning: {warning}"));
    }
}
