//! The operations that a launch consists of, as plain data.
//!
//! Everything is computed before the clone: paths are C strings, flags are bits. One operation
//! is one system call or a fixed short sequence of them.

use std::ffi::CString;

use rustix::fs::{Gid, Uid};
use rustix::mount::{MountAttrFlags, MountPropagationFlags};
use rustix::process::Resource;

use super::slot::Slot;
use crate::ownership::IdMap;
use crate::plan::tuning::{CpuList, OomScore};
use crate::sys::exec::CVec;

/// Where a path begins: in the namespace of the caller, or at a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) base: Option<Slot>,
    pub(crate) path: CString,
}

/// One step of a path inside the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// The path so far, without a leading slash.
    pub(crate) path: CString,
    /// Its last name.
    pub(crate) name: CString,
}

/// What is made where nothing is to mount on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Directory,
    File,
    /// It must be there.
    Nothing,
}

/// How the ids of a tree are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    None,
    /// `length` ids from `from` on as those from `to` on.
    All {
        from: u32,
        to: u32,
        length: u32,
    },
    /// One user and group of the host as others.
    One {
        from: (u32, u32),
        to: u32,
    },
    /// Those of the source's owner as `base`.
    Root {
        base: u32,
    },
    /// Those of the source's owner as those of the target's owner in the image, whose ids `tree`
    /// shifts; as `base` if there is none.
    Owner {
        base: u32,
        target: CString,
        tree: IdMap,
    },
}

/// One directory of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) source: usize,
    pub(crate) shift: Shift,
}

/// The directory that takes the changes of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upper {
    pub(crate) source: usize,
    /// Path in the image and how the image shows ids, if it is the image's.
    pub(crate) inside: Option<(CString, Shift)>,
}

/// What a tree shows; sources are numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Bind {
        source: usize,
        recursive: bool,
        shift: Shift,
        /// Ids stay the host's where the file system has no idmapped mounts.
        may_stay: bool,
    },
    /// The lowest layer first.
    Overlay {
        layers: Vec<Layer>,
        upper: Option<Upper>,
    },
}

/// A tree that the parent makes of what the host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeOp {
    pub(crate) content: Content,
    pub(crate) attributes: MountAttrFlags,
    /// Where it will be, for messages.
    pub(crate) target: CString,
}

/// What a failure of one operation means for the launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The launch fails.
    Must,
    /// Nothing, if the object does not exist on this host or in this image.
    IfPresent,
    /// Nothing: the operation improves on something that works without it.
    Try,
}

/// Numbers of a user of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) groups: Vec<Gid>,
}

/// One operation of the child and what its failure means.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) need: Need,
}

/// What the child does, in the order of the script.
#[derive(Debug)]
pub(crate) enum Op {
    /// Waits for the descriptors that the parent makes once the child exists.
    Receive { slots: Vec<Slot> },
    /// Cuts the copied mount tree off from the host's.
    CutPropagation,
    /// Becomes root of the user namespace, with no other groups.
    Become,
    /// Ends with the supervisor. Cleared by every change of ids, so set after it.
    DieWithParent,
    /// Makes the current cgroup the root of what the payload sees, and an own network.
    UnshareOwn { network: bool },
    /// Brings lo up.
    LoopbackUp,
    /// Makes a file system instance.
    NewFs {
        kind: CString,
        options: Vec<(CString, CString)>,
        attributes: MountAttrFlags,
        into: Slot,
    },
    /// Clones a mount or file as a detached mount.
    CloneTree {
        from: Place,
        recursive: bool,
        into: Slot,
    },
    /// Changes attributes of a mount.
    SetAttributes {
        tree: Slot,
        recursive: bool,
        set: MountAttrFlags,
        propagation: MountPropagationFlags,
    },
    /// Attaches a detached mount.
    Attach { tree: Slot, at: Place },
    /// Clones what lies on two mount points, with all masks locked.
    LockTrees {
        paths: [CString; 2],
        into: [Slot; 2],
    },
    /// Makes sure that a real directory is there.
    Directory { at: Place, mode: u32 },
    /// Makes a new file.
    File {
        at: Place,
        mode: u32,
        content: Vec<u8>,
    },
    /// Makes a fifo, socket or device node.
    Node { at: Place, mode: u32, device: u64 },
    /// Makes a symbolic link, in place of one that is there.
    Link { at: Place, target: CString },
    /// Removes a file or link.
    Unlink { at: Place },
    /// Fills a regular file of the image, made if missing, never through a symbolic link.
    Fill { at: Place, content: Vec<u8> },
    /// Writes to a file that exists.
    Write { at: Place, content: Vec<u8> },
    /// Takes a tree that the parent made before the clone.
    Take {
        tree: usize,
        into: Slot,
        target: CString,
    },
    /// Finds a path inside a tree to mount on, and makes what is missing of it.
    Target {
        root: Slot,
        path: Vec<Component>,
        make: Make,
    },
    /// Clones what the machine has at a path.
    CloneInside { path: CString, recursive: bool },
    /// Clones a node like the target that nobody can open. Nothing is to be mounted on one already.
    Cover { from: Slot, target: CString },
    /// Mounts on the target.
    Mount { target: CString },
    /// Opens a terminal in the payload's own devpts.
    OpenConsole,
    /// Makes the root tree the root and drops the host's.
    Pivot,
    /// Sets the propagation of the whole tree.
    Propagation(MountPropagationFlags),
    /// Binds the notification socket.
    BindNotify { path: CString },
    /// What uname(2) tells of the processor.
    Personality(u64),
    /// Sets the host name.
    Hostname(CString),
    /// Default actions for all signals, none blocked.
    ResetSignals,
    /// File mode creation mask.
    Umask(u32),
    /// A session keyring of its own.
    Keyring,
    /// A new session; the console, if there is one, becomes its terminal and the standard streams.
    Session,
    /// Reduces all capability sets to `keep`, the inheritable and ambient to `ambient`, and becomes
    /// the user if there is one, who has the ambient ones alone.
    Capabilities {
        keep: u64,
        ambient: u64,
        user: Option<User>,
    },
    /// No privileges through execve.
    NoNewPrivileges,
    /// Filters system calls.
    Seccomp(usize),
    /// Nothing but the standard streams passes through execve.
    CloseOnExec,
    /// Hands descriptors to the parent.
    Send { slots: Vec<Slot> },
    /// Waits for the parent's word to go on.
    AwaitStart,
    /// Working directory.
    Chdir(CString),
    /// Stays as PID 1 and runs the payload as its child.
    Stub,
    /// Becomes the payload.
    Exec,
}

/// What the parent does, in the order of the script.
#[derive(Debug)]
pub(crate) enum ParentOp {
    /// Makes a tree of what the host has.
    Tree(TreeOp),
    /// Opens the network namespace that the child is made in.
    JoinNetwork(CString),
    /// Makes the child.
    Clone { namespaces: u64 },
    /// Writes the user and group map.
    WriteIdMaps { base: u32, length: u32 },
    /// Clones the image's tree and shifts its ids.
    CloneRoot {
        map: IdMap,
        /// Attributes of the mount beside those that it has.
        attributes: MountAttrFlags,
        /// Changes go elsewhere.
        overlay: bool,
    },
    /// Makes a root in memory, of root of the machine, with links to `/usr` where the image has
    /// such.
    EmptyRoot { owner: u32 },
    /// Makes a sysfs of the host's network namespace.
    HostSysfs,
    /// Hands the trees to the child.
    SendTrees,
    /// Gives the payload its cgroup, without the devices that it must not use.
    Cgroup,
    /// Sets a resource limit, or as much of it as the host lets.
    Limit {
        resource: Resource,
        soft: Option<u64>,
        hard: Option<u64>,
    },
    /// Sets how much the kernel would like to kill the payload.
    OomScore(OomScore),
    /// Sets the processors that the payload runs on.
    Processors(CpuList),
    /// Makes the links and addresses.
    Network,
    /// Waits until the child has built everything.
    AwaitReady,
    /// Stores what other commands need to find the machine.
    Record,
    /// Lets the payload start.
    Start,
    /// Waits until the payload runs.
    AwaitExec,
}

/// What becomes of the child in the end.
#[derive(Debug)]
pub(crate) struct Program {
    /// Path inside the root.
    pub(crate) path: CString,
    pub(crate) argv: CVec,
    pub(crate) env: CVec,
}
