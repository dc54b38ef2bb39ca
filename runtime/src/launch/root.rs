//! The image's mount for the payload: a detached clone of the host's, with ids shifted.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::mount::{MountAttrFlags, MountPropagationFlags, OpenTreeFlags, open_tree};

use crate::error::{Context, Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::mountinfo::{self, MountLine};
use crate::sys::mount::{idmap, set_attributes};

/// Clones the mount of the image with those in it, and shifts ids through the maps of `userns`.
pub(super) fn clone(
    root: &ImageRoot,
    userns: Option<BorrowedFd<'_>>,
    read_only: bool,
) -> Result<OwnedFd> {
    let tree = clone_tree(root, true).cannot(|| "clone the mount of the image")?;
    if let Some(userns) = userns {
        idmap(tree.as_fd(), true, userns).map_err(|error| explain(error, root, userns))?;
    }
    // A clone of a shared mount is its peer: what the child mounts in it would show up on the host.
    let mut set = MountAttrFlags::empty();
    set.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
    set_attributes(tree.as_fd(), true, set, MountPropagationFlags::PRIVATE)
        .cannot(|| "cut the image's mount off from the host's")?;
    Ok(tree)
}

fn clone_tree(root: &ImageRoot, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    open_tree(root, c"", flags)
}

/// Tells which file system is to blame, and the way around it.
fn explain(error: std::io::Error, root: &ImageRoot, userns: BorrowedFd<'_>) -> Error {
    let path = path_of(root);
    let shown = path.display();
    let alone = clone_tree(root, false).map(|tree| idmap(tree.as_fd(), false, userns));
    let (what, hint) = if let Ok(Ok(())) = alone {
        let inner = inner_mounts(root, &path);
        let list: Vec<String> = inner.iter().map(words).collect();
        let what = format!(
            "cannot shift the ids of {shown}: one of the mounts in it has no idmapped mounts: {}",
            list.join(", ")
        );
        (what, "unmount them before the start")
    } else {
        let word = mountinfo::file_system(root.as_fd());
        let word = word.unwrap_or_else(|| "its file system".to_owned());
        let what = format!("cannot shift the ids of {shown}: {word} has no idmapped mounts");
        let hint = "move the image to ext4, xfs, btrfs or tmpfs, or let nsrun change the owners \
                    on its disk for good with --private-users-ownership=chown";
        (what, hint)
    };
    let kind = match error.raw_os_error() {
        Some(libc::EINVAL | libc::EOPNOTSUPP) => Kind::HostLacks,
        _ => Kind::Failed,
    };
    Error::new(kind, what).because(error).hint(hint)
}

fn path_of(root: &ImageRoot) -> PathBuf {
    let link = format!("/proc/self/fd/{}", root.as_fd().as_raw_fd());
    std::fs::read_link(link).unwrap_or_else(|_| "the image".into())
}

/// The mounts below the image's directory.
fn inner_mounts(root: &ImageRoot, path: &std::path::Path) -> Vec<MountLine> {
    let own = mountinfo::mount_id(root.as_fd());
    let mut mounts = mountinfo::own_mounts();
    mounts.retain(|mount| Some(mount.id) != own && mount.point.starts_with(path));
    mounts
}

fn words(mount: &MountLine) -> String {
    format!("{} on {}", mount.kind, mount.point.display())
}
