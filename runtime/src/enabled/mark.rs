//! The record of an enabled machine: a small file below the state root.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::lock::make_dir;
use crate::name::MachineName;

/// A machine that starts when the host boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enabled {
    /// Its name, and its image's.
    pub name: MachineName,
    /// Where the image is found.
    pub image_root: PathBuf,
    /// Options of `nsrun start` that it is started with.
    pub options: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    image_root: PathBuf,
    #[serde(default)]
    options: Vec<String>,
}

fn dir(dirs: &Dirs) -> PathBuf {
    dirs.lib().join("enabled")
}

fn path(dirs: &Dirs, name: &str) -> PathBuf {
    dir(dirs).join(format!("{name}.json"))
}

pub(super) fn write(dirs: &Dirs, name: &MachineName, options: &[String]) -> Result<()> {
    for dir in [dirs.lib(), &dir(dirs)] {
        make_dir(dir, 0o700).cannot(|| format!("make {}", dir.display()))?;
    }
    let path = path(dirs, name.as_str());
    let content = Content {
        image_root: dirs.image_root().to_owned(),
        options: options.to_owned(),
    };
    let text = serde_json::to_string(&content)
        .map_err(io::Error::from)
        .cannot(|| format!("write {}", path.display()))?;
    file::replace(&path, &text, 0o600).map(drop)
}

pub(super) fn exists(dirs: &Dirs, name: &str) -> bool {
    path(dirs, name).exists()
}

/// The options of the one of these that is marked: of an interrupted renaming it is not known how far
/// it came.
pub(super) fn options(dirs: &Dirs, names: [&MachineName; 2]) -> Result<Option<Vec<String>>> {
    let mut marked = names.into_iter().filter(|name| exists(dirs, name.as_str()));
    let mark = marked
        .next()
        .map(|name| read(&path(dirs, name.as_str()), name.clone()));
    Ok(mark.transpose()?.map(|mark| mark.options))
}

/// Tells whether it was there.
pub(super) fn remove(dirs: &Dirs, name: &str) -> Result<bool> {
    file::remove(&path(dirs, name))
}

pub(super) fn rename(dirs: &Dirs, old: &str, new: &str) -> Result<()> {
    match std::fs::rename(path(dirs, old), path(dirs, new)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.cannot(|| format!("rename {}", path(dirs, old).display())),
    }
}

/// The names of all that are marked, in their order.
pub(super) fn names(dirs: &Dirs) -> Result<Vec<MachineName>> {
    let dir = dir(dirs);
    let what = || format!("read {}", dir.display());
    let entries = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.cannot(what)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.cannot(what)?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".json"));
        names.extend(name.and_then(|name| name.parse().ok()));
    }
    names.sort();
    Ok(names)
}

/// All marks, in the order of their names.
pub(super) fn all(dirs: &Dirs) -> Result<Vec<Enabled>> {
    let names = names(dirs)?.into_iter();
    names
        .map(|name| read(&path(dirs, name.as_str()), name))
        .collect()
}

fn read(path: &Path, name: MachineName) -> Result<Enabled> {
    let what = || format!("read {}", path.display());
    let text = std::fs::read_to_string(path).cannot(what)?;
    let content: Content = serde_json::from_str(&text).map_err(|error| {
        Error::new(Kind::BadInput, format!("cannot {}", what()))
            .because(error)
            .hint(format!("write it anew with `nsrun enable {name}`"))
    })?;
    Ok(Enabled {
        name,
        image_root: content.image_root,
        options: content.options,
    })
}
