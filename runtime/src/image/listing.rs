//! All images, as `machinectl list-images` shows them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::DirEntry;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{AtFlags, CWD, StatxFlags, StatxTimestamp, statx};
use serde::Serialize;

use super::lookup::{Image, ImageKind, find_in, search_path};
use super::name::ImageName;
use super::read_only::is_image_read_only;
use super::sidecars::DROP_INS;
use super::usage;
use crate::dirs::Dirs;
use crate::error::{Context, Result};

/// Inode number of every subvolume's top, `BTRFS_FIRST_FREE_OBJECTID` of `linux/btrfs_tree.h`.
const SUBVOLUME: u64 = 256;

/// Attribute mask and magic number of btrfs, `linux/magic.h`.
const BTRFS: u64 = 0x9123_683e;

/// A time, shown in the host's zone and written as JSON in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Moment(Timestamp);

impl Moment {
    fn of(time: StatxTimestamp) -> Option<Self> {
        let nanoseconds = i32::try_from(time.tv_nsec).ok()?;
        Timestamp::new(time.tv_sec, nanoseconds).ok().map(Self)
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.0.to_zoned_datetime(jiff::tz::TimeZone::system());
        local.strftime("%a %F %T %Z").fmt(f)
    }
}

/// An image in one row.
#[derive(Clone, Debug, Serialize)]
pub struct ImageSummary {
    /// Its name.
    pub name: ImageName,
    /// `directory`, `subvolume`, `raw`, `block`, `mstack` or `versions`.
    #[serde(rename = "type")]
    pub form: &'static str,
    /// Where it is.
    pub path: std::path::PathBuf,
    /// It takes no writes.
    pub read_only: bool,
    /// Bytes on the disk, if known.
    pub usage: Option<u64>,
    /// When it was made, if the file system keeps that.
    pub created: Option<Moment>,
    /// When its top was changed last.
    pub modified: Option<Moment>,
}

/// What a list shall hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListOptions {
    /// Hidden images too.
    pub all: bool,
    /// The space of directories too, which takes a look at every file.
    pub usage: bool,
}

/// All images in the order of their names. Of several with one name the first in the search
/// path counts.
///
/// # Errors
/// [`crate::Kind::Failed`] if a directory cannot be read.
pub fn list(dirs: &Dirs, options: ListOptions) -> Result<Vec<ImageSummary>> {
    let mut images = BTreeMap::new();
    for dir in search_path(dirs) {
        for name in names(&dir)? {
            let found = find_in(&dir, name.as_str());
            if let Some(image) = found.filter(|_| options.all || !name.is_hidden()) {
                images.entry(name).or_insert(image);
            }
        }
    }
    let images = images.into_iter();
    images
        .map(|(name, image)| summary(name, &image, options.usage))
        .collect()
}

/// What a row says of an image; its space only if that is asked for.
pub(super) fn summary(name: ImageName, image: &Image, measure: bool) -> Result<ImageSummary> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let stat = statx(CWD, &image.path, AtFlags::empty(), wanted);
    let stat = stat.cannot(|| format!("look at {}", image.path.display()))?;
    let has = |flag| StatxFlags::from_bits_retain(stat.stx_mask).contains(flag);
    let is_subvolume = stat.stx_ino == SUBVOLUME && is_btrfs(&image.path);
    Ok(ImageSummary {
        form: match image.kind {
            ImageKind::Directory if is_subvolume => "subvolume",
            kind => kind.word(),
        },
        path: image.path.clone(),
        read_only: is_image_read_only(image, &name),
        usage: if measure {
            usage::counted(image)?
        } else {
            usage::cheap(image)
        },
        created: Moment::of(stat.stx_btime).filter(|_| has(StatxFlags::BTIME)),
        modified: Moment::of(stat.stx_mtime),
        name,
    })
}

fn is_btrfs(path: &Path) -> bool {
    let stat = rustix::fs::statfs(path);
    stat.is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(BTRFS))
}

/// The names of images that a directory may hold; none if there is no such directory.
pub(super) fn names(dir: &Path) -> Result<Vec<ImageName>> {
    let what = || format!("read {}", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.cannot(what)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(name(&entry.cannot(what)?));
    }
    Ok(names)
}

fn name(entry: &DirEntry) -> Option<ImageName> {
    let file = entry.file_name();
    let file = file.to_str()?;
    if file == "lost+found" || file.ends_with(DROP_INS) || file.starts_with(".sysupdate.") {
        return None;
    }
    let suffixes = [".raw.v", ".raw", ".mstack", ".v"];
    let stem = suffixes.iter().find_map(|suffix| file.strip_suffix(suffix));
    stem.unwrap_or(file).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn images_of_all_forms_are_listed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let dirs = Dirs::new(Some(root.path()), None);
        for dir in [
            "web",
            ".old",
            ".#web0123456789abcdef",
            "many.v",
            "web.nspawn.d",
            "lost+found",
        ] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        for file in ["disk.raw", "web.nspawn", "plain", ".#web.lck"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        let listed = |all| {
            let options = ListOptions { all, usage: true };
            let rows = list(&dirs, options).unwrap().into_iter();
            rows.map(|row| format!("{} {}", row.name, row.form))
                .collect::<Vec<_>>()
        };
        let plain = ["disk raw", "many versions", "web directory"];
        assert_eq!(listed(false), plain);
        assert_eq!(listed(true)[0], ".old directory");
        assert_eq!(listed(true)[1..], plain);
    }

    #[test]
    fn a_missing_root_has_no_images() {
        let dirs = Dirs::new(Some(Path::new("/nonexistent/root")), None);
        assert!(list(&dirs, ListOptions::default()).unwrap().is_empty());
    }
}
