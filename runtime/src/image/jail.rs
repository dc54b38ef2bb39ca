//! What the process that reads a hostile archive can see and do: one directory, nothing else.

use std::os::fd::{BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change,
    mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, chdir, fchdir, getppid, getrlimit, pivot_root,
    set_dumpable_behavior, set_parent_process_death_signal, setrlimit, umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::error::{Context, Error, Kind, Result};
use crate::seccomp::{Arch, importer_filter};
use crate::sys::worker::close_all_but;

/// What unpacking needs: owners, modes, setgid of foreign groups, writing into
/// directories of other owners, file capabilities.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::SETFCAP);

/// Most open files: two for each level of a tree being copied, and some.
const OPEN_FILES: u64 = 4096;

/// The kernel's overflow ids, which own nothing.
const USER: Uid = Uid::from_raw(65_534);
const GROUP: Gid = Gid::from_raw(65_534);

/// Dies with the parent, from now on. Call it first.
pub(super) fn tie_to_parent(parent: Pid) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).cannot(|| "tie the unpacking to nsrun")?;
    if getppid() != Some(parent) {
        return Err(Error::new(
            Kind::Failed,
            "nsrun ended before the unpacking began",
        ));
    }
    Ok(())
}

/// Confines this process to `dir`, with no descriptor but `keep` and at most `memory`
/// bytes of data. Returns the directory as this process sees it now.
pub(super) fn enter(dir: BorrowedFd<'_>, keep: &[BorrowedFd<'_>], memory: u64) -> Result<OwnedFd> {
    silence().cannot(|| "detach the unpacking from the terminal")?;
    // Descriptors go on naming the old namespace's mounts; the working directory moves along.
    fchdir(dir).cannot(|| "enter the directory to unpack into")?;
    let flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC;
    unshare(flags)
        .cannot(|| "make namespaces for the unpacking")
        .map_err(|error| error.kinded(Kind::HostLacks))?;
    change_root().cannot(|| "confine the unpacking to its directory")?;
    close_all_but(keep).cannot(|| "close inherited files")?;
    umask(Mode::empty());
    limit(memory).cannot(|| "limit the unpacking")?;
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open("/", how, Mode::empty()).cannot(|| "open the directory to unpack into")?;
    drop_privileges().cannot(|| "give up privileges")?;
    importer_filter(Arch::NATIVE)
        .install()
        .cannot(|| "filter the unpacking's system calls")?;
    Ok(root)
}

/// Detaches this process from the terminal and closes all descriptors but `keep`.
pub(super) fn keep_only(keep: &[BorrowedFd<'_>]) -> Result<()> {
    silence().cannot(|| "detach the transfer from the terminal")?;
    close_all_but(keep).cannot(|| "close inherited files")
}

/// Makes this process one of the user `nobody`, for good.
pub(super) fn become_nobody() -> Result<()> {
    let what = || "give up privileges";
    nix::unistd::setgroups(&[]).cannot(what)?;
    nix::unistd::setresgid(GROUP, GROUP, GROUP).cannot(what)?;
    nix::unistd::setresuid(USER, USER, USER).cannot(what)?;
    set_no_new_privs(true).cannot(what)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).cannot(what)
}

/// A subverted process shall not write to, or push input into, the user's terminal.
fn silence() -> rustix::io::Result<()> {
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)
}

/// Makes the working directory the root of the mount namespace and detaches all else.
fn change_root() -> rustix::io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)?;
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, ".", clone)?;
    move_mount(&tree, "", CWD, ".", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    fchdir(&tree)?;
    // With both paths the same the old root ends up below the new one, see pivot_root(2).
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    let inert = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_remount("/", inert, "")
}

fn limit(memory: u64) -> rustix::io::Result<()> {
    lower(Resource::Core, 0)?;
    lower(Resource::Nofile, OPEN_FILES)?;
    lower(Resource::Data, memory)?;
    // The caller's limit on file sizes is not meant for an image.
    let size = getrlimit(Resource::Fsize).maximum;
    let unlimited = Rlimit {
        current: size,
        maximum: size,
    };
    setrlimit(Resource::Fsize, unlimited)
}

/// Sets both limits to `value`, or to the hard limit if that is lower.
fn lower(resource: Resource, value: u64) -> rustix::io::Result<()> {
    let hard = getrlimit(resource)
        .maximum
        .map_or(value, |hard| hard.min(value));
    let limit = Rlimit {
        current: Some(hard),
        maximum: Some(hard),
    };
    setrlimit(resource, limit)
}

/// Keeps what reading and writing trees takes, and nothing else.
pub(super) fn drop_privileges() -> rustix::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let held = rustix::thread::capabilities(None)?;
    for capability in CapabilitySet::all().difference(KEPT).iter() {
        match remove_capability_from_bounding_set(capability) {
            // A kernel older than the capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    let kept = held.permitted & KEPT;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )
}
