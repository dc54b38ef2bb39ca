//! The cgroup of one command that joins a machine.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::dir::Dir;
use super::tree;
use crate::error::{Context, Result};

/// What the names of these cgroups begin with.
pub(super) const PREFIX: &str = "nsrun-exec-";

const PATIENCE: Duration = Duration::from_millis(10);

/// A cgroup below the payload's, removed when dropped unless processes remain in it:
/// those stay until the machine ends.
#[derive(Debug)]
pub struct Leaf {
    payload: Dir,
    name: String,
    dir: Dir,
}

impl Leaf {
    pub(super) fn make(payload: &Dir, number: u32) -> Result<Self, Errno> {
        let name = format!("{PREFIX}{number}");
        let dir = match payload.make(&name) {
            // Left by a killed command of the same number: empty, or removal says so.
            Err(Errno::EXIST) => {
                payload.remove(&name)?;
                payload.make(&name)?
            }
            made => made?,
        };
        let payload = payload.try_clone().map_err(|_| Errno::MFILE)?;
        Ok(Self { payload, name, dir })
    }

    /// The directory that the command is to be cloned into (`CLONE_INTO_CGROUP`).
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Ends a command and whatever it has started; that there is none of that number is no failure.
pub(super) fn kill(payload: &Dir, number: u32) -> std::io::Result<()> {
    match payload.child(format!("{PREFIX}{number}")) {
        Ok(dir) => tree::kill(&dir),
        Err(Errno::NOENT | Errno::NODEV) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

impl Leaf {
    /// Ends the command and whatever it has started, with SIGKILL.
    ///
    /// # Errors
    /// What the kernel says, but not that they are gone.
    pub fn kill(&self) -> Result<()> {
        tree::kill(&self.dir).cannot(|| format!("kill cgroup {}", self.name))
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        // Busy if the command left processes behind, gone if the machine has ended. One
        // that has been waited for may take a moment to leave.
        let _ = tree::remove(&self.payload, &self.name, Instant::now() + PATIENCE);
    }
}
