//! `nsrun cp`, `copy-to` and `copy-from`.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::ValueHint;
use nsrun_runtime::image::{self, CopyReport, CopyRequest, Place, Rule};
use nsrun_runtime::{Context, Error, Kind, MachineName, Result};

use crate::globals::Globals;
use crate::progress::Progress;
use crate::report;

pub const CP_HELP: &str = "\
Examples:
  nsrun cp site.conf web:/etc/nginx/
  nsrun cp web:/var/log/nginx .
  nsrun cp ./site/. web:/var/www          what is in ./site, into /var/www
  nsrun cp db:/srv/dump web:/srv
  nsrun cp web:/etc - | tar -t
  tar -c . | nsrun cp - web:/srv

The machine runs, or it is an image that does not. Files keep their owners' numbers: root's are
root's. A path of the host that has a colon is written with a slash before it: ./a:b.";

pub const COPY_TO_HELP: &str = "\
Examples:
  nsrun copy-to web /etc/hosts
  nsrun copy-to web ./site /var/www

The destination is the name of the copy. If both are directories, they are merged.";

pub const COPY_FROM_HELP: &str = "\
Examples:
  nsrun copy-from web /etc/hostname ./hostname
  nsrun copy-from --force web /var/lib/data ./data

The destination is the name of the copy. If both are directories, they are merged.";

#[derive(clap::Args, Debug)]
pub struct CpArgs {
    /// What is copied: PATH, NAME:PATH, or `-` for a tar archive on standard input
    #[arg(value_hint = ValueHint::AnyPath)]
    source: OsString,

    /// Where to: PATH, NAME:PATH, or `-` for a tar archive on standard output
    #[arg(value_hint = ValueHint::AnyPath)]
    destination: OsString,

    /// If SOURCE is a symbolic link, copy what it leads to
    #[arg(short = 'L', long, visible_alias = "follow-link")]
    follow: bool,

    #[command(flatten)]
    keep: KeepArgs,

    /// Directories are copied and attributes kept in any case
    #[arg(short, long, visible_short_aliases = ['r', 'R'], hide = true)]
    archive: bool,
}

#[derive(clap::Args, Debug)]
pub struct CopyToArgs {
    /// The machine's or image's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// A file or directory of the host
    #[arg(value_hint = ValueHint::AnyPath)]
    source: PathBuf,

    /// What the copy is called in the machine [default: the same path]
    destination: Option<PathBuf>,

    /// Replace files that exist
    #[arg(short, long)]
    force: bool,
}

#[derive(clap::Args, Debug)]
pub struct CopyFromArgs {
    /// The machine's or image's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// A file or directory in the machine
    source: PathBuf,

    /// What the copy is called on the host [default: the same path]
    #[arg(value_hint = ValueHint::AnyPath)]
    destination: Option<PathBuf>,

    /// Replace files that exist
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    keep: KeepArgs,
}

// What comes out of a machine.
#[derive(clap::Args, Debug)]
struct KeepArgs {
    /// Let programs that come out of a machine keep set-user-ID and set-group-ID bits and
    /// capabilities, with which they are root's on the host
    #[arg(long)]
    keep_privileges: bool,
}

/// Copies as cp(1) does.
pub fn run(args: &CpArgs, globals: &Globals) -> Result<()> {
    let request = CopyRequest {
        from: Place::parse(&args.source),
        to: Place::parse(&args.destination),
        rule: Rule::Into,
        replace: true,
        follow: args.follow,
        keep_privileges: args.keep.keep_privileges,
    };
    let out = request.to == Place::Stream;
    if out && std::io::stdout().is_terminal() {
        return Err(Error::new(
            Kind::Usage,
            "an archive is not written to a terminal",
        ));
    }
    if out && globals.json {
        return Err(Error::new(
            Kind::Usage,
            "the archive and JSON cannot both go to standard output",
        ));
    }
    copy(&request, globals)
}

/// Copies into a machine.
pub fn copy_to(args: &CopyToArgs, globals: &Globals) -> Result<()> {
    let what = || format!("use {}", args.source.display());
    let to = match &args.destination {
        Some(path) => path.clone(),
        None => std::path::absolute(&args.source).cannot(what)?,
    };
    let request = CopyRequest {
        from: Place::Host(args.source.clone()),
        to: Place::Machine(args.machine.clone(), to),
        rule: Rule::Exact,
        replace: args.force,
        follow: false,
        keep_privileges: true,
    };
    copy(&request, globals)
}

/// Copies out of a machine.
pub fn copy_from(args: &CopyFromArgs, globals: &Globals) -> Result<()> {
    let to = match &args.destination {
        Some(path) => path.clone(),
        None => PathBuf::from("/").join(&args.source),
    };
    let request = CopyRequest {
        from: Place::Machine(args.machine.clone(), args.source.clone()),
        to: Place::Host(to),
        rule: Rule::Exact,
        replace: args.force,
        follow: false,
        keep_privileges: args.keep.keep_privileges,
    };
    copy(&request, globals)
}

fn copy(request: &CopyRequest, globals: &Globals) -> Result<()> {
    let mut progress = Progress::of_copy(&request.from, globals.quiet);
    let report = image::copy(&globals.dirs, request, &mut progress)?;
    progress.finish();
    tell(&report, request, globals)
}

fn tell(report: &CopyReport, request: &CopyRequest, globals: &Globals) -> Result<()> {
    if globals.json {
        report::json(report)?;
    }
    if globals.quiet {
        return Ok(());
    }
    report::doubts(&request.from, report.was_in_use, &report.warnings);
    Ok(())
}
