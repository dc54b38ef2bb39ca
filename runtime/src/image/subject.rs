//! An image that is about to be changed: found, of a kind that can be, and locked; and the name of
//! one to be.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, statat};

use super::hidden::{Hidden, Work, lock_name};
use super::lookup::{self, Image, ImageKind};
use super::name::ImageName;
use super::root::ImageRoot;
use super::staging::exists;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::lock::{ImageLock, ImageLocks, LockFile, Mode, NameLock};
use crate::mountinfo::own_mounts;

/// What belongs to the host's system is not changed.
const VENDOR: &str = "/usr";

/// An image of a kind that can be changed.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: ImageName,
    pub(super) image: Image,
    /// The directory that it lies in.
    pub(super) dir: ImageRoot,
}

impl Found {
    /// Finds it.
    pub(super) fn find(dirs: &Dirs, name: &ImageName) -> Result<Self> {
        let image = lookup::find_named(dirs, name.as_str())?;
        let path = image.path.display();
        if !matches!(image.kind, ImageKind::Directory | ImageKind::Raw) {
            let what = format!("{path} is {}", image.kind.text());
            return Err(Error::new(Kind::BadInput, what)
                .hint("only directories and raw disk images can be changed"));
        }
        if image.path.starts_with(VENDOR) {
            let what = format!("{path} belongs to the host's system");
            return Err(Error::new(Kind::Failed, what));
        }
        let parent = image.path.parent().unwrap_or(&image.path);
        let gone = || Error::new(Kind::NotFound, format!("{} vanished", parent.display()));
        let dir = ImageRoot::open_existing(parent)?.ok_or_else(gone)?;
        Ok(Self {
            name: name.clone(),
            image,
            dir,
        })
    }

    /// Its name in its directory.
    pub(super) fn file(&self) -> &OsStr {
        self.image.path.file_name().unwrap_or_default()
    }

    /// Whether it is a symbolic link to an image elsewhere.
    pub(super) fn is_link(&self) -> bool {
        let stat = statat(self.dir.as_fd(), self.file(), AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Symlink)
    }

    /// Locks it against everybody else. A hidden name is claimed before: what a killed
    /// command leaves of the locks is found by it.
    pub(super) fn lock(&self) -> Result<ImageLock> {
        let locks = ImageLocks::of(&self.image.path)?;
        let lock = locks.take(Mode::Exclusive)?;
        if !self.is_link() {
            nothing_mounted(locks.image())?;
        }
        Ok(lock)
    }
}

/// An image that nobody uses, and nobody can until this is dropped.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) found: Found,
    pub(super) lock: ImageLock,
    /// The name that it gets while it is changed.
    pub(super) hidden: Hidden,
}

impl Subject {
    /// Finds and locks it.
    pub(super) fn take(dirs: &Dirs, name: &ImageName, work: Work) -> Result<Self> {
        let found = Found::find(dirs, name)?;
        let hidden = Hidden::claim(&found.dir, work, name.as_str())?;
        Ok(Self {
            lock: found.lock()?,
            found,
            hidden,
        })
    }
}

fn nothing_mounted(image: &Path) -> Result<()> {
    let mounts = own_mounts().into_iter();
    match mounts.map(|m| m.point).find(|at| at.starts_with(image)) {
        None => Ok(()),
        Some(point) => {
            let what = format!("something is mounted at {}", point.display());
            Err(Error::new(Kind::Busy, what).hint("unmount it first"))
        }
    }
}

/// A name taken for an image that is to have it.
#[derive(Debug)]
pub(super) struct Claim {
    _name: NameLock,
    _file: LockFile,
}

impl Claim {
    /// Takes the name, which no image may have.
    pub(super) fn take(dirs: &Dirs, root: &ImageRoot, name: &ImageName) -> Result<Self> {
        let lock = NameLock::take(name.as_str())?;
        let file = claim_file(root, name.as_str())?;
        if let Ok(image) = lookup::find_named(dirs, name.as_str()) {
            let what = format!("image {} exists already", image.path.display());
            return Err(Error::new(Kind::Busy, what));
        }
        Ok(Self {
            _name: lock,
            _file: file,
        })
    }
}

/// Takes the lock file beside an image that is to be.
pub(super) fn claim_file(root: &ImageRoot, name: &str) -> Result<LockFile> {
    let path = root.path().join(lock_name(name));
    let lock = LockFile::take(&path, Mode::Exclusive);
    let Some(lock) = lock.cannot(|| format!("lock image {name}"))? else {
        let what = format!("image {name} is in use or being imported");
        return Err(Error::new(Kind::Busy, what));
    };
    if lookup::find_in(root.path(), name).is_some() {
        return Err(exists(root, name));
    }
    Ok(lock)
}
