//! `nsrun pull`: an image from a server.

use std::path::Path;

use nsrun_runtime::Result;
use nsrun_runtime::image::{self, PullRequest, Sha256Sum, Url, Verify};

use super::import::{self, ArchiveArgs, Named};
use crate::globals::Globals;
use crate::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  nsrun pull https://example.org/images/web.tar.xz
  nsrun pull --verify=no file:///srv/images/web.tar.xz db";

#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PullArgs {
    /// The tar archive: http, https or file
    url: Url,

    /// The image's name [default: the file's name without .tar and the like]
    name: Option<String>,

    /// Check the archive against FILE.sha256 or SHA256SUMS beside it, or not at all
    #[arg(long, value_name = "MODE", default_value = "checksum",
        value_parser = ["checksum", "no"], conflicts_with = "sha256")]
    verify: String,

    /// Check the archive against this SHA-256
    #[arg(long, value_name = "HEX")]
    sha256: Option<Sha256Sum>,

    #[command(flatten)]
    limits: ArchiveArgs,
}

/// Pulls an image.
pub(crate) fn run(args: &PullArgs, globals: &Globals) -> Result<()> {
    let file = Path::new(args.url.file());
    let Named { name, notice } = import::name(file, args.name.as_deref(), "pull URL")?;
    import::tell_name(notice, globals);
    let request = PullRequest {
        url: args.url.clone(),
        name,
        verify: match (&args.sha256, &*args.verify) {
            (Some(sum), _) => Verify::Sum(sum.clone()),
            (None, "no") => Verify::No,
            (None, _) => Verify::Beside,
        },
        limits: args.limits.limits(),
        sync: args.limits.sync(),
    };
    let mut progress = Progress::of_import(&request.name, globals);
    let report = image::pull(&globals.dirs, &request, &mut progress)?;
    progress.finish();
    import::tell(&report, globals)
}
