//! Files and links that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// A hidden name beside it: neither systemd nor OpenRC takes such for a unit or a service.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".#");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Writes a file and the directories above it; tells whether it was another before.
pub(super) fn replace(path: &Path, text: &str, mode: u32) -> Result<bool> {
    let what = || format!("write {}", path.display());
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(false);
    }
    make_parent(path)?;
    let new = beside(path);
    let write = || -> io::Result<()> {
        let mut file = create(&new, mode)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.cannot(what).map(|()| true)
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    options.open(path)
}

/// Makes a link, and the directories above it; tells whether it led elsewhere before.
pub(super) fn link(target: &Path, path: &Path) -> Result<bool> {
    let what = || format!("make link {}", path.display());
    if fs::read_link(path).is_ok_and(|old| old == target) {
        return Ok(false);
    }
    make_parent(path)?;
    match symlink(target, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made.cannot(what).map(|()| true),
    }
    let new = beside(path);
    remove_one(&new)?;
    symlink(target, &new).cannot(what)?;
    fs::rename(&new, path).cannot(what).map(|()| true)
}

/// Removes a file or a link, and what a killed command may have left beside it; tells whether it was
/// there.
pub(super) fn remove(path: &Path) -> Result<bool> {
    remove_one(&beside(path))?;
    remove_one(path)
}

fn remove_one(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other
            .cannot(|| format!("remove {}", path.display()))
            .map(|()| true),
    }
}

fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    fs::create_dir_all(parent).cannot(|| format!("make {}", parent.display()))
}
