//! `mount_setattr(2)`, which rustix lacks.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::mount::{MountAttrFlags, MountPropagationFlags};

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Changes attributes of the mount behind `tree`, of all mounts below it too if `recursive`.
pub(crate) fn set_attributes(
    tree: BorrowedFd<'_>,
    recursive: bool,
    set: MountAttrFlags,
    propagation: MountPropagationFlags,
) -> io::Result<()> {
    let attr = MountAttr {
        set: u64::from(set.bits()),
        propagation: u64::from(propagation.bits()),
        ..MountAttr::default()
    };
    setattr(tree, recursive, &attr)
}

/// Shifts the ids of the detached mount behind `tree` through the maps of `userns`.
pub(crate) fn idmap(
    tree: BorrowedFd<'_>,
    recursive: bool,
    userns: BorrowedFd<'_>,
) -> io::Result<()> {
    let attr = MountAttr {
        set: u64::from(MountAttrFlags::MOUNT_ATTR_IDMAP.bits()),
        userns: u64::from(userns.as_raw_fd().unsigned_abs()),
        ..MountAttr::default()
    };
    setattr(tree, recursive, &attr)
}

fn setattr(tree: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated empty string, `attr` is a mount_attr of the given size.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const *attr,
            size_of::<MountAttr>(),
        )
    };
    super::check(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_attr_has_the_layout_of_the_kernel() {
        assert_eq!(size_of::<MountAttr>(), 32);
        assert_eq!(size_of::<MountAttr>(), size_of::<libc::mount_attr>());
    }
}
