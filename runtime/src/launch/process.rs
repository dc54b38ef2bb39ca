//! What a process does to itself before it becomes a payload. Allocates nothing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::child::errno;
use super::op::User;

/// Becomes root of the current user namespace, with no other groups.
pub(crate) fn become_root() -> Result<(), Errno> {
    let (uid, gid) = (rustix::process::Uid::ROOT, rustix::process::Gid::ROOT);
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// Ends with the parent. Every change of ids clears this.
pub(crate) fn die_with_parent() -> Result<(), Errno> {
    let signal = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(signal)
}

/// Makes the current cgroup the root of what is seen, and if so wanted an own network.
///
/// Not part of the clone: older kernels would take the parent's cgroup for the root, and a network
/// namespace takes the kernel as long as all others together; the parent can go on meanwhile.
pub(crate) fn unshare_own(network: bool) -> Result<(), Errno> {
    use nix::sched::CloneFlags;
    let mut namespaces = CloneFlags::CLONE_NEWCGROUP;
    namespaces.set(CloneFlags::CLONE_NEWNET, network);
    nix::sched::unshare(namespaces).map_err(|e| Errno::from_raw_os_error(e as i32))
}

/// Brings lo up in the current network namespace.
pub(crate) fn loopback_up() -> Result<(), Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let (family, kind) = (AddressFamily::INET, SocketType::DGRAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    crate::sys::net::loopback_up(socket.as_fd()).map_err(errno)
}

/// A new session; `console`, if there is one, becomes its terminal and the standard streams.
pub(crate) fn session(console: Option<&OwnedFd>) -> Result<(), Errno> {
    rustix::process::setsid()?;
    let Some(console) = console else {
        return Ok(());
    };
    rustix::process::ioctl_tiocsctty(console)?;
    rustix::stdio::dup2_stdin(console)?;
    rustix::stdio::dup2_stdout(console)?;
    rustix::stdio::dup2_stderr(console)
}

/// Reduces all sets to `keep`, the inheritable and ambient to `ambient`. With a `user`, becomes that
/// user, who owns the console then and has the ambient capabilities alone.
pub(crate) fn restrict(
    keep: u64,
    ambient: u64,
    user: Option<&User>,
    console: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let keep = CapabilitySet::from_bits_retain(keep);
    let ambient = CapabilitySet::from_bits_retain(ambient);
    rustix::thread::clear_ambient_capability_set()?;
    reduce_bounding_set(keep)?;
    let own = match user {
        Some(user) => {
            if let Some(console) = console {
                rustix::fs::fchown(console, Some(user.uid), None)?;
            }
            // For the ambient ones; the set that follows ends it.
            rustix::thread::set_keep_capabilities(true)?;
            become_user(user)?;
            ambient
        }
        None => keep,
    };
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: own,
            permitted: own,
            inheritable: ambient,
        },
    )?;
    for one in single(ambient) {
        rustix::thread::configure_capability_in_ambient_set(one, true)?;
    }
    Ok(())
}

fn become_user(user: &User) -> Result<(), Errno> {
    let (uid, gid) = (user.uid, user.gid);
    rustix::thread::set_thread_groups(&user.groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

fn reduce_bounding_set(keep: CapabilitySet) -> Result<(), Errno> {
    for one in single(CapabilitySet::from_bits_retain(u64::MAX)) {
        if keep.contains(one) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(one) {
            // The kernel knows no capability of this number or above.
            Err(Errno::INVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// The capabilities of a set, one by one in the order of their numbers.
fn single(set: CapabilitySet) -> impl Iterator<Item = CapabilitySet> {
    let numbers = (0..64).map(|number| CapabilitySet::from_bits_retain(1 << number));
    numbers.filter(move |one| set.contains(*one))
}
