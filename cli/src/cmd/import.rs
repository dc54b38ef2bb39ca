//! `nsrun import` and `nsrun import-fs`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use nsrun_runtime::image::Limits;
use nsrun_runtime::image::import::{self, Report, Request, Source};
use nsrun_runtime::{Error, Kind, MachineName, Result};

use crate::globals::Globals;
use crate::progress::Progress;
use crate::report;

/// What an archive's name ends with beside the image's name.
const SUFFIXES: [&str; 6] = [".tar.xz", ".tar.gz", ".tar.bz2", ".tar.zst", ".tgz", ".tar"];

const EXAMPLES: &str = "\
Examples:
  nsrun import nixos-system-x86_64-linux.tar.xz web
  nsrun import --max-bytes=20G backup.tar.zst db
  ssh host tar -cC /srv/web . | nsrun import - web";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ImportArgs {
    /// The tar archive, plain or compressed by xz, zstd, gzip or bzip2; `-` is standard input
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,

    /// The image's name [default: the file's name without .tar and the like]
    name: Option<String>,

    #[command(flatten)]
    limits: ArchiveArgs,
}

const FS_EXAMPLES: &str = "\
Examples:
  nsrun import-fs ./rootfs web";

#[derive(clap::Args, Debug)]
#[command(after_help = FS_EXAMPLES)]
pub(crate) struct ImportFsArgs {
    /// The directory to copy
    #[arg(value_hint = ValueHint::DirPath)]
    directory: PathBuf,

    /// The image's name [default: the directory's name]
    name: Option<String>,

    #[command(flatten)]
    limits: LimitArgs,
}

// Limits of archives.
#[derive(clap::Args, Debug)]
pub(super) struct ArchiveArgs {
    #[command(flatten)]
    limits: LimitArgs,

    /// Refuse more than N bytes for each byte of the archive, after the first 100 MiB
    #[arg(long, value_name = "N", default_value_t = Limits::default().ratio)]
    max_ratio: u64,

    /// Decode xz in at most SIZE bytes of memory
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = parse_size)]
    xz_memory: u64,
}

impl ArchiveArgs {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            ratio: self.max_ratio,
            xz_memory: self.xz_memory,
            ..self.limits.limits()
        }
    }

    pub(super) fn sync(&self) -> bool {
        !self.limits.no_sync
    }
}

// Limits that archives and directories share.
#[derive(clap::Args, Debug)]
struct LimitArgs {
    /// Refuse more than N files and directories
    #[arg(long, value_name = "N", default_value_t = Limits::default().inodes)]
    max_inodes: u64,

    /// Refuse paths of more than N components
    #[arg(long, value_name = "N", default_value_t = Limits::default().depth)]
    max_depth: usize,

    /// Refuse more than SIZE bytes of files [default: the free space less 5 %]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_bytes: Option<u64>,

    /// Publish the image without waiting until it is on disk
    #[arg(long)]
    no_sync: bool,
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        Limits {
            inodes: self.max_inodes,
            depth: self.max_depth,
            bytes: self.max_bytes,
            ..Limits::default()
        }
    }
}

/// Imports an archive.
///
/// # Errors
/// Those of [`import::import`], and [`Kind::Usage`] if there is no name or no archive.
pub(crate) fn run(args: &ImportArgs, globals: &Globals) -> Result<()> {
    let source = if args.file == Path::new("-") {
        Source::StandardInput
    } else {
        Source::Archive(args.file.clone())
    };
    if source == Source::StandardInput && std::io::stdin().is_terminal() {
        return Err(
            Error::new(Kind::Usage, "an archive is not read from a terminal")
                .hint("pipe it: ... | nsrun import - NAME"),
        );
    }
    let Named { name, notice } = name(&args.file, args.name.as_deref(), "import")?;
    let request = Request {
        name,
        source,
        limits: args.limits.limits(),
        sync: args.limits.sync(),
    };
    carry_out(&request, notice, globals)
}

/// Imports a directory.
///
/// # Errors
/// Those of [`import::import`], and [`Kind::Usage`] if there is no name.
pub(crate) fn run_fs(args: &ImportFsArgs, globals: &Globals) -> Result<()> {
    let Named { name, notice } = name(&args.directory, args.name.as_deref(), "import-fs")?;
    let request = Request {
        name,
        source: Source::Directory(args.directory.clone()),
        limits: args.limits.limits(),
        sync: !args.limits.no_sync,
    };
    carry_out(&request, notice, globals)
}

fn carry_out(request: &Request, notice: Option<String>, globals: &Globals) -> Result<()> {
    tell_name(notice, globals);
    let mut progress = Progress::of_import(&request.name, globals);
    let report = import::import(&globals.dirs, request, &mut progress)?;
    progress.finish();
    tell(&report, globals)
}

/// Tells how an image is called, if that is not what its source suggests.
pub(super) fn tell_name(notice: Option<String>, globals: &Globals) {
    if let Some(notice) = notice.filter(|_| !globals.quiet) {
        report::note(notice);
    }
}

/// Tells what was imported.
pub(super) fn tell(report: &Report, globals: &Globals) -> Result<()> {
    if !globals.quiet {
        for warning in &report.warnings {
            report::note(format_args!("warning: {warning}"));
        }
    }
    if globals.json {
        report::json(report)?;
    } else if !globals.quiet && globals.peer.is_none() {
        report::line(format_args!("{}", summary(report)));
    }
    Ok(())
}

fn summary(report: &Report) -> String {
    format!(
        "imported {}: {}",
        report.path.display(),
        report::counts(&report.counts)
    )
}

/// The name that an image gets.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: MachineName,
    /// What to tell the user if it is not the one that the source suggests.
    pub(super) notice: Option<String>,
}

pub(super) fn name(source: &Path, given: Option<&str>, verb: &str) -> Result<Named> {
    name_without(&SUFFIXES, source, given, verb)
}

/// The same, with other ends of a file's name that do not belong to the image's.
pub(super) fn name_without(
    suffixes: &[&str],
    source: &Path,
    given: Option<&str>,
    verb: &str,
) -> Result<Named> {
    match given {
        Some(name) => Ok(Named {
            name: name.parse()?,
            notice: None,
        }),
        None => default_name(source, suffixes).map_err(|error| {
            error.hint(format!(
                "give a name: nsrun {verb} {} NAME",
                source.display()
            ))
        }),
    }
}

/// The file's name without what it ends with. NixOS calls its tarballs after systems such as
/// `x86_64-linux`, and host names have no `_`: there and in place of whatever else they do not
/// have is a `-`.
fn default_name(file: &Path, suffixes: &[&str]) -> Result<Named> {
    let unnamed = || Error::new(Kind::Usage, "the image has no name");
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.filter(|&name| name != "-").ok_or_else(unnamed)?;
    let stem = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    let stem = stem.unwrap_or(name);
    let invalid = match stem.parse() {
        Ok(name) => return Ok(Named { name, notice: None }),
        Err(error) => error,
    };
    let dashed = stem.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    let name = MachineName::cleaned(&dashed).ok_or(invalid)?;
    let stem = stem.escape_debug();
    let notice = Some(format!(
        "the image is called {name}: '{stem}' is no machine's name"
    ));
    Ok(Named { name, notice })
}

/// A number of bytes with an optional suffix of the powers of 1024.
pub(super) fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err("sizes end with K, M, G, T or nothing".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "not a number".to_owned())?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_files_without_suffix() {
        for (file, name) in [
            ("a/web.tar.xz", "web"),
            ("web.tar", "web"),
            ("web.tgz", "web"),
            ("debian-12.5.tar.zst", "debian-12.5"),
            ("web.tar.gz.tar", "web.tar.gz"),
            ("plain", "plain"),
        ] {
            let named = default_name(Path::new(file), &SUFFIXES).unwrap();
            assert_eq!((named.name.as_str(), named.notice), (name, None));
        }
    }

    #[test]
    fn what_no_name_may_hold_becomes_a_dash_and_is_told() {
        for (file, name) in [
            (
                "nixos-system-x86_64-linux.tar.xz",
                "nixos-system-x86-64-linux",
            ),
            ("_web_.tar", "web"),
            ("my image.tar", "my-image"),
            ("b\u{e4}r.tar", "b-r"),
            ("-web..tar", "web"),
        ] {
            let named = default_name(Path::new(file), &SUFFIXES).unwrap();
            assert_eq!(named.name.as_str(), name, "{file}");
            let notice = named.notice.unwrap();
            let wanted = format!("the image is called {name}: '");
            assert!(notice.starts_with(&wanted), "{notice}");
        }
    }

    #[test]
    fn a_file_whose_name_has_nothing_of_a_machines_name_needs_one() {
        for file in ["-", "/", ".tar", "_.tar", "\u{e4}.tar"] {
            let error = default_name(Path::new(file), &SUFFIXES).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{file}");
        }
    }

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(parse_size("5"), Ok(5));
        assert_eq!(parse_size("256M"), Ok(256 << 20));
        for bad in ["", "M", "1X", "-1", "99999999999T", "1.5G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
