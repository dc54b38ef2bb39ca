//! `nsrun export`: an image as an archive.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::BinaryBytes;
use nsrun_runtime::image::{self, Compression, ExportReport, ExportRequest, ImageName};
use nsrun_runtime::{Error, Kind, Result};

use crate::globals::Globals;
use crate::progress::Progress;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  nsrun export web web.tar.zst
  nsrun export --format=xz web > web.tar.xz";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArgs {
    /// The image to write
    name: ImageName,

    /// The archive's file, which must not exist; `-`, the default, is standard output
    #[arg(value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,

    /// Compress by FORMAT [default: by the file's name]
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    format: Option<Compression>,
}

/// Exports an image.
pub(crate) fn run(args: &ExportArgs, globals: &Globals) -> Result<()> {
    let file = args.file.as_deref().filter(|file| *file != Path::new("-"));
    if file.is_none() && std::io::stdout().is_terminal() {
        return Err(
            Error::new(Kind::Usage, "an archive is not written to a terminal")
                .hint("name a file: nsrun export NAME FILE"),
        );
    }
    if file.is_none() && globals.json {
        return Err(Error::new(
            Kind::Usage,
            "the archive and JSON cannot both go to standard output",
        ));
    }
    let by_name = file.map_or(Compression::None, image::format_of);
    let request = ExportRequest {
        name: args.name.clone(),
        file: file.map(Path::to_owned),
        compression: args.format.unwrap_or(by_name),
    };
    let mut progress = Progress::of_export(&args.name, globals);
    let report = image::export(&globals.dirs, &request, &mut progress)?;
    progress.finish();
    tell(&report, globals)
}

fn tell(report: &ExportReport, globals: &Globals) -> Result<()> {
    if globals.json {
        report::json(report)?;
    }
    if globals.quiet {
        return Ok(());
    }
    report::doubts(&report.name, report.was_in_use, &report.warnings);
    let told_by_peer = globals.peer.is_some();
    let Some(file) = report
        .file
        .as_ref()
        .filter(|_| !globals.json && !told_by_peer)
    else {
        return Ok(());
    };
    report::line(format_args!(
        "exported {} to {}: {}; {} of archive",
        report.name,
        file.display(),
        report::counts(&report.counts),
        BinaryBytes(report.archive_bytes)
    ));
    report::line(format_args!("SHA-256 {}", report.sha256));
    Ok(())
}

fn formats() -> impl TypedValueParser<Value = Compression> {
    const ALL: [(&str, Compression); 5] = [
        ("uncompressed", Compression::None),
        ("xz", Compression::Xz),
        ("zstd", Compression::Zstd),
        ("gzip", Compression::Gzip),
        ("bzip2", Compression::Bzip2),
    ];
    PossibleValuesParser::new(ALL.map(|(word, _)| word)).try_map(|word| {
        let found = ALL.into_iter().find(|(name, _)| *name == word);
        found.map(|(_, format)| format).ok_or("no such format")
    })
}
