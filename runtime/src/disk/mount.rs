//! The mount of a disk image, attached nowhere.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::format::FileSystem;
use crate::error::{Context, Error, Kind, Result};

/// Longest message of the kernel's about a mount that is read.
const MESSAGE: usize = 512;

/// A file system that is mounted for as long as this, or a mount made of it, lasts.
#[derive(Debug)]
pub(crate) struct Mounted {
    tree: OwnedFd,
    file_system: FileSystem,
    /// The block device.
    source: PathBuf,
    writable: bool,
}

impl Mounted {
    pub(super) fn new(file_system: FileSystem, source: PathBuf, writable: bool) -> Result<Self> {
        let tree = mount(file_system, &source, writable)?;
        Ok(Self {
            tree,
            file_system,
            source,
            writable,
        })
    }

    /// Another mount of the same file system. A clone of a mount that is attached nowhere would take
    /// Linux 6.15.
    pub(crate) fn again(&self) -> Result<OwnedFd> {
        mount(self.file_system, &self.source, self.writable)
    }

    /// What it is.
    pub(crate) fn file_system(&self) -> FileSystem {
        self.file_system
    }
}

impl AsFd for Mounted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }
}

fn mount(file_system: FileSystem, source: &std::path::Path, writable: bool) -> Result<OwnedFd> {
    let flags = FsOpenFlags::FSOPEN_CLOEXEC;
    let context = rustix::mount::fsopen(file_system.word(), flags).map_err(|errno| {
        let error = Error::new(Kind::HostLacks, "the kernel lacks this file system");
        error.because(std::io::Error::from(errno))
    })?;
    let make = || {
        let source = CString::new(source.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
        rustix::mount::fsconfig_set_string(&context, c"source", source.as_c_str())?;
        for option in options(file_system, writable) {
            match option {
                (key, None) => rustix::mount::fsconfig_set_flag(&context, *key)?,
                (key, Some(value)) => rustix::mount::fsconfig_set_string(&context, *key, *value)?,
            }
        }
        rustix::mount::fsconfig_create(&context)
    };
    make().map_err(|errno| explain(errno, context.as_fd()))?;
    // Devices in it would be the host's. Nobody but the machine sees it, so that programs with the
    // set-user-ID bit are of use to nobody else.
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, !writable);
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    rustix::mount::fsmount(&context, flags, attributes).cannot(|| "make a mount of it")
}

type Options = &'static [(&'static CStr, Option<&'static CStr>)];

/// A journal cannot be replayed where nothing may be written. Machines that share an image have one
/// mount each, which xfs takes for two file systems of one name.
fn options(file_system: FileSystem, writable: bool) -> Options {
    match (file_system, writable) {
        (FileSystem::Squashfs | FileSystem::Erofs, _) => &[(c"ro", None)],
        (FileSystem::Ext4, false) => &[(c"ro", None), (c"norecovery", None)],
        (FileSystem::Xfs, false) => &[(c"ro", None), (c"norecovery", None), (c"nouuid", None)],
        (FileSystem::Btrfs, false) => &[(c"ro", None), (c"rescue", Some(c"nologreplay"))],
        (FileSystem::Xfs, true) => &[(c"nouuid", None)],
        (FileSystem::Ext4 | FileSystem::Btrfs, true) => &[],
    }
}

/// What the kernel says about it.
fn explain(errno: Errno, context: BorrowedFd<'_>) -> Error {
    let mut buffer = [0; MESSAGE];
    let mut said = Vec::new();
    // Each read gives one message, after a letter for its weight and a space.
    while let Ok(count @ 1..) = rustix::io::read(context, &mut buffer) {
        let message = buffer.get(..count).unwrap_or_default();
        let message = String::from_utf8_lossy(message).into_owned();
        said.extend(message.strip_prefix("e ").map(|m| m.trim_end().to_owned()));
    }
    let kind = match errno {
        Errno::PERM | Errno::ACCESS => Kind::HostLacks,
        _ => Kind::BadInput,
    };
    let what = match said.is_empty() {
        true => "the kernel does not take it".to_owned(),
        false => format!("the kernel does not take it ({})", said.join("; ")),
    };
    Error::new(kind, what)
        .because(std::io::Error::from(errno))
        .hint("the kernel's log may have more: dmesg")
}
