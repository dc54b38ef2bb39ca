//! Thin, typed system calls that nix and rustix lack. The only module with `unsafe`.
//!
//! Everything that a child calls between `clone3` and `execve` neither allocates nor
//! takes a lock: the child has a copy of the parent's memory, but only one thread.

pub(crate) mod bpf;
pub(crate) mod clone;
pub(crate) mod credentials;
pub(crate) mod exec;
pub(crate) mod loops;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod net;
pub(crate) mod ns;
pub(crate) mod ofd;
pub(crate) mod pidfd;
pub(crate) mod process;
pub(crate) mod readiness;
pub(crate) mod seal;
pub(crate) mod seccomp;
pub(crate) mod signal;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod trees;
pub(crate) mod worker;

use std::io;

/// Turns the `-1` convention of `libc::syscall` into a result.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
