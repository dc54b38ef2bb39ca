//! What the unpacking process may call.

use std::thread;

use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO};

use super::interpreter::{Call, run};
use crate::seccomp::abi::{Abi, Arch};
use crate::seccomp::importer_filter;
use crate::seccomp::table::SYSCALLS;

fn verdict(abi: Abi, name: &str) -> u32 {
    let arch = [Arch::X86_64, Arch::Aarch64]
        .into_iter()
        .find(|arch| arch.abis().contains(&abi));
    let call = SYSCALLS.iter().find(|call| call.name == name).unwrap();
    let number = call.number(abi).unwrap();
    let filter = importer_filter(arch.unwrap());
    run(filter.instructions(), Call::of(abi, number))
}

#[test]
fn files_and_threads_are_allowed() {
    for abi in [Abi::X86_64, Abi::Aarch64] {
        for name in [
            "openat2",
            "mknodat",
            "fchown",
            "fsetxattr",
            "clone",
            "futex",
            "sendto",
        ] {
            assert_eq!(verdict(abi, name), SECCOMP_RET_ALLOW, "{abi:?} {name}");
        }
    }
}

#[test]
fn what_leads_out_of_the_jail_is_refused() {
    let refused = SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    for abi in Abi::ALL {
        for name in [
            "execve",
            "execveat",
            "socket",
            "socketpair",
            "mount",
            "open_tree",
            "move_mount",
            "pivot_root",
            "chroot",
            "unshare",
            "setns",
            "ptrace",
            "process_vm_readv",
            "pidfd_open",
            "kill",
            "bpf",
            "keyctl",
            "perf_event_open",
            "io_uring_setup",
            "open_by_handle_at",
            "capset",
            "setuid",
            "setns",
        ] {
            assert_eq!(verdict(abi, name), refused, "{abi:?} {name}");
        }
        let unknown = SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
        assert_eq!(verdict(abi, "clone3"), unknown);
    }
}

#[test]
fn threads_start_and_allocate_under_the_filter() {
    let filter = importer_filter(Arch::NATIVE);
    thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        filter.install().unwrap();
        let sum = thread::spawn(|| {
            vec![1_u8; 1 << 20]
                .iter()
                .map(|&b| u64::from(b))
                .sum::<u64>()
        });
        assert_eq!(sum.join().unwrap(), 1 << 20);
        assert!(std::process::Command::new("/bin/true").status().is_err());
        assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_err());
    })
    .join()
    .unwrap();
}
