//! What state asks of the rest of the runtime.

use std::fmt::Debug;
use std::path::Path;

use nsrun_netns::{IfName, Moved, Net, Owner};

use crate::error::{Error, Kind, Result};

/// The parts of the host that machines reach into.
///
/// Control groups are named by their path below the root of the unified hierarchy. All
/// of it is called from synchronous code; the links' part must not be called from an
/// asynchronous task.
pub trait Host: Debug + Send + Sync {
    /// Whether a process is in the group or below; none is in a group that is missing.
    ///
    /// # Errors
    /// If the hierarchy cannot be read.
    fn is_populated(&self, cgroup: &Path) -> Result<bool>;

    /// Whether the processes in the group and below are frozen.
    ///
    /// # Errors
    /// If the hierarchy cannot be read.
    fn is_frozen(&self, _cgroup: &Path) -> Result<bool> {
        Ok(false)
    }

    /// Kills whatever is in the group and below, waits until it is empty and removes it;
    /// a missing group is no failure.
    ///
    /// # Errors
    /// If a process does not end in time, or the group cannot be removed.
    fn end_cgroup(&self, cgroup: &Path) -> Result<()>;

    /// The same for the group of the machine that this process supervises, which it may be
    /// in itself.
    ///
    /// # Errors
    /// As [`Host::end_cgroup`].
    fn end_own_cgroup(&self, cgroup: &Path) -> Result<()>;

    /// Frees the link's name and addresses and leaves it to die with its namespace; a
    /// missing link is no failure.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn retire_link(&self, owner: &Owner) -> Result<()> {
        let retired = Net::new().and_then(|net| net.retire(owner));
        retired
            .map(drop)
            .map_err(|e| Error::new(Kind::Failed, e.to_string()))
    }

    /// Gives a link of the host that a machine had for itself its name again. One that is gone, as
    /// those are that are not of hardware, is no failure.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn restore_link(&self, moved: &Moved) -> Result<()> {
        crate::network::restore(moved)
    }

    /// Removes rules of the host's packet filter whose tag begins with that text.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn sweep_rules(&self, tag: &str) -> Result<()> {
        crate::network::sweep_rules(tag)
    }

    /// Takes a bridge away that machines share, if no link is in it.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn release_bridge(&self, name: &IfName) -> Result<()> {
        crate::network::release(name)
    }

    /// Deletes retired links that have not died, those whose tag begins with that text.
    ///
    /// # Errors
    /// If the kernel refuses.
    fn delete_retired_links(&self, tag_prefix: &str) -> Result<()> {
        let deleted = Net::new().and_then(|net| net.delete_retired(tag_prefix));
        deleted
            .map(drop)
            .map_err(|e| Error::new(Kind::Failed, e.to_string()))
    }
}
