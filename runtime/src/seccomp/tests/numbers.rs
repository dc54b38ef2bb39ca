//! The table and the kernel's structures, against libseccomp's and libc's.

use std::mem::{offset_of, size_of};

use libseccomp::{ScmpArch, ScmpSyscall};

use crate::seccomp::abi::Abi;
use crate::seccomp::table::SYSCALLS;

/// Calls that the oldest supported libseccomp (2.5) may lack.
const NEWER_THAN_LIBSECCOMP: &[(&str, u32)] = &[
    ("cachestat", 451),
    ("fchmodat2", 452),
    ("map_shadow_stack", 453),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("futex_requeue", 456),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_get_self_attr", 459),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("mseal", 462),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
    ("file_getattr", 468),
    ("file_setattr", 469),
    ("listns", 470),
    ("rseq_slice_yield", 471),
    ("fchroot", 472),
];

/// What it may lack on one ABI.
const MISSING_ON_ONE_ABI: &[(Abi, &str, u32)] = &[
    (Abi::X86_64, "uretprobe", 335),
    (Abi::X86_64, "uprobe", 336),
    (Abi::Arm, "memfd_secret", 447),
];

/// What libseccomp names, but the kernel does not implement.
const UNIMPLEMENTED: &[&str] = &[
    "_sysctl",
    "afs_syscall",
    "bdflush",
    "break",
    "create_module",
    "epoll_ctl_old",
    "epoll_wait_old",
    "ftime",
    "get_kernel_syms",
    "getpmsg",
    "gtty",
    "idle",
    "lock",
    "mpx",
    "nfsservctl",
    "prof",
    "profil",
    "putpmsg",
    "query_module",
    "security",
    "stty",
    "tuxcall",
    "ulimit",
    "uselib",
    "usr26",
    "usr32",
    "vserver",
];

fn oracle(abi: Abi) -> ScmpArch {
    match abi {
        Abi::X86_64 => ScmpArch::X8664,
        Abi::I386 => ScmpArch::X86,
        Abi::Aarch64 => ScmpArch::Aarch64,
        Abi::Arm => ScmpArch::Arm,
    }
}

/// What libseccomp calls `number`.
fn name_in_libseccomp(abi: Abi, number: u32) -> Option<String> {
    let raw = ScmpSyscall::from_raw_syscall(number.try_into().unwrap());
    raw.get_name_by_arch(oracle(abi)).ok()
}

#[test]
fn numbers_are_those_of_libseccomp() {
    for abi in Abi::ALL {
        for call in SYSCALLS {
            let Some(number) = call.number(abi) else {
                continue;
            };
            match name_in_libseccomp(abi, number) {
                Some(theirs) => assert_eq!(call.name, theirs, "{abi:?} {number}"),
                None => assert!(
                    NEWER_THAN_LIBSECCOMP.contains(&(call.name, number))
                        || MISSING_ON_ONE_ABI.contains(&(abi, call.name, number)),
                    "{abi:?} {call:?}"
                ),
            }
        }
    }
}

#[test]
fn no_call_that_libseccomp_knows_is_missing() {
    for abi in Abi::ALL {
        for number in (0..1000).chain(0xf_0000..0xf_0010) {
            let Some(name) = name_in_libseccomp(abi, number) else {
                continue;
            };
            let ours = SYSCALLS.iter().find(|c| c.number(abi) == Some(number));
            match ours {
                Some(call) => assert_eq!(call.name, name, "{abi:?} {number}"),
                None => assert!(UNIMPLEMENTED.contains(&&*name), "{abi:?} {number} {name}"),
            }
        }
    }
}

#[test]
fn newer_calls_have_one_number_on_all_abis() {
    for &(name, number) in NEWER_THAN_LIBSECCOMP {
        let call = SYSCALLS.iter().find(|c| c.name == name).unwrap();
        for abi in Abi::ALL {
            assert_eq!(call.number(abi), Some(number), "{abi:?} {name}");
        }
    }
}

#[test]
fn names_and_numbers_are_unique() {
    for (i, call) in SYSCALLS.iter().enumerate() {
        for other in &SYSCALLS[i + 1..] {
            assert_ne!(call.name, other.name);
            for abi in Abi::ALL {
                let both = call.number(abi).zip(other.number(abi));
                assert!(
                    both.is_none_or(|(a, b)| a != b),
                    "{abi:?} {call:?} {other:?}"
                );
            }
        }
    }
}

#[test]
fn the_kernels_structures_are_laid_out_as_the_program_reads_them() {
    assert_eq!(size_of::<libc::sock_filter>(), 8);
    assert_eq!(offset_of!(libc::sock_filter, jt), 2);
    assert_eq!(offset_of!(libc::sock_filter, k), 4);
    assert_eq!(offset_of!(libc::seccomp_data, nr), 0);
    assert_eq!(offset_of!(libc::seccomp_data, arch), 4);
    assert_eq!(offset_of!(libc::seccomp_data, args), 16);
}

#[test]
fn audit_numbers_are_those_of_the_kernels_headers() {
    let numbers = Abi::ALL.map(Abi::audit_arch);
    let headers = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028];
    assert_eq!(numbers, headers);
}
