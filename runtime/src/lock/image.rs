//! Locks on images and on names that are about to become images.

use std::fs::{File, read_link};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode as Permissions, OFlags};

use super::file::{self, LockFile};
use super::{LOCK_DIR, Mode};
use crate::error::{Context, Error, Kind, Result};

/// systemd makes its lock directory with this mode; ours must not widen it.
const LOCK_DIR_MODE: u32 = 0o700;

/// The lock files of one image, found but not locked.
///
/// There are two: one beside the image, seen by every host that shares the directory,
/// and one named after device and inode, which stays the same under any other path that
/// leads to the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageLocks {
    image: PathBuf,
    beside: Option<PathBuf>,
    by_inode: PathBuf,
}

/// A held lock on an image.
#[derive(Debug)]
pub struct ImageLock {
    _files: Vec<LockFile>,
}

/// A held lock on a name for which an image is being made.
#[derive(Debug)]
pub struct NameLock {
    _file: LockFile,
}

impl ImageLocks {
    /// The locks of the image at `path`: a directory, a regular file or a block device.
    ///
    /// # Errors
    /// If there is no such thing, or `/proc` is not mounted.
    pub fn of(path: &Path) -> Result<Self> {
        Self::within(Path::new(LOCK_DIR), path)
    }

    fn within(lock_dir: &Path, path: &Path) -> Result<Self> {
        let (image, metadata) =
            resolve(path).cannot(|| format!("open image {}", path.display()))?;
        let kind = metadata.file_type();
        let beside = match (image.parent(), image.file_name()) {
            (Some(dir), Some(name)) if !kind.is_block_device() => {
                let mut file = std::ffi::OsString::from(".#");
                file.push(name);
                file.push(".lck");
                Some(dir.join(file))
            }
            _ => None,
        };
        let by_inode = if kind.is_block_device() {
            let device = metadata.rdev();
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            format!("block-{major}:{minor}")
        } else if kind.is_dir() || kind.is_file() {
            format!("inode-{}:{}", metadata.dev(), metadata.ino())
        } else {
            let what = format!("cannot use {} as an image", path.display());
            let cause = "it is neither a directory nor a file nor a block device";
            return Err(Error::new(Kind::BadInput, what).because(cause));
        };
        Ok(Self {
            beside,
            by_inode: lock_dir.join(by_inode),
            image,
        })
    }

    /// The image's path without symbolic links.
    #[must_use]
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// The files that [`Self::take`] will create.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.beside
            .iter()
            .chain([&self.by_inode])
            .map(PathBuf::as_path)
    }

    /// Locks the image without waiting: exclusively to write to it, shared to read.
    ///
    /// # Errors
    /// Of kind [`Kind::Busy`] if a container runs from it or a tool changes it; if a
    /// lock file cannot be made. A directory where nothing can be written is no failure
    /// for a shared lock.
    pub fn take(&self, mode: Mode) -> Result<ImageLock> {
        if mode == Mode::Exclusive && self.image == Path::new("/") {
            let what = "cannot lock / for writing: it is the host's own root";
            return Err(Error::new(Kind::Busy, what).hint("run it read-only"));
        }
        let mut files = Vec::new();
        if let Some(beside) = &self.beside {
            match LockFile::take(beside, mode) {
                Err(e) if mode == Mode::Shared && unwritable(&e) => {}
                taken => files.push(self.require(beside, taken)?),
            }
        }
        if let Some(dir) = self.by_inode.parent() {
            file::make_dir(dir, LOCK_DIR_MODE).cannot(|| format!("create {}", dir.display()))?;
        }
        files.push(self.require(&self.by_inode, LockFile::take(&self.by_inode, mode))?);
        Ok(ImageLock { _files: files })
    }

    fn require(&self, path: &Path, taken: io::Result<Option<LockFile>>) -> Result<LockFile> {
        let read_only = matches!(&taken, Err(e) if e.raw_os_error() == Some(libc::EROFS));
        let taken = taken.cannot(|| format!("lock {}", path.display()));
        let taken = taken.map_err(|error| match read_only {
            true => error.hint(
                "an image on a read-only file system starts with --read-only, its owners left as \
                 they are",
            ),
            false => error,
        })?;
        taken.ok_or_else(|| {
            let what = format!("image {} is in use", self.image.display());
            Error::new(Kind::Busy, what).hint("stop the machine that runs from it first")
        })
    }
}

impl NameLock {
    /// Locks a name in the image root without waiting.
    ///
    /// # Errors
    /// Of kind [`Kind::Busy`] if another tool is making an image of that name; if the
    /// lock file cannot be made.
    pub fn take(name: &str) -> Result<Self> {
        Self::within(Path::new(LOCK_DIR), name)
    }

    fn within(lock_dir: &Path, name: &str) -> Result<Self> {
        let path = Self::file(lock_dir, name);
        file::make_dir(lock_dir, LOCK_DIR_MODE)
            .cannot(|| format!("create {}", lock_dir.display()))?;
        let taken = LockFile::take(&path, Mode::Exclusive);
        let taken = taken.cannot(|| format!("lock {}", path.display()))?;
        let file = taken.ok_or_else(|| {
            let what = format!("the image name {name} is in use by another command");
            Error::new(Kind::Busy, what)
        })?;
        Ok(Self { _file: file })
    }

    fn file(lock_dir: &Path, name: &str) -> PathBuf {
        lock_dir.join(format!("name-{name}"))
    }
}

/// What the path leads to, and its path without symbolic links, of one and the same
/// object.
fn resolve(path: &Path) -> io::Result<(PathBuf, std::fs::Metadata)> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Permissions::empty())?);
    let image = read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok((image, file.metadata()?))
}

fn unwritable(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EROFS | libc::EACCES | libc::EPERM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        root: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(root.path().join("images/web")).unwrap();
            Self { root }
        }

        fn image(&self) -> PathBuf {
            self.root.path().join("images/web")
        }

        fn lock_dir(&self) -> PathBuf {
            self.root.path().join("locks")
        }

        fn locks(&self) -> ImageLocks {
            ImageLocks::within(&self.lock_dir(), &self.image()).unwrap()
        }
    }

    #[test]
    fn the_files_are_those_of_nspawn() {
        let locks = ImageLocks::of(Path::new("/usr")).unwrap();
        let metadata = std::fs::metadata("/usr").unwrap();
        let by_inode = format!("{LOCK_DIR}/inode-{}:{}", metadata.dev(), metadata.ino());
        let files: Vec<&Path> = locks.files().collect();
        assert_eq!(files, [Path::new("/.#usr.lck"), Path::new(&by_inode)]);
        let file = NameLock::file(Path::new(LOCK_DIR), "web");
        assert_eq!(file, Path::new("/run/systemd/nspawn/locks/name-web"));
    }

    #[test]
    fn one_writer_or_many_readers() {
        let place = Place::new();
        let writer = place.locks().take(Mode::Exclusive).unwrap();
        for mode in [Mode::Exclusive, Mode::Shared] {
            let error = place.locks().take(mode).unwrap_err();
            assert_eq!(error.kind(), Kind::Busy);
        }
        drop(writer);
        let readers = [Mode::Shared; 2].map(|mode| place.locks().take(mode).unwrap());
        assert!(place.locks().take(Mode::Exclusive).is_err());
        drop(readers);
        place.locks().take(Mode::Exclusive).unwrap();
        assert!(place.locks().files().all(|file| !file.exists()));
    }

    #[test]
    fn another_path_to_the_image_meets_the_same_lock() {
        let place = Place::new();
        let link = place.root.path().join("link");
        std::os::unix::fs::symlink(place.image(), &link).unwrap();
        let through = ImageLocks::within(&place.lock_dir(), &link).unwrap();
        assert_eq!(through, place.locks());
        let moved = place.root.path().join("moved");
        let _held = place.locks().take(Mode::Exclusive).unwrap();
        std::fs::rename(place.image(), &moved).unwrap();
        let elsewhere = ImageLocks::within(&place.lock_dir(), &moved).unwrap();
        assert_eq!(elsewhere.take(Mode::Shared).unwrap_err().kind(), Kind::Busy);
    }

    #[test]
    fn a_failed_lock_leaves_no_file() {
        let place = Place::new();
        std::fs::write(place.lock_dir(), "in the way").unwrap();
        assert!(place.locks().take(Mode::Exclusive).is_err());
        assert!(!place.root.path().join("images/.#web.lck").exists());
    }

    #[test]
    fn the_hosts_root_is_never_locked_for_writing() {
        let place = Place::new();
        let locks = ImageLocks::within(&place.lock_dir(), Path::new("/")).unwrap();
        let error = locks.take(Mode::Exclusive).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        assert_eq!(locks.files().count(), 1);
        locks.take(Mode::Shared).unwrap();
    }

    #[test]
    fn what_cannot_be_an_image_is_told() {
        let error = ImageLocks::of(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput);
        let error = ImageLocks::of(Path::new("/nowhere/web")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot open image /nowhere/web: no such file or directory"
        );
    }

    #[test]
    fn a_name_is_locked_once() {
        let place = Place::new();
        let name = "web";
        let held = NameLock::within(&place.lock_dir(), name).unwrap();
        let error = NameLock::within(&place.lock_dir(), name).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        drop(held);
        NameLock::within(&place.lock_dir(), name).unwrap();
    }
}
