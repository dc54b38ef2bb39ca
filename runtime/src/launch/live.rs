//! A mount for a machine that runs already: the same trees and targets as at a start, in other
//! steps.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::CloneFlags;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use super::compile::custom::{components, trees};
use super::op::{Component, Make, TreeOp};
use super::slot::{Slot, Slots};
use super::{custom, mounts, trees as made};
use crate::error::Result;
use crate::facts::ImageRoot;
use crate::ownership::IdMap;
use crate::plan::mounts::{Planned, Shape};
use crate::range::Range;

/// What the tree to be locked is called on its stage.
const STAGED: &CStr = c"tree";

/// Where the stage is put in a copy of the host's mounts: a directory of every host.
const STAGE: &CStr = c"/sys";

/// A mount that is ready to be put into a machine.
#[derive(Debug)]
pub(crate) struct Live {
    tree: OwnedFd,
    target: Vec<Component>,
    shape: Shape,
    make: Make,
}

impl Live {
    /// Makes the tree of what `source` is. `root` is the machine's root directory, as this process
    /// sees it. If `make`, a target that is missing is made.
    pub(crate) fn new(
        planned: &Planned,
        make: bool,
        range: Option<Range>,
        source: OwnedFd,
        root: &ImageRoot,
    ) -> Result<Self> {
        // The machine's device list, if it has one, does not know them.
        let no_devices = true;
        let planned_alone = std::slice::from_ref(planned);
        let ops: Vec<TreeOp> = trees(planned_alone, no_devices, range, IdMap::None)?;
        let from = made::Materials {
            root,
            sources: &[source],
            changes: None,
            works: &[],
        };
        let trees: Result<Vec<OwnedFd>> = ops.iter().map(|op| made::make(op, from)).collect();
        let tree = trees?.pop().ok_or_else(|| {
            crate::Error::new(crate::Kind::Usage, "only files of the host can be bound")
        })?;
        Ok(Self {
            tree,
            target: components(&planned.mount.target)?,
            shape: planned.shape,
            make: match (make, planned.shape) {
                (false, _) => Make::Nothing,
                (true, Shape::Directory) => Make::Directory,
                (true, Shape::File) => Make::File,
            },
        })
    }

    /// Finds the target in the machine, whose root is this process's.
    pub(crate) fn find(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut slots = Slots::new();
        slots.put(Slot::Root, rustix::fs::open(c"/", flags, Mode::empty())?);
        custom::target(&mut slots, Slot::Root, &self.target, self.make)?;
        let found = slots.take(Slot::Target)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
        match (self.shape, kind) {
            (Shape::Directory, FileType::Directory) => Ok(found),
            (Shape::Directory, _) => Err(Errno::NOTDIR),
            (Shape::File, FileType::Directory) => Err(Errno::ISDIR),
            (Shape::File, _) => Ok(found),
        }
    }

    /// Leaves the tree on a stage in a copy of the host's mounts, which is the working directory
    /// then. [`Live::locked`] takes it up.
    pub(crate) fn stage(&self) -> Result<(), Errno> {
        own_mounts()?;
        mounts::cut_propagation()?;
        let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        // The machine's root, who is nobody here, must get through.
        rustix::mount::fsconfig_set_string(&context, c"mode", c"0755")?;
        rustix::mount::fsconfig_create(&context)?;
        let (flags, inert) = (
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID,
        );
        let stage = rustix::mount::fsmount(&context, flags, inert)?;
        let whole = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&stage, c"", CWD, STAGE, whole)?;
        rustix::process::fchdir(&stage)?;
        match self.shape {
            Shape::Directory => rustix::fs::mkdirat(CWD, STAGED, Mode::RWXU)?,
            Shape::File => {
                let kind = FileType::RegularFile;
                rustix::fs::mknodat(CWD, STAGED, kind, Mode::RUSR, 0)?;
            }
        }
        rustix::mount::move_mount(&self.tree, c"", CWD, STAGED, whole)
    }

    /// The staged tree with its attributes locked: for that, the mounts are copied into a namespace
    /// of the machine's user namespace, in which this process is by now.
    pub(crate) fn locked(&self) -> Result<OwnedFd, Errno> {
        own_mounts()?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        rustix::mount::open_tree(CWD, STAGED, flags)
    }

    /// The tree as it was made.
    pub(crate) fn plain(&self) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.tree, 3)
    }
}

fn own_mounts() -> Result<(), Errno> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).map_err(|e| Errno::from_raw_os_error(e as i32))
}

/// Mounts a tree on what [`Live::find`] has found.
pub(crate) fn mount(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, c"", target, c"", flags)
}

/// Takes off the mount whose root `at` is. What is open in it stays open. `proc_fds` is
/// `/proc/self/fd` of a procfs in which this process has a number: umount2(2) takes nothing but
/// paths, and the machine's procfs does not know this process.
pub(crate) fn detach(at: BorrowedFd<'_>, proc_fds: &OwnedFd) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    rustix::process::fchdir(proc_fds.as_fd())?;
    rustix::mount::unmount(at.as_raw_fd().to_string(), UnmountFlags::DETACH)
}
