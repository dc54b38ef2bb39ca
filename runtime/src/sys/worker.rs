//! A forked worker process that runs a closure and nothing else.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::unistd::{ForkResult, Pid};

/// Exit status of a worker that panicked.
pub(crate) const PANICKED: u8 = 101;

/// Forks; the child runs `work`, exits with what it returns and never comes back here.
///
/// The child is a full process: it may allocate and start threads. For that the caller
/// should be single-threaded. If it is not, the child still can allocate (the C library
/// takes its allocator's locks around fork), but must not use standard output, standard
/// error or the environment, whose locks another thread may have held.
pub(crate) fn spawn(work: impl FnOnce() -> u8) -> io::Result<Pid> {
    // SAFETY: the child calls only `work` and `_exit`; `work` keeps to the rule above.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let status = catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED);
            // SAFETY: ends the process; no destructor or exit handler of the parent's may run here.
            unsafe { libc::_exit(status.into()) }
        }
    }
}

/// Closes every descriptor but standard input, output, error and those in `keep`.
pub(crate) fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut numbers: Vec<i32> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    numbers.sort_unstable();
    for gap in gaps(&numbers) {
        close_range(gap)?;
    }
    Ok(())
}

/// The ranges above 2 that hold none of `sorted`.
fn gaps(sorted: &[i32]) -> Vec<RangeInclusive<u32>> {
    let mut from = 3_u32;
    let mut gaps = Vec::new();
    for number in sorted.iter().filter_map(|&n| u32::try_from(n).ok()) {
        if number > from {
            gaps.push(from..=number - 1);
        }
        from = from.max(number + 1);
    }
    gaps.push(from..=u32::MAX);
    gaps
}

fn close_range(range: RangeInclusive<u32>) -> io::Result<()> {
    // SAFETY: takes integers only. Only a worker calls this, and it uses none of the
    // descriptors that it inherited but the kept ones.
    let result = unsafe { libc::syscall(libc::SYS_close_range, *range.start(), *range.end(), 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};

    #[test]
    fn a_worker_exits_with_what_its_closure_returns() {
        let pid = spawn(|| 7).unwrap();
        assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 7));
    }

    #[test]
    fn gaps_leave_out_what_is_kept() {
        assert_eq!(gaps(&[]), [3..=u32::MAX]);
        assert_eq!(gaps(&[3, 4, 9]), [5..=8, 10..=u32::MAX]);
        assert_eq!(gaps(&[0, 2, 7, 7]), [3..=6, 8..=u32::MAX]);
    }
}
