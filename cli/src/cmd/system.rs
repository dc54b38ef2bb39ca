//! `--system=`: an image whose programs are in a Nix store of the host's.

use std::path::{Path, PathBuf};

use nsrun_runtime::image::{System, lookup, prepare_system};
use nsrun_runtime::plan::mounts::Mount;
use nsrun_runtime::{MachineName, Result};

use crate::globals::Globals;
use crate::report;

/// The directory to start from: that of the image, which is made if it is missing. A dry run
/// leaves it as it is.
pub(super) fn root(image: &str, path: &Path, dry_run: bool, globals: &Globals) -> Result<PathBuf> {
    let system = System::find(path)?;
    let name: MachineName = match image {
        "" => system.machine()?,
        name => name.parse()?,
    };
    if dry_run {
        let found = lookup::find(&globals.dirs, &name);
        let found =
            found.map_err(|error| error.hint("the first start makes it; a dry run does not"));
        return found?.tree().map(Path::to_owned);
    }
    let prepared = prepare_system(&globals.dirs, &name, &system)?;
    if let Some(error) = prepared.unprotected.filter(|_| !globals.quiet) {
        report::note(format_args!("warning: {error}"));
    }
    Ok(prepared.path)
}

/// The store, for the machine.
pub(super) fn mount(path: &Path) -> Result<Mount> {
    Ok(Mount::nix_store(System::find(path)?.store()))
}
