//! What the compiled program says when a payload's calls are restricted.

use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS};

use super::interpreter::{Call, run};
use crate::caps::CapSet;
use crate::seccomp::abi::{Abi, Arch};
use crate::seccomp::table::SYSCALLS;
use crate::seccomp::{Filter, Restrictions, payload_filter};

const ARCHES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];
const ZERO: u32 = SECCOMP_RET_ERRNO;

fn error(number: i32) -> u32 {
    SECCOMP_RET_ERRNO | u32::try_from(number).unwrap()
}

fn restrictions(calls: &[&str], families: &[&str], suppress_sync: bool) -> Restrictions {
    Restrictions {
        calls: calls.iter().map(|text| text.parse().unwrap()).collect(),
        families: families.iter().map(|text| text.parse().unwrap()).collect(),
        suppress_sync,
    }
}

/// Every convention with the filter that it has, of a payload without capabilities.
fn each(restrictions: &Restrictions, check: impl Fn(Abi, &Filter)) {
    for arch in ARCHES {
        let filter = payload_filter(arch, CapSet::EMPTY, restrictions);
        for abi in arch.abis() {
            check(abi, &filter);
        }
    }
}

/// What the filter says to a call by its name; `None` where there is no such call.
fn verdict(filter: &Filter, abi: Abi, name: &str, args: [u64; 3]) -> Option<u32> {
    let call = SYSCALLS.iter().find(|call| call.name == name).unwrap();
    let number = call.number(abi)?;
    let call = Call::of(abi, number).with_args(args);
    Some(run(filter.instructions(), call))
}

#[test]
fn calls_are_refused_with_the_error_that_was_said_and_allowed_without_the_capability() {
    let calls = ["@clock", "~settimeofday mount:ENOSYS sync:0 umount2:kill"];
    each(&restrictions(&calls, &[], false), |abi, filter| {
        let told = |name| verdict(filter, abi, name, [0; 3]);
        assert_eq!(told("adjtimex"), Some(SECCOMP_RET_ALLOW), "{abi:?}");
        assert_eq!(told("settimeofday"), Some(error(libc::EPERM)), "{abi:?}");
        assert_eq!(told("mount"), Some(error(libc::ENOSYS)), "{abi:?}");
        assert_eq!(told("sync"), Some(ZERO), "{abi:?}");
        assert_eq!(told("umount2"), Some(SECCOMP_RET_KILL_PROCESS), "{abi:?}");
        assert_eq!(told("swapon"), Some(error(libc::EPERM)), "{abi:?}");
        assert_eq!(told("openat"), Some(SECCOMP_RET_ALLOW), "{abi:?}");
    });
}

/// The answers to sockets of the families, then to one for audit.
fn sockets(filter: &Filter, abi: Abi, families: &[i32]) -> Vec<u32> {
    let netlink = u64::try_from(libc::AF_NETLINK).unwrap();
    let audit = u64::try_from(libc::NETLINK_AUDIT).unwrap();
    let families = families.iter().map(|f| u64::try_from(*f).unwrap());
    let all = families.map(|family| [1 << 32 | family, 3, 0]);
    let all = all.chain([[netlink, 3, audit]]);
    all.map(|args| verdict(filter, abi, "socket", args).unwrap())
        .collect()
}

#[test]
fn sockets_are_of_the_families_that_they_may_have() {
    use libc::{AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX};
    let asked = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET];
    let (yes, no) = (SECCOMP_RET_ALLOW, error(libc::EAFNOSUPPORT));
    let table: [(&[&str], [u32; 5]); 6] = [
        (&[], [yes, yes, yes, yes, yes]),
        (&["none"], [no, no, no, no, no]),
        (&["AF_UNIX AF_INET6"], [yes, no, yes, no, no]),
        (&["AF_UNIX AF_NETLINK"], [yes, no, no, yes, no]),
        (&["~AF_INET AF_PACKET"], [yes, no, yes, yes, no]),
        (&["~AF_NETLINK", "~AF_INET"], [yes, no, yes, no, yes]),
    ];
    for (rules, expected) in table {
        each(&restrictions(&[], rules, false), |abi, filter| {
            let seen = sockets(filter, abi, &asked);
            assert_eq!(seen[..5], expected, "{rules:?} {abi:?}");
            assert_eq!(seen[5], no, "{rules:?} {abi:?}: audit");
        });
    }
}

#[test]
fn with_families_there_is_no_way_around_the_filter() {
    for rules in [&["AF_UNIX"][..], &[]] {
        let closed = !rules.is_empty();
        each(&restrictions(&[], rules, false), |abi, filter| {
            for name in ["socketcall", "io_uring_setup"] {
                let told = verdict(filter, abi, name, [0; 3]);
                let expected = match closed {
                    true => error(libc::ENOSYS),
                    false => SECCOMP_RET_ALLOW,
                };
                assert!(told.is_none_or(|told| told == expected), "{name} {abi:?}");
            }
        });
    }
}

#[test]
fn all_families_at_once_fit_into_a_program() {
    let names: Vec<String> = crate::seccomp::families::names().collect();
    let rule = format!("~{}", names.join(" "));
    each(&restrictions(&[], &[&rule], true), |abi, filter| {
        let seen = sockets(filter, abi, &[1, 16, 45, 46]);
        let no = error(libc::EAFNOSUPPORT);
        assert_eq!(seen, [no, no, no, SECCOMP_RET_ALLOW, no], "{abi:?}");
    });
}

#[test]
fn what_waits_for_the_disk_succeeds_at_once_if_it_has_a_descriptor() {
    let of_files = [
        "fsync",
        "fdatasync",
        "syncfs",
        "sync_file_range",
        "arm_sync_file_range",
    ];
    let no_file = u64::from(u32::MAX);
    each(&restrictions(&[], &[], true), |abi, filter| {
        for name in of_files {
            for (fd, expected) in [(0, ZERO), (7, ZERO), (no_file, SECCOMP_RET_ALLOW)] {
                let told = verdict(filter, abi, name, [fd, 0, 0]);
                assert!(told.is_none_or(|told| told == expected), "{name} {abi:?}");
            }
        }
        for name in ["sync", "msync"] {
            let told = verdict(filter, abi, name, [no_file, 0, 0]);
            assert_eq!(told, Some(ZERO), "{name} {abi:?}");
        }
    });
    each(&Restrictions::default(), |abi, filter| {
        let told = verdict(filter, abi, "fsync", [0; 3]);
        assert_eq!(told, Some(SECCOMP_RET_ALLOW));
    });
}
