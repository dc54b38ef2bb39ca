//! The small init of `nsrun run`: PID 1 that starts the command as PID 2 and reaps.

use rustix::io::Errno;

use crate::sys;

/// Forks. Returns in the payload-to-be; PID 1 stays here until the payload has ended.
pub(super) fn fork_payload() -> Result<(), Errno> {
    match sys::clone::fork() {
        Ok(0) => Ok(()),
        Ok(_payload) => sys::clone::exit_now(0),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}
