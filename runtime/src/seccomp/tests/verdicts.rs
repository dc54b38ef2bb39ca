//! What the compiled program says to every call.

use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO};
use proptest::prelude::*;

use super::interpreter::{Call, run};
use crate::caps::{CapSet, Capability, Isolation, bounding_set};
use crate::seccomp::abi::{Abi, Arch};
use crate::seccomp::families::Families;
use crate::seccomp::policy::{self, Range, Verdict};
use crate::seccomp::restrictions::Resolved;
use crate::seccomp::table::SYSCALLS;
use crate::seccomp::{Filter, Restrictions, payload_filter, program};

const EPERM: u32 = SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const EAFNOSUPPORT: u32 = SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32;

const ARCHES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

fn default_caps() -> CapSet {
    let isolation = Isolation {
        private_users: true,
        private_network: true,
    };
    bounding_set(isolation, CapSet::EMPTY, CapSet::EMPTY, CapSet::all())
}

fn filter_of(abi: Abi, caps: CapSet) -> Filter {
    let arch = ARCHES.into_iter().find(|a| a.abis().contains(&abi));
    payload_filter(arch.unwrap(), caps, &Restrictions::default())
}

/// Names that get EPERM with the capabilities `caps`, sorted.
fn denied(abi: Abi, caps: CapSet) -> Vec<&'static str> {
    let filter = filter_of(abi, caps);
    let mut names: Vec<_> = SYSCALLS
        .iter()
        .filter(|call| {
            call.number(abi)
                .is_some_and(|n| run(filter.instructions(), Call::of(abi, n)) == EPERM)
        })
        .map(|call| call.name)
        .collect();
    names.sort_unstable();
    names
}

/// What nspawn 262 refuses on x86_64 with its default capabilities, as measured, less
/// the additions that `docs/seccomp.md` lists.
const DENIED_ON_X86_64: &[&str] = &[
    "acct",
    "adjtimex",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "fanotify_init",
    "fanotify_mark",
    "fchroot",
    "finit_module",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "listns",
    "lookup_dcookie",
    "lsm_set_self_attr",
    "modify_ldt",
    "open_by_handle_at",
    "perf_event_open",
    "pidfd_getfd",
    "process_mrelease",
    "quotactl",
    "quotactl_fd",
    "settimeofday",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "ustat",
];

#[test]
fn the_default_refuses_on_x86_64_what_the_documentation_lists() {
    assert_eq!(denied(Abi::X86_64, default_caps()), DENIED_ON_X86_64);
}

#[test]
fn other_abis_differ_only_by_calls_that_they_alone_have_or_lack() {
    let expect = |abi, lacks: &[&str], has: &[&'static str]| {
        let mut names: Vec<_> = DENIED_ON_X86_64.to_vec();
        names.retain(|n| !lacks.contains(n));
        names.extend(has);
        names.sort_unstable();
        assert_eq!(denied(abi, default_caps()), names, "{abi:?}");
    };
    let time64 = ["clock_adjtime64", "clock_settime64"];
    let i386 = ["sgetmask", "ssetmask", "stime", "vm86", "vm86old"];
    let pci = ["pciconfig_iobase", "pciconfig_read", "pciconfig_write"];
    expect(
        Abi::I386,
        &["kexec_file_load"],
        &[&time64[..], &i386].concat(),
    );
    expect(
        Abi::Aarch64,
        &["ioperm", "iopl", "modify_ldt", "sysfs", "ustat"],
        &[],
    );
    expect(
        Abi::Arm,
        &["ioperm", "iopl", "modify_ldt"],
        &[&time64[..], &pci].concat(),
    );
}

#[test]
fn a_capability_opens_its_calls_and_no_others() {
    let opened_by = |capability: Capability| {
        let with = denied(Abi::X86_64, CapSet::from([capability]));
        let mut without = denied(Abi::X86_64, CapSet::EMPTY);
        without.retain(|name| !with.contains(name));
        without
    };
    let expected: &[(Capability, &[&str])] = &[
        (
            Capability::CAP_SYS_TIME,
            &["adjtimex", "clock_adjtime", "clock_settime", "settimeofday"],
        ),
        (
            Capability::CAP_SYS_MODULE,
            &["delete_module", "finit_module", "init_module"],
        ),
        (Capability::CAP_SYS_RAWIO, &["ioperm", "iopl"]),
        (Capability::CAP_SYS_PACCT, &["acct"]),
        (
            Capability::CAP_SYS_PTRACE,
            &["process_vm_readv", "process_vm_writev", "ptrace"],
        ),
        (Capability::CAP_SYS_BOOT, &["reboot"]),
        (Capability::CAP_SYSLOG, &["syslog"]),
        (Capability::CAP_SYS_TTY_CONFIG, &["vhangup"]),
        (Capability::CAP_BPF, &["bpf"]),
    ];
    for capability in CapSet::all().iter() {
        let listed = expected.iter().find(|(c, _)| *c == capability);
        let names: &[&str] = listed.map_or(&[], |(_, names)| names);
        assert_eq!(opened_by(capability), names, "{capability}");
    }
}

#[test]
fn every_number_gets_the_tables_verdict() {
    for abi in Abi::ALL {
        let filter = filter_of(abi, default_caps());
        let refused = denied(abi, default_caps());
        for number in (0..1000).chain(0xf_0000..0xf_0010) {
            let call = SYSCALLS.iter().find(|c| c.number(abi) == Some(number));
            let expected = match call {
                None => ENOSYS,
                Some(call) if refused.contains(&call.name) => EPERM,
                Some(_) => SECCOMP_RET_ALLOW,
            };
            let verdict = run(filter.instructions(), Call::of(abi, number));
            assert_eq!(verdict, expected, "{abi:?} {number} {call:?}");
        }
    }
}

#[test]
fn x32_and_numbers_out_of_range_do_not_exist() {
    let filter = filter_of(Abi::X86_64, CapSet::all());
    for number in (0..1000).map(|n| 0x4000_0000 | n).chain([u32::MAX]) {
        let call = Call::of(Abi::X86_64, number);
        assert_eq!(run(filter.instructions(), call), ENOSYS, "{number:#x}");
    }
}

#[test]
fn calls_of_a_foreign_architecture_do_not_exist() {
    for arch in ARCHES {
        let filter = payload_filter(arch, CapSet::all(), &Restrictions::default());
        let foreign = Abi::ALL.into_iter().filter(|a| !arch.abis().contains(a));
        for abi in foreign {
            for number in 0..1000 {
                let verdict = run(filter.instructions(), Call::of(abi, number));
                assert_eq!(verdict, ENOSYS, "{arch:?} {abi:?} {number}");
            }
        }
    }
}

#[test]
fn only_the_audit_socket_is_refused_and_high_words_do_not_hide_it() {
    const HIGH: u64 = 1 << 32;
    let netlink = u64::try_from(libc::AF_NETLINK).unwrap();
    let audit = u64::try_from(libc::NETLINK_AUDIT).unwrap();
    let route = u64::try_from(libc::NETLINK_ROUTE).unwrap();
    let inet = u64::try_from(libc::AF_INET).unwrap();
    for abi in Abi::ALL {
        let filter = filter_of(abi, default_caps());
        let socket = SYSCALLS.iter().find(|c| c.name == "socket").unwrap();
        let call = Call::of(abi, socket.number(abi).unwrap());
        let verdict = |args| run(filter.instructions(), call.with_args(args));
        assert_eq!(verdict([netlink, 3, audit]), EAFNOSUPPORT);
        assert_eq!(verdict([HIGH | netlink, 3, HIGH | audit]), EAFNOSUPPORT);
        assert_eq!(verdict([netlink, 3, route]), SECCOMP_RET_ALLOW);
        assert_eq!(verdict([inet, 3, audit]), SECCOMP_RET_ALLOW);
    }
}

#[test]
fn programs_are_small() {
    for arch in ARCHES {
        let filter = payload_filter(arch, default_caps(), &Restrictions::default());
        let len = filter.instructions().len();
        assert!(len < 200, "{arch:?}: {len} instructions");
    }
}

#[test]
fn jumps_reach_across_a_table_of_any_size() {
    let alternate = |n: u32| match n % 3 {
        0 => Verdict::Allow,
        1 => Verdict::Deny,
        _ => Verdict::Unknown,
    };
    let range = |n| Range {
        first: n,
        verdict: alternate(n),
    };
    let ranges: Vec<Range> = (0..2000).map(range).collect();
    let code = program::assemble(
        &[(Abi::X86_64, ranges.clone()), (Abi::I386, ranges)],
        &Families::Any,
    );
    for abi in [Abi::X86_64, Abi::I386] {
        for number in 0..2000 {
            let expected = match alternate(number) {
                Verdict::Allow => SECCOMP_RET_ALLOW,
                Verdict::Deny => EPERM,
                _ => ENOSYS,
            };
            assert_eq!(
                run(&code, Call::of(abi, number)),
                expected,
                "{abi:?} {number}"
            );
        }
    }
}

proptest! {
    #[test]
    fn the_program_is_the_policy_for_any_capabilities(mask in any::<u64>(), number in 0u32..600) {
        let caps = CapSet::from_mask(mask);
        for abi in Abi::ALL {
            let ranges = policy::ranges(abi, caps, &Resolved::default());
            let range = ranges.iter().rev().find(|r| r.first <= number).unwrap();
            let expected = match range.verdict {
                Verdict::Allow | Verdict::Socket => SECCOMP_RET_ALLOW,
                Verdict::Deny => EPERM,
                Verdict::Unknown => ENOSYS,
                other => panic!("{other:?} without restrictions"),
            };
            let filter = filter_of(abi, caps);
            prop_assert_eq!(run(filter.instructions(), Call::of(abi, number)), expected);
        }
    }
}
