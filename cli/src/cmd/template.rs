//! `--template=`: an image that is made of another directory when it is first started.

use std::path::{Path, PathBuf};

use nsrun_runtime::image::import::{self, Request, Source};
use nsrun_runtime::image::{Limits, lookup};
use nsrun_runtime::{Context, Error, Kind, MachineName, Result};

use crate::globals::Globals;
use crate::progress::Progress;
use crate::report;

/// The directory to start from: that of the image, which is made if it is missing. A dry run shows
/// the template's instead.
pub(super) fn root(
    image: &str,
    template: &Path,
    dry_run: bool,
    globals: &Globals,
) -> Result<PathBuf> {
    if image.contains('/') {
        let what = "--template makes an image by its name, not by a path";
        return Err(Error::new(Kind::Usage, what).hint("images lie in the image root"));
    }
    let name: MachineName = image.parse()?;
    match lookup::find(&globals.dirs, &name) {
        Ok(found) => found.tree().map(Path::to_owned),
        Err(error) if error.kind() != Kind::NotFound => Err(error),
        Err(_) if dry_run => std::path::absolute(template)
            .map_err(|e| Error::new(Kind::Failed, "cannot tell the current directory").because(e)),
        Err(_) => make(name, template, globals),
    }
}

fn make(name: MachineName, template: &Path, globals: &Globals) -> Result<PathBuf> {
    let request = Request {
        name,
        source: Source::Directory(template.to_owned()),
        limits: Limits::default(),
        sync: true,
    };
    let mut progress = Progress::of_import(&request.name, globals);
    let made = import::import(&globals.dirs, &request, &mut progress);
    let made = made.cannot(|| "use the template")?;
    progress.finish();
    for warning in made.warnings.iter().filter(|_| !globals.quiet) {
        report::note(format_args!("warning: {warning}"));
    }
    Ok(made.path)
}
