//! The launcher's side of a network namespace that is there already. The child cannot enter it: in a
//! user namespace of its own it has no power over it. So it is made there.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::error::{Context, Error, Kind, Result};

/// Opens the file that stands for a namespace.
pub(super) fn open(path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        let kind = match errno {
            Errno::NOENT => Kind::NotFound,
            _ => Kind::Failed,
        };
        let what = format!("cannot open the network namespace {}", shown(path));
        Error::new(kind, what).because(std::io::Error::from(errno))
    })
}

fn shown(path: &CStr) -> String {
    path.to_bytes().escape_ascii().to_string()
}

/// A stay of this thread in another network namespace; [`Self::end`] ends it.
#[derive(Debug)]
#[must_use]
pub(super) struct Visit(Option<OwnedFd>);

impl Visit {
    /// Enters a namespace, if there is one to enter.
    pub(super) fn begin(network: Option<BorrowedFd<'_>>) -> Result<Self> {
        let Some(network) = network else {
            return Ok(Self(None));
        };
        let home = open(c"/proc/thread-self/ns/net")?;
        setns(network, CloneFlags::CLONE_NEWNET).map_err(|errno| {
            let path = format!(
                "/proc/self/fd/{}",
                std::os::fd::AsRawFd::as_raw_fd(&network)
            );
            let path = std::fs::read_link(path).unwrap_or_default();
            let what = format!("cannot enter the network namespace {}", path.display());
            let error = Error::new(Kind::Failed, what).because(std::io::Error::from(errno));
            error.hint("`ip netns add NAME` makes one, in /run/netns/NAME")
        })?;
        Ok(Self(Some(home)))
    }

    /// Goes back.
    pub(super) fn end(self) -> Result<()> {
        match self.0 {
            None => Ok(()),
            Some(home) => setns(home, CloneFlags::CLONE_NEWNET)
                .cannot(|| "return to the network namespace of nsrun"),
        }
    }
}

/// A sysfs of a network namespace, or of this process's.
pub(super) fn sysfs(network: Option<&OwnedFd>) -> Result<OwnedFd> {
    let make = || {
        let context = rustix::mount::fsopen(c"sysfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    let visit = Visit::begin(network.map(AsFd::as_fd))?;
    let made = make().cannot(|| "mount sysfs");
    visit.end()?;
    made
}
