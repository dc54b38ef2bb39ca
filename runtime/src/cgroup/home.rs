//! Where the supervisor came from, and how it and the scope go away.

use std::io;
use std::time::Instant;

use rustix::io::Errno;

use super::dir::Dir;
use super::{controllers, tree};

pub(super) const SLICE: &str = "machine.slice";

/// Who else has a hand in the scope.
#[derive(Debug)]
pub(super) enum Home {
    /// Nobody: the scope is in a slice that goes with its last scope.
    Top {
        top: Dir,
        slice: Dir,
        /// This process's cgroup before.
        origin: Dir,
    },
    /// systemd left the unit to us, which we had offer controllers.
    Unit {
        unit: Dir,
        enabled: Vec<&'static str>,
        /// This process's cgroup before: the unit's, or one below.
        origin: Dir,
    },
    /// systemd made the scope, and removes it when its last process ends. That is this
    /// one, which may not go back: where it was is not ours.
    Systemd,
}

impl Home {
    /// Moves this process to where it was, out of the scope `dir`. The payload must be
    /// gone: the controllers that it used could not be withdrawn, and a cgroup that
    /// offers controllers takes no process in.
    pub(super) fn leave(&self, dir: &Dir) -> io::Result<()> {
        match self {
            // Where it was may have been removed, or been given controllers to offer.
            Self::Top { top, origin, .. } => move_to(origin).or_else(|_| move_to(top)),
            Self::Unit {
                unit,
                enabled,
                origin,
            } => {
                controllers::disable(dir);
                controllers::withdraw(unit, enabled);
                move_to(origin)
            }
            Self::Systemd => Ok(()),
        }
    }

    /// Removes the scope `name`.
    pub(super) fn remove(&self, name: &str, deadline: Instant) -> Result<(), Errno> {
        match self {
            Self::Top { top, slice, .. } => {
                tree::remove(slice, name, deadline)?;
                remove_slice(top)
            }
            Self::Unit { unit, .. } => tree::remove(unit, name, deadline),
            Self::Systemd => Ok(()),
        }
    }
}

/// Removes `machine.slice` below `top` if it is empty.
pub(super) fn remove_slice(top: &Dir) -> Result<(), Errno> {
    match top.remove(SLICE) {
        Err(Errno::BUSY | Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

fn move_to(dir: &Dir) -> io::Result<()> {
    dir.write("cgroup.procs", "0")
}
