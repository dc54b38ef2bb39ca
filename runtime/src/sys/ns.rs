//! Descriptors of a process's namespaces, by pidfd.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The namespaces that are asked for, with their ioctl numbers from `linux/pidfd.h` (Linux 6.11).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Namespace {
    Net = 0xff04,
    User = 0xff09,
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Net => "network",
            Self::User => "user",
        })
    }
}

impl Namespace {
    fn proc_name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::User => "user",
        }
    }
}

/// Opens a namespace of the process behind `pidfd`, whose number is `pid`.
///
/// Kernels before 6.11 are asked through /proc, which is safe for a child of ours that was not reaped.
pub(crate) fn open(pidfd: BorrowedFd<'_>, pid: i32, namespace: Namespace) -> io::Result<OwnedFd> {
    // SAFETY: these ioctls take no argument but zero and return a new descriptor.
    let fd = unsafe { libc::ioctl(pidfd.as_raw_fd(), namespace as libc::c_ulong, 0) };
    if fd >= 0 {
        // SAFETY: the kernel just made `fd` and nobody else owns it.
        return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    let path = format!("/proc/{pid}/ns/{}", namespace.proc_name());
    std::fs::File::open(path).map(OwnedFd::from)
}
