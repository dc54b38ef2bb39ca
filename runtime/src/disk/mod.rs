//! Disk images: a file or block device that holds a file system, on which a machine's root is
//! mounted.
//!
//! The file system is mounted without being attached anywhere on the host, so that nobody but the
//! machine reaches what is in it.

mod device;
mod format;
mod mount;
mod partitions;
mod trust;

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

pub(crate) use self::format::FileSystem;
pub(crate) use self::format::HEAD;
pub(crate) use self::mount::Mounted;
use self::partitions::Part;
pub(crate) use self::trust::Trust;
use crate::error::{Context, Error, Kind, Result};

/// Permission to write, of anybody.
const WRITE: u32 = 0o222;

/// A disk image that was looked at.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    /// Without symbolic links.
    path: PathBuf,
    is_device: bool,
    file_system: FileSystem,
    part: Option<Part>,
    /// It is marked as read-only.
    is_protected: bool,
}

impl Disk {
    /// Looks at what a path leads to; `None` if that is no file or block device.
    ///
    /// # Errors
    /// [`Kind::BadInput`] if it holds nothing that a machine can start from, or what only an
    /// image that is trusted may hold.
    pub(crate) fn look(path: &Path, trust: Trust) -> Result<Option<Self>> {
        let what = || format!("start from disk image {}", path.display());
        let Ok(found) = std::fs::metadata(path) else {
            // Whoever opens it as a directory tells why.
            return Ok(None);
        };
        let kind = found.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Ok(None);
        }
        Self::open(path, trust).cannot(what).map(Some)
    }

    fn open(path: &Path, trust: Trust) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).cannot(|| "open it")?;
        let file = File::from(opened);
        let metadata = file.metadata().cannot(|| "look at it")?;
        let path = std::fs::read_link(link(&file)).cannot(|| "tell its path")?;
        let is_device = metadata.file_type().is_block_device();
        let size = device::size(&file).cannot(|| "tell its size")?;
        let read = |at: u64, length: usize| read(&file, at, length);
        let part = partitions::root_of(&read, size)?;
        let offset = part.map_or(0, |part| part.offset);
        let head = read(offset, HEAD).cannot(|| "read it")?;
        let file_system = FileSystem::of(&head).ok_or_else(|| format::refusal(&head))?;
        trust::check(&path, &metadata, file_system, trust)?;
        Ok(Self {
            is_protected: !is_device && metadata.mode() & WRITE == 0,
            file,
            path,
            is_device,
            file_system,
            part,
        })
    }

    /// Why nothing can be written to it, if so.
    pub(crate) fn read_only(&self) -> Option<String> {
        if self.file_system.is_read_only() {
            Some(format!("{} is never written to", self.file_system))
        } else {
            self.is_protected
                .then(|| "the image is marked as read-only".to_owned())
        }
    }

    /// What is left out of it, if so.
    pub(crate) fn left_out(&self) -> Option<String> {
        let others = self.part.map(|part| part.others).filter(|n| *n > 0)?;
        Some(format!(
            "{others} other partitions of the disk image are not mounted"
        ))
    }

    /// Mounts its file system, for writing if that is asked for and possible. Its lock is held.
    ///
    /// # Errors
    /// [`Kind::HostLacks`] without the file system in the kernel, or a loop device;
    /// [`Kind::Busy`] if the host has attached it elsewhere; [`Kind::BadInput`] if the kernel does
    /// not take it.
    pub(crate) fn mount(self, writable: bool) -> Result<Mounted> {
        let what = || format!("mount {} of {}", self.file_system, self.path.display());
        self.attach(writable && self.read_only().is_none())
            .cannot(what)
    }

    fn attach(&self, writable: bool) -> Result<Mounted> {
        if self.is_device && self.part.is_none() {
            return Mounted::new(self.file_system, self.path.clone(), writable);
        }
        let device = device::attach(self, writable)?;
        // From here on the mount keeps the device.
        Mounted::new(self.file_system, device.path, writable)
    }

    /// The file or device itself, opened anew for writing.
    fn reopen(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::open(link(&self.file), flags, Mode::empty())
    }
}

fn link(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Reads up to so many bytes.
pub(crate) fn read(file: &File, at: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        let at = at.saturating_add(filled as u64);
        match file.read_at(&mut bytes[filled..], at) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Refuses what holds neither a partition table nor a file system that is known, by its first [`HEAD`]
/// bytes. What lies behind them is looked at when a machine starts from it.
///
/// # Errors
/// [`Kind::BadInput`], with what it is instead, if that is known.
pub(crate) fn check_head(head: &[u8]) -> Result<()> {
    match FileSystem::of(head) {
        None if !partitions::has_table(head) => Err(format::refusal(head)),
        _ => Ok(()),
    }
}

/// Refuses what is named as a disk image and is none.
///
/// # Errors
/// [`Kind::NotFound`] if there is nothing; [`Kind::BadInput`] if it is neither a file nor a block
/// device.
pub fn check_named(path: &Path) -> Result<()> {
    let what = || format!("start from disk image {}", path.display());
    let found = std::fs::metadata(path).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Failed,
        };
        Error::new(kind, format!("cannot {}", what())).because(error)
    })?;
    let kind = found.file_type();
    if kind.is_file() || kind.is_block_device() {
        return Ok(());
    }
    let error = Error::new(Kind::BadInput, "it is neither a file nor a block device");
    Err(match kind.is_dir() {
        true => error.hint("a directory is given without --image"),
        false => error,
    })
    .cannot(what)
}

#[cfg(test)]
mod tests;
