//! Which system calls a payload may make: an allow-list by purpose and capability,
//! compiled to one classic BPF program per architecture.
//!
//! The policy is that of systemd-nspawn 262 with the additions of `docs/seccomp.md`.
//! Calls that are known but not allowed fail with EPERM, numbers that are not known
//! with ENOSYS, so that the C library falls back to older calls.

mod abi;
mod families;
mod groups;
mod importer;
mod policy;
mod program;
mod restrictions;
mod table;

use nix::errno::Errno;

pub use abi::Arch;
pub use restrictions::{CallRule, FamilyRule, Restrictions};

use self::families::Families;
use self::restrictions::Resolved;
use crate::caps::CapSet;

/// A classic BPF program for seccomp(2).
#[derive(Clone, PartialEq, Eq)]
pub struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// The program as the kernel reads it.
    #[must_use]
    pub fn instructions(&self) -> &[libc::sock_filter] {
        &self.0
    }

    /// Puts the filter on the calling thread, for good, and on all that it will start.
    ///
    /// One system call that allocates nothing, fit for a child between clone3 and exec.
    /// `no_new_privs` is neither needed nor set: set-user-ID programs go on to work.
    ///
    /// # Errors
    /// EACCES without CAP_SYS_ADMIN in the thread's user namespace; EINVAL if the kernel
    /// has no seccomp filters.
    pub fn install(&self) -> Result<(), Errno> {
        crate::sys::seccomp::install(&self.0)
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} instructions)", self.0.len())
    }
}

/// The filter for a payload with the bounding set `caps` on `arch`, covering the
/// 32-bit calls of the same processor as well, and changed by `restrictions`.
#[must_use]
pub fn payload_filter(arch: Arch, caps: CapSet, restrictions: &Restrictions) -> Filter {
    let said = Resolved::of(restrictions);
    let verdicts = arch
        .abis()
        .map(|abi| (abi, policy::ranges(abi, caps, &said)));
    Filter(program::assemble(&verdicts, &said.families))
}

/// The filter for the process that unpacks an archive, on `arch`. It can use the files
/// and the socket that it has, open others, and start threads; no programs, no sockets.
#[must_use]
pub(crate) fn importer_filter(arch: Arch) -> Filter {
    let verdicts = arch.abis().map(|abi| (abi, importer::ranges(abi)));
    Filter(program::assemble(&verdicts, &Families::Any))
}

#[cfg(test)]
mod tests;
