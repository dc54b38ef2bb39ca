//! The child's mount operations. Allocates nothing.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

use super::op::Place;
use super::slot::{Slot, Slots};
use crate::sys;

pub(crate) fn cut_propagation() -> Result<(), Errno> {
    rustix::mount::mount_change(
        c"/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
}

pub(crate) fn new_fs(
    slots: &mut Slots,
    kind: &CStr,
    options: &[(CString, CString)],
    attributes: MountAttrFlags,
    into: Slot,
) -> Result<(), Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&context, key.as_c_str())?;
        } else {
            rustix::mount::fsconfig_set_string(&context, key.as_c_str(), value.as_c_str())?;
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let tree = rustix::mount::fsmount(&context, flags, attributes)?;
    slots.put(into, tree);
    Ok(())
}

pub(crate) fn clone_tree(
    slots: &mut Slots,
    from: &Place,
    recursive: bool,
    into: Slot,
) -> Result<(), Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    let tree = match from.base {
        None => rustix::mount::open_tree(CWD, from.path.as_c_str(), flags)?,
        Some(base) => {
            flags |= OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
            rustix::mount::open_tree(slots.get(base)?, from.path.as_c_str(), flags)?
        }
    };
    slots.put(into, tree);
    Ok(())
}

pub(crate) fn set_attributes(
    slots: &Slots,
    tree: Slot,
    recursive: bool,
    set: MountAttrFlags,
    propagation: MountPropagationFlags,
) -> Result<(), Errno> {
    sys::mount::set_attributes(slots.get(tree)?, recursive, set, propagation)
        .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}

/// Attaches a mount and keeps its descriptor only if it is one that later operations build in.
pub(crate) fn attach(slots: &mut Slots, tree: Slot, at: &Place) -> Result<(), Errno> {
    // The last component is not followed if it is a symbolic link: that is MOVE_MOUNT_T_SYMLINKS.
    let from = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let fd = slots.take(tree)?;
    match at.base {
        None => rustix::mount::move_mount(&fd, c"", CWD, at.path.as_c_str(), from)?,
        Some(base) => {
            rustix::mount::move_mount(&fd, c"", slots.get(base)?, at.path.as_c_str(), from)?;
        }
    }
    if tree != Slot::Passing {
        slots.put(tree, fd);
    }
    Ok(())
}

/// Makes the root tree the root of this mount namespace and lets go of the host's.
pub(crate) fn pivot(slots: &mut Slots) -> Result<(), Errno> {
    let root = slots.take(Slot::Root)?;
    rustix::process::fchdir(root.as_fd())?;
    rustix::process::pivot_root(c".", c".")?;
    // pivot_root(2): the old root is stacked on the new one, and "." is the old one.
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}
