//! Files that belong to an image and lie beside it, or where settings are: they are removed,
//! renamed and copied with it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, fstat, mkdirat, openat, renameat_with,
    statat,
};
use rustix::io::Errno;

use super::copy::DataCopier;
use super::limits::{Budget, Limits};
use super::lookup::{Image, find_in};
use super::metadata;
use super::remove::remove_tree;
use super::root::ImageRoot;
use crate::dirs::{Dirs, IMAGE_ROOT};
use crate::enabled;
use crate::error::{Context, Error, Kind, Result};

/// What machined takes along, and drop-ins of settings.
const SUFFIXES: [&str; 10] = [
    "nspawn",
    "nspawn.d",
    "oci-config",
    "roothash",
    "roothash.p7s",
    "usrhash",
    "usrhash.p7s",
    "verity",
    "raw.tpmstate",
    "raw.efinvramstate",
];

/// The one of them that is a directory, and no image.
pub(super) const DROP_INS: &str = ".nspawn.d";

/// Where an administrator's settings are; they are not those of images elsewhere.
const SETTINGS: [&str; 2] = ["/etc/systemd/nspawn", "/run/systemd/nspawn"];

/// The places of such files.
#[derive(Debug)]
pub(super) struct Sidecars<'a> {
    dirs: &'a Dirs,
    beside: &'a ImageRoot,
    settings: Vec<ImageRoot>,
}

impl<'a> Sidecars<'a> {
    /// Those of images in `beside`.
    pub(super) fn of(dirs: &'a Dirs, beside: &'a ImageRoot) -> Self {
        let usual = dirs.image_root() == Path::new(IMAGE_ROOT);
        let settings = SETTINGS.into_iter().filter(|_| usual);
        let settings = settings.filter_map(|dir| ImageRoot::open_existing(dir.as_ref()).ok()?);
        Self {
            dirs,
            beside,
            settings: settings.collect(),
        }
    }

    fn places(&self) -> impl Iterator<Item = (&ImageRoot, &'static str)> {
        let all = |dir, count| SUFFIXES.into_iter().take(count).map(move |s| (dir, s));
        let settings = self.settings.iter().flat_map(move |dir| all(dir, 2));
        all(self.beside, SUFFIXES.len()).chain(settings)
    }

    /// Refuses a name that has some already: they would change how the image starts.
    pub(super) fn expect_none(&self, name: &str) -> Result<()> {
        let found = self.places().find(|(dir, suffix)| {
            let file = format!("{name}.{suffix}");
            statat(dir.as_fd(), file, AtFlags::SYMLINK_NOFOLLOW).is_ok()
        });
        let Some((dir, suffix)) = found else {
            return Ok(());
        };
        let what = format!("{}/{name}.{suffix} exists already", dir.path().display());
        Err(Error::new(Kind::Busy, what).hint("remove it if it belongs to no image"))
    }

    /// Copies those of an image, which may lie elsewhere, for one called `new`.
    pub(super) fn copy(&self, image: &Image, old: &str, new: &str) -> Result<()> {
        let Some(elsewhere) = image.path.parent().map(ImageRoot::open_existing) else {
            return Ok(());
        };
        let Some(elsewhere) = elsewhere? else {
            return Ok(());
        };
        for (dir, suffix) in self.places() {
            let beside = dir.path() == self.beside.path();
            let from = if beside { &elsewhere } else { dir };
            let (old, new) = (format!("{old}.{suffix}"), format!("{new}.{suffix}"));
            copy_sidecar(from.as_fd(), &old, dir.as_fd(), &new)
                .cannot(|| format!("copy {}/{old}", from.path().display()))?;
        }
        Ok(())
    }

    /// Removes those of a name that is no image's any more.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        if find_in(self.beside.path(), name).is_some() {
            return Ok(());
        }
        for (dir, suffix) in self.places() {
            remove_tree(dir.as_fd(), OsStr::new(&format!("{name}.{suffix}")))?;
        }
        enabled::remove(self.dirs, name)?;
        metadata::remove(self.dirs, name)
    }

    /// Lets them follow an image from `old`, which is no image's any more, to `new`, which
    /// is one's. What the new name has already is kept.
    pub(super) fn rename(&self, old: &str, new: &str) -> Result<()> {
        let is_image = |name| find_in(self.beside.path(), name).is_some();
        if is_image(old) || !is_image(new) {
            return Ok(());
        }
        for (dir, suffix) in self.places() {
            let (from, to) = (format!("{old}.{suffix}"), format!("{new}.{suffix}"));
            let dir = dir.as_fd();
            match renameat_with(dir, &*from, dir, &*to, RenameFlags::NOREPLACE) {
                Ok(()) | Err(Errno::NOENT | Errno::EXIST) => {}
                Err(error) => return Err(error).cannot(|| format!("rename {from} to {to}")),
            }
        }
        match new.parse() {
            Ok(machine) => enabled::rename(self.dirs, old, &machine)?,
            // No machine can have that name.
            Err(_) => enabled::remove(self.dirs, old)?,
        }
        metadata::rename(self.dirs, old, new)
    }
}

/// Copies a file, or the files in a directory. Whatever else may be there stays behind.
fn copy_sidecar(from: BorrowedFd<'_>, old: &str, to: BorrowedFd<'_>, new: &str) -> Result<()> {
    let opened = match open_plain(from, old) {
        Ok(opened) => File::from(opened),
        Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
        Err(error) => return Err(error).cannot(|| "open it"),
    };
    let stat = fstat(&opened).cannot(|| "look at it")?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => copy_file(&opened, stat.st_mode, to, new),
        FileType::Directory => copy_files(&opened.into(), to, new),
        _ => Ok(()),
    }
}

fn open_plain(dir: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    openat(dir, name, how | OFlags::CLOEXEC, Mode::empty())
}

fn copy_file(from: &File, mode: u32, to: BorrowedFd<'_>, new: &str) -> Result<()> {
    let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let copy = openat(to, new, how, Mode::from_raw_mode(mode & 0o777));
    let copy = File::from(copy.cannot(|| "make the copy")?);
    let mut budget = Budget::new(&Limits::default(), u64::MAX);
    DataCopier::default().copy(from, &copy, &mut budget)
}

fn copy_files(from: &OwnedFd, to: BorrowedFd<'_>, new: &str) -> Result<()> {
    mkdirat(to, new, Mode::from_raw_mode(0o755)).cannot(|| "make the copy")?;
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy = openat(to, new, how, Mode::empty()).cannot(|| "open the copy")?;
    for entry in Dir::read_from(from).cannot(|| "read it")? {
        let entry = entry.cannot(|| "read it")?;
        let name = entry.file_name().to_string_lossy();
        let opened = open_plain(from.as_fd(), &name).map(File::from);
        let Some(opened) = opened.ok().filter(|_| !name.starts_with('.')) else {
            continue;
        };
        let stat = fstat(&opened).cannot(|| "look at it")?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            copy_file(&opened, stat.st_mode, copy.as_fd(), &name)?;
        }
    }
    Ok(())
}
