//! Readiness of descriptors in tokio, whose own constructor is unsafe for any type of file.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};

/// Has the current runtime watch `file`, and gives it back if it cannot be watched.
pub(crate) fn try_watch(
    file: OwnedFd,
    interest: Interest,
) -> Result<AsyncFd<OwnedFd>, AsyncFdRegisterError<OwnedFd>> {
    // SAFETY: an OwnedFd names the same open descriptor until it is dropped.
    unsafe { AsyncFd::register_with_interest(file, interest) }
}

/// Has the current runtime watch `file`.
pub(crate) fn watch(file: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    Ok(try_watch(file, interest)?)
}
