//! The child's side of mounts that were asked for. The image is hostile: a target is resolved by
//! the kernel, with the machine's root for the root, and made from a descriptor. Allocates nothing.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

use super::op::{Component, Make};
use super::slot::{Slot, Slots};
use crate::within::open_within;

/// A name that was just made, and nothing else.
const STRICT: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Takes a tree that the parent made before there was a child.
pub(crate) fn take(
    slots: &mut Slots,
    trees: &[OwnedFd],
    tree: usize,
    into: Slot,
) -> Result<(), Errno> {
    let fd = trees.get(tree).ok_or(Errno::BADF)?;
    slots.put(into, rustix::io::fcntl_dupfd_cloexec(fd, 0)?);
    Ok(())
}

/// Finds where to mount, and makes what is missing.
pub(crate) fn target(
    slots: &mut Slots,
    root: Slot,
    path: &[Component],
    make: Make,
) -> Result<(), Errno> {
    // One that was not used must not be taken for this one.
    let _ = slots.take(Slot::Target);
    let Some((last, above)) = path.split_last() else {
        return Err(Errno::INVAL);
    };
    let mut parent = None;
    for component in above {
        let make = match make {
            Make::Nothing => Make::Nothing,
            _ => Make::Directory,
        };
        parent = Some(find_or_make(
            slots.get(root)?,
            parent.as_ref(),
            component,
            make,
        )?);
    }
    let found = find_or_make(slots.get(root)?, parent.as_ref(), last, make)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
    match (make, kind) {
        (Make::Directory, kind) if kind != FileType::Directory => return Err(Errno::NOTDIR),
        (Make::File, FileType::Directory) => return Err(Errno::ISDIR),
        _ => slots.put(Slot::Target, found),
    }
    Ok(())
}

fn find_or_make(
    root: BorrowedFd<'_>,
    parent: Option<&OwnedFd>,
    component: &Component,
    make: Make,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let whole = component.path.as_c_str();
    match open_within(root, whole, flags) {
        Err(Errno::NOENT) if make != Make::Nothing => {}
        other => return other,
    }
    let name = component.name.as_c_str();
    let parent = match parent {
        Some(parent) => parent.as_fd(),
        None => root,
    };
    if make == Make::Directory {
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    } else {
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(parent, name, FileType::RegularFile, mode, 0)?;
    }
    rustix::fs::openat2(
        parent,
        name,
        flags | OFlags::NOFOLLOW,
        Mode::empty(),
        STRICT,
    )
}

/// Clones what the machine's own tree has at a path.
pub(crate) fn clone_inside(slots: &mut Slots, path: &CStr, recursive: bool) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = slots.get(Slot::Root)?;
    let found = open_within(root, path, flags)?;
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    let tree = rustix::mount::open_tree(&found, c"", flags)?;
    slots.put(Slot::Passing, tree);
    Ok(())
}

/// Clones the node that nobody can open and that is of the target's kind, unless the target is one.
pub(crate) fn cover(slots: &mut Slots, from: Slot) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(slots.get(Slot::Target)?)?;
    let node = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => c"host/inaccessible/dir",
        FileType::Fifo => c"host/inaccessible/fifo",
        FileType::Socket => c"host/inaccessible/sock",
        // The kernel mounts any file over any other; a device node cannot be made here.
        _ => c"host/inaccessible/reg",
    };
    // A cover that went through the locks shows the stage's own node.
    if let Ok(stage) = slots.get(Slot::Stage)
        && let Ok(locked) = rustix::fs::statat(stage, node, AtFlags::SYMLINK_NOFOLLOW)
        && (locked.st_dev, locked.st_ino) == (stat.st_dev, stat.st_ino)
    {
        return slots.take(Slot::Target).map(drop);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let tree = rustix::mount::open_tree(slots.get(from)?, node, flags)?;
    slots.put(Slot::Passing, tree);
    Ok(())
}

/// Mounts on the target that was found last.
pub(crate) fn mount(slots: &mut Slots) -> Result<(), Errno> {
    let tree = slots.take(Slot::Passing)?;
    let target = slots.take(Slot::Target)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(&tree, c"", &target, c"", flags)
}
