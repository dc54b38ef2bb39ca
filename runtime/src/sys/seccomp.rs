//! seccomp(2).

use libc::{sock_filter, sock_fprog};
use nix::errno::Errno;

/// Adds a filter to the calling thread. Allocates nothing; safe between clone3 and exec.
///
/// # Errors
/// The kernel's: EACCES without CAP_SYS_ADMIN or `no_new_privs`, EINVAL for a bad program.
pub(crate) fn install(program: &[sock_filter]) -> Result<(), Errno> {
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(Errno::EINVAL);
    };
    let program = sock_fprog {
        len,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: `program` names `len` instructions that live until the call returns; the
    // kernel copies them and does not write through the pointer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::caps::{CapSet, Capability};
    use crate::seccomp::{Arch, Restrictions, payload_filter};

    /// The error of a call with arguments that no call accepts.
    fn errno_of(number: libc::c_long) -> Errno {
        // SAFETY: the arguments are null pointers and -1, which the calls that the
        // tests make check before they do anything.
        let result = unsafe { libc::syscall(number, -1, 0, 0, 0, 0, 0) };
        Errno::result(result).expect_err("no call accepts the arguments")
    }

    #[test]
    fn the_kernel_takes_the_filter_and_obeys_it() {
        let filter = payload_filter(Arch::NATIVE, CapSet::EMPTY, &Restrictions::default());
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:\t"));
        let effective = CapSet::from_mask(u64::from_str_radix(hex.unwrap(), 16).unwrap());
        // A filter binds its thread, and the thread ends with the test.
        thread::spawn(move || {
            if !effective.has(Capability::CAP_SYS_ADMIN) {
                assert_eq!(filter.install(), Err(Errno::EACCES));
                return;
            }
            assert_eq!(errno_of(libc::SYS_perf_event_open), Errno::EFAULT);
            filter.install().unwrap();
            assert_eq!(errno_of(libc::SYS_perf_event_open), Errno::EPERM);
            assert_eq!(errno_of(libc::SYS_bpf), Errno::EPERM);
            assert_eq!(errno_of(libc::SYS_openat), Errno::EFAULT);
            assert_eq!(errno_of(999), Errno::ENOSYS);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_program_that_is_too_long_is_refused_before_it_is_cut() {
        let stop = sock_filter {
            code: 6,
            jt: 0,
            jf: 0,
            k: libc::SECCOMP_RET_ALLOW,
        };
        assert_eq!(install(&vec![stop; 0x1_0001]), Err(Errno::EINVAL));
    }
}
