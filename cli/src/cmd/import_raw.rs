//! `nsrun import-raw`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use nsrun_runtime::image::import::{Request, Source};
use nsrun_runtime::image::{Limits, import_raw};
use nsrun_runtime::{Error, Kind, Result};

use super::import::{self, Named, parse_size};
use crate::globals::Globals;
use crate::progress::Progress;

/// What a disk image's name ends with beside the image's name.
const SUFFIXES: [&str; 12] = [
    ".raw.xz",
    ".raw.zst",
    ".raw.gz",
    ".raw.bz2",
    ".img.xz",
    ".img.zst",
    ".img.gz",
    ".img.bz2",
    ".raw",
    ".img",
    ".squashfs",
    ".erofs",
];

#[derive(clap::Args, Debug)]
pub(crate) struct ImportRawArgs {
    /// The disk image, plain or compressed by xz, zstd, gzip or bzip2; `-` is standard input
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,

    /// The image's name [default: the file's name without .raw and the like]
    name: Option<String>,

    /// Refuse more than SIZE bytes, holes not counted [default: the free space less 5 %]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_bytes: Option<u64>,

    /// Refuse more than N bytes for each byte of the file, after the first 100 MiB
    #[arg(long, value_name = "N", default_value_t = Limits::default().ratio)]
    max_ratio: u64,

    /// Decode xz in at most SIZE bytes of memory
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = parse_size)]
    xz_memory: u64,

    /// Publish the image without waiting until it is on disk
    #[arg(long)]
    no_sync: bool,
}

/// Imports a disk image.
///
/// # Errors
/// Those of [`import_raw`], and [`Kind::Usage`] if there is no name or no file.
pub(crate) fn run(args: &ImportRawArgs, globals: &Globals) -> Result<()> {
    let is_stdin = args.file == Path::new("-");
    if is_stdin && std::io::stdin().is_terminal() {
        let what = "a disk image is not read from a terminal";
        return Err(Error::new(Kind::Usage, what).hint("pipe it: ... | nsrun import-raw - NAME"));
    }
    let given = args.name.as_deref();
    let Named { name, notice } = import::name_without(&SUFFIXES, &args.file, given, "import-raw")?;
    import::tell_name(notice, globals);
    let request = Request {
        name,
        source: match is_stdin {
            true => Source::StandardInput,
            false => Source::Archive(args.file.clone()),
        },
        limits: Limits {
            bytes: args.max_bytes,
            ratio: args.max_ratio,
            xz_memory: args.xz_memory,
            ..Limits::default()
        },
        sync: !args.no_sync,
    };
    let mut progress = Progress::of_import(&request.name, globals);
    let report = import_raw(&globals.dirs, &request, &mut progress)?;
    progress.finish();
    import::tell(&report, globals)
}
