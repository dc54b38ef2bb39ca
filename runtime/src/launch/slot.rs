//! Names for the descriptors that the child keeps while it works through its script.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

/// One place in the child's table of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The root tree of the machine.
    Root,
    /// The tmpfs on /run.
    Run,
    /// The tmpfs on /dev.
    Dev,
    /// The procfs instance.
    Proc,
    /// The tmpfs that holds the visible part of sysfs.
    Sys,
    /// A complete sysfs instance.
    FullSys,
    /// A locked or plain copy of everything on /proc.
    ProcTree,
    /// A locked or plain copy of everything on /sys.
    SysTree,
    /// /proc/sys/net of the payload's own network namespace.
    SysNet,
    /// The file system with the payload's secrets.
    Credentials,
    /// The file system whose mounts are being locked.
    Stage,
    /// A tree in which something is covered while it is staged.
    Holder,
    /// Where the next mount goes.
    Target,
    /// A mount between its making and its attaching.
    Passing,
    /// The host's side of the console.
    Master,
    /// The payload's side of the console.
    Console,
    /// The notification socket.
    Notify,
    /// The socket that control messages travel over.
    Control,
}

const COUNT: usize = Slot::Control as usize + 1;

/// The table itself. Fixed in size, so that it lives on the child's stack.
#[derive(Debug)]
pub(crate) struct Slots([Option<OwnedFd>; COUNT]);

impl Slots {
    pub(crate) const fn new() -> Self {
        Self([const { None }; COUNT])
    }

    /// Stores a descriptor; what the slot held before is closed.
    pub(crate) fn put(&mut self, slot: Slot, fd: OwnedFd) {
        if let Some(place) = self.0.get_mut(slot as usize) {
            *place = Some(fd);
        }
    }

    /// Takes a descriptor out.
    pub(crate) fn take(&mut self, slot: Slot) -> Result<OwnedFd, Errno> {
        let place = self.0.get_mut(slot as usize).and_then(Option::take);
        place.ok_or(Errno::BADF)
    }

    /// Borrows a descriptor.
    pub(crate) fn get(&self, slot: Slot) -> Result<BorrowedFd<'_>, Errno> {
        let place = self.0.get(slot as usize).and_then(Option::as_ref);
        place.map(AsFd::as_fd).ok_or(Errno::BADF)
    }
}
