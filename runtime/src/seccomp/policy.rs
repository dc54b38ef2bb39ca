//! Who may call what.

use super::abi::Abi;
use super::restrictions::Resolved;
use super::table::{Group, SYSCALLS, Syscall};
use crate::caps::{CapSet, Capability};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel decides.
    Allow,
    /// Known and refused: EPERM.
    Deny,
    /// The payload's C library is to think that the kernel lacks it: ENOSYS.
    Unknown,
    /// Allowed for the families that sockets may have, but for
    /// `socket(AF_NETLINK, _, NETLINK_AUDIT)`: EAFNOSUPPORT, which says that there is no
    /// audit. The kernel's own answers in a container make login(1) and PAM fail.
    Socket,
    /// Refused with this error; with 0 it seems to have succeeded.
    Errno(u16),
    /// The process ends.
    Kill,
    /// Seems to have succeeded if the first argument can be a file's descriptor.
    ZeroForFile,
}

/// Numbers from `first` up to the next range's, and what happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) verdict: Verdict,
}

/// The verdicts for a payload with the capabilities `caps`, less and more what is said of it.
pub(super) fn ranges(abi: Abi, caps: CapSet, said: &Resolved) -> Vec<Range> {
    ranges_by(abi, |call| {
        said.verdict(call.name, verdict(call.group, caps))
    })
}

/// The verdicts on all 2^32 numbers of `abi`: ranges from 0 on, each unlike its neighbours.
pub(super) fn ranges_by(abi: Abi, verdict: impl Fn(&Syscall) -> Verdict) -> Vec<Range> {
    let mut known: Vec<(u32, Verdict)> = SYSCALLS
        .iter()
        .filter_map(|call| Some((call.number(abi)?, verdict(call))))
        .collect();
    known.sort_unstable_by_key(|&(number, _)| number);

    let mut ranges: Vec<Range> = Vec::new();
    let mut push = |first, verdict| {
        if ranges.last().is_none_or(|last| last.verdict != verdict) {
            ranges.push(Range { first, verdict });
        }
    };
    let mut next = 0;
    for (number, verdict) in known {
        if number > next {
            push(next, Verdict::Unknown);
        }
        push(number, verdict);
        next = number + 1;
    }
    push(next, Verdict::Unknown);
    ranges
}

fn verdict(group: Group, caps: CapSet) -> Verdict {
    match access(group) {
        Access::Always => Verdict::Allow,
        Access::Sockets => Verdict::Socket,
        Access::With(capability) if caps.has(capability) => Verdict::Allow,
        Access::With(_) | Access::Never => Verdict::Deny,
    }
}

enum Access {
    Always,
    Sockets,
    With(Capability),
    Never,
}

fn access(group: Group) -> Access {
    match group {
        Group::BasicIo
        | Group::FileSystem
        | Group::Mount
        | Group::Chown
        | Group::Sync
        | Group::Aio
        | Group::IoEvent
        | Group::Ipc
        | Group::NetworkIo
        | Group::Memory
        | Group::Memlock
        | Group::Pkey
        | Group::Futex
        | Group::Process
        | Group::Identity
        | Group::Setuid
        | Group::Resources
        | Group::Signal
        | Group::Time
        | Group::Timer
        | Group::Keyring
        | Group::Sandbox => Access::Always,
        Group::Socket => Access::Sockets,
        Group::Acct => Access::With(Capability::CAP_SYS_PACCT),
        Group::Bpf => Access::With(Capability::CAP_BPF),
        Group::Clock => Access::With(Capability::CAP_SYS_TIME),
        Group::Module => Access::With(Capability::CAP_SYS_MODULE),
        Group::Ptrace => Access::With(Capability::CAP_SYS_PTRACE),
        Group::RawIo => Access::With(Capability::CAP_SYS_RAWIO),
        Group::Reboot => Access::With(Capability::CAP_SYS_BOOT),
        Group::Syslog => Access::With(Capability::CAP_SYSLOG),
        Group::Tty => Access::With(Capability::CAP_SYS_TTY_CONFIG),
        Group::CpuEmulation
        | Group::Debug
        | Group::Host
        | Group::Kexec
        | Group::Obsolete
        | Group::Swap => Access::Never,
    }
}
