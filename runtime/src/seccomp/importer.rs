//! What the process that unpacks an archive may call: files, memory, threads.
//!
//! It reads hostile bytes, so the list is what its decoders, its C library and its own
//! code need, and no more.

use super::abi::Abi;
use super::policy::{Range, Verdict, ranges_by};
use super::table::{Group, Syscall};

/// Of groups that are refused otherwise: threads and their end, and one's own numbers.
const ALLOWED: [&str; 19] = [
    "clone",
    "exit",
    "exit_group",
    "get_robust_list",
    "getcpu",
    "getpid",
    "getrandom",
    "gettid",
    "membarrier",
    "prctl",
    "restart_syscall",
    "rseq",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "tgkill",
    "uname",
    "sched_getaffinity",
    "sched_yield",
];

/// Of groups that are allowed otherwise.
const REFUSED: [&str; 8] = [
    "chdir",
    "fchdir",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "memfd_secret",
    "name_to_handle_at",
    "userfaultfd",
];

/// The verdicts on all numbers of `abi`.
pub(super) fn ranges(abi: Abi) -> Vec<Range> {
    ranges_by(abi, verdict)
}

fn verdict(call: &Syscall) -> Verdict {
    match call.name {
        // Its flags lie in memory where no filter sees them; the C library takes clone then.
        "clone3" => Verdict::Unknown,
        name if ALLOWED.contains(&name) => Verdict::Allow,
        name if REFUSED.contains(&name) => Verdict::Deny,
        _ => match call.group {
            Group::BasicIo
            | Group::FileSystem
            | Group::Chown
            | Group::Sync
            | Group::IoEvent
            | Group::Memory
            | Group::Futex
            | Group::Signal
            | Group::Time => Verdict::Allow,
            _ => Verdict::Deny,
        },
    }
}
