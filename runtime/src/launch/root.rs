//! The image's mount for the payload: a detached clone of the host's, with ids shifted.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, Gid, StatVfsMountFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags};

use super::trees;

use crate::error::{Context, Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::mountinfo::{self, MountLine};
use crate::sys::mount::{idmap, set_attributes};

/// Clones the mount of the image with those in it, and shifts ids through the maps of `userns`.
pub(super) fn clone(
    root: &ImageRoot,
    userns: Option<BorrowedFd<'_>>,
    attributes: MountAttrFlags,
) -> Result<OwnedFd> {
    let tree = root.mount(true)?;
    if let Some(userns) = userns {
        idmap(tree.as_fd(), true, userns).map_err(|error| explain(error, root, userns))?;
    }
    // A clone of a shared mount is its peer: what the child mounts in it would show up on the host.
    set_attributes(
        tree.as_fd(),
        true,
        attributes,
        MountPropagationFlags::PRIVATE,
    )
    .cannot(|| "cut the image's mount off from the host's")?;
    Ok(tree)
}

/// Clones the mount of the image, shifts ids, and covers it by an overlay whose changes go to the
/// first of the directories; the other is the kernel's. What is mounted in the image is not seen.
pub(super) fn cover(
    root: &ImageRoot,
    userns: Option<BorrowedFd<'_>>,
    attributes: MountAttrFlags,
    changes: (BorrowedFd<'_>, BorrowedFd<'_>),
) -> Result<OwnedFd> {
    let what = || "cover the image by an overlay";
    let lower = match userns {
        None => root.as_fd().try_clone_to_owned().cannot(what)?,
        Some(userns) => {
            let tree = root.mount(false)?;
            idmap(tree.as_fd(), false, userns).map_err(|error| explain(error, root, userns))?;
            tree
        }
    };
    let tree = trees::stack(&[lower], Some(changes)).map_err(|errno| {
        let error = Error::new(Kind::HostLacks, format!("cannot {}", what()));
        error.because(std::io::Error::from(errno)).hint(
            "the kernel's log has more; with shifted ids it takes Linux 6.15, and a disk that takes \
             changes must have extended attributes",
        )
    })?;
    // A new mount has none of the restrictions of the one that it covers.
    let set = restrictions(root) | attributes;
    set_attributes(tree.as_fd(), true, set, MountPropagationFlags::PRIVATE).cannot(what)?;
    Ok(tree)
}

fn restrictions(root: &ImageRoot) -> MountAttrFlags {
    let pairs = [
        (StatVfsMountFlags::NOSUID, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (StatVfsMountFlags::NODEV, MountAttrFlags::MOUNT_ATTR_NODEV),
        (StatVfsMountFlags::NOEXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ];
    let flags = rustix::fs::fstatvfs(root).map_or(StatVfsMountFlags::empty(), |s| s.f_flag);
    let kept = pairs.into_iter().filter(|(flag, _)| flags.contains(*flag));
    kept.map(|(_, attribute)| attribute).collect()
}

/// Links of a root whose programs are all below `/usr`.
const MERGED: [(&str, &str); 4] = [
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
];

/// A root in memory for a machine that sees nothing of the image but what is mounted.
pub(super) fn empty(image: &ImageRoot, owner: u32) -> Result<OwnedFd> {
    for (name, _) in MERGED {
        if image.is_directory(name) {
            let what = format!("cannot make an empty root: /{name} of the image is not in /usr");
            return Err(
                Error::new(Kind::BadInput, what).hint("--volatile=overlay is for every image")
            );
        }
    }
    let make = || {
        let tree = memory(c"25%")?;
        for (name, target) in MERGED {
            if image.has(target) {
                rustix::fs::symlinkat(target, &tree, name)?;
                give(tree.as_fd(), name, owner)?;
            }
        }
        give(tree.as_fd(), "", owner)?;
        Ok::<_, Errno>(tree)
    };
    make().cannot(|| "make an empty root")
}

fn give(directory: BorrowedFd<'_>, name: &str, owner: u32) -> rustix::io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    let (uid, gid) = (Uid::from_raw(owner), Gid::from_raw(owner));
    rustix::fs::chownat(directory, name, Some(uid), Some(gid), flags)
}

/// A file system in memory that nobody sees yet, of at most `size`.
pub(crate) fn memory(size: &CStr) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [(c"mode", c"0755"), (c"size", size), (c"nr_inodes", c"1m")] {
        rustix::mount::fsconfig_set_string(&context, key, value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    rustix::mount::fsmount(&context, flags, MountAttrFlags::empty())
}

/// Tells which file system is to blame, and the way around it.
fn explain(error: std::io::Error, root: &ImageRoot, userns: BorrowedFd<'_>) -> Error {
    let path = path_of(root);
    let shown = path.display();
    let alone = root
        .mount(false)
        .map(|tree| idmap(tree.as_fd(), false, userns));
    let (what, hint) = if let Ok(Ok(())) = alone {
        let inner = inner_mounts(root, &path);
        let list: Vec<String> = inner.iter().map(words).collect();
        let what = format!(
            "cannot shift the ids of {shown}: one of the mounts in it has no idmapped mounts: {}",
            list.join(", ")
        );
        (what, "unmount them before the start")
    } else {
        let word = root.file_system();
        let word = word.unwrap_or_else(|| "its file system".to_owned());
        let what = format!("cannot shift the ids of {shown}: {word} has no idmapped mounts");
        let hint = if root.is_disk() {
            "it takes a newer kernel, or the host's users: --private-users=no"
        } else {
            "move the image to ext4, xfs, btrfs or tmpfs, or let nsrun change the owners on its disk \
             for good with --private-users-ownership=chown"
        };
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
