//! Capabilities, system calls, signals and keys.

use std::fs;
use std::path::Path;
use std::process::Command;

use nsrun_tests::done::run;
use nsrun_tests::{Must, Sandbox, patience};

use super::facts;

/// Bits of capabilities by their numbers in the kernel's header.
fn bits(numbers: &[u32]) -> u64 {
    numbers.iter().fold(0, |set, number| set | 1 << number)
}

#[test]
fn capabilities_are_those_of_nspawn() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("caps", &[]);
    const NET_ADMIN: u64 = 1 << 12;
    // CHOWN to SETPCAP, LINUX_IMMUTABLE to NET_BROADCAST, NET_RAW, IPC_OWNER, SYS_CHROOT to
    // SYS_BOOT without PACCT and RAWIO, NICE, RESOURCE, TTY_CONFIG to AUDIT_CONTROL, SETFCAP.
    let wanted = bits(&[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 18, 19, 21, 22, 23, 24, 26, 27, 28, 29, 30,
        31,
    ]);
    // What the host cannot give, it cannot hand on.
    let status = fs::read_to_string("/proc/self/status").must("read our status");
    let host = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:\t"));
    let host = u64::from_str_radix(host.must("find our bounding set"), 16).must("read it");
    for (options, set) in [
        (&["--network=private"][..], wanted | NET_ADMIN),
        // Powerless on the host's network, in a user namespace.
        (&["--network=host"], wanted & !bits(&[10])),
        (&["--network=host", "--private-users=no"], wanted),
        (
            &["--drop-capability=CAP_SYS_ADMIN,mknod"],
            (wanted | NET_ADMIN) & !bits(&[21, 27]),
        ),
        (
            &["--capability=CAP_SYS_TIME"],
            wanted | NET_ADMIN | bits(&[25]),
        ),
    ] {
        let facts = facts(&sandbox, options, &image);
        for key in ["CapBnd", "CapEff", "CapPrm"] {
            assert_eq!(
                facts.set(key),
                set & host,
                "{options:?} {key}: {:x}",
                facts.set(key)
            );
        }
        assert_eq!(facts.set("CapAmb"), 0, "{options:?}");
        assert_eq!(facts.set("CapInh") & !facts.set("CapBnd"), 0, "{options:?}");
    }
}

#[test]
fn the_payload_is_filtered_limited_and_bound_to_its_supervisor() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("process", &[]);
    let facts = facts(&sandbox, &["--pid1"], &image);
    assert_eq!(facts.status["Seccomp"], "2");
    assert_eq!(facts.death_signal, Some(9));
    assert_eq!(facts.set("SigBlk"), 0);
    assert_eq!(facts.status["Umask"], "0022");
    assert_eq!(facts.cwd, "/");
    assert_eq!(facts.cgroup, "/");
    assert_eq!(facts.status["Groups"], "", "no group of the host's");
}

#[test]
fn signals_are_as_a_program_expects_them() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("signals", &["trixie"]);
    for options in [&[][..], &["--pid1"]] {
        let words = ["--", "cat", "/proc/self/status"];
        let args = [&["run"], options, &[&image], &words].concat();
        let done = sandbox.nsrun(&args).success();
        for key in ["SigBlk", "SigIgn", "SigCgt"] {
            let line = done
                .stdout
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{key}:\t")));
            let set = u64::from_str_radix(line.must(key), 16).must("read a set of signals");
            // 32 and 33 are the C library's own, and its posix_spawn leaves them ignored.
            assert_eq!(set & !(0b11 << 31), 0, "{options:?} {done}");
        }
    }
}

/// Calls by number, made by perl, which every Debian tree has.
fn syscall(sandbox: &Sandbox, image: &str, options: &[&str], call: &str) -> String {
    let script = format!("my $r = syscall({call}); print $r < 0 ? $! + 0 : 'ok';");
    let args = [&["run"], options, &[image, "--", "perl", "-e", &script]].concat();
    sandbox.nsrun(&args).success().stdout
}

#[test]
#[cfg(target_arch = "x86_64")]
fn system_calls_are_refused_by_the_policy() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("calls", &["trixie"]);
    const EPERM: &str = "1";
    const ENOSYS: &str = "38";
    const EAFNOSUPPORT: &str = "97";
    for (what, call, wanted) in [
        ("kexec_load", "246, 0, 0, 0, 0", EPERM),
        ("init_module", "175, 0, 0, 0", EPERM),
        ("bpf", "321, 0, 0, 0", EPERM),
        ("perf_event_open", "298, 0, 0, 0, 0, 0", EPERM),
        ("open_by_handle_at", "304, 0, 0, 0", EPERM),
        ("swapon", "167, 0, 0", EPERM),
        ("settimeofday", "164, 0, 0", EPERM),
        ("a number nobody knows", "999", ENOSYS),
        ("x32's getpid", "0x40000000 + 39", ENOSYS),
        ("an audit socket", "41, 16, 3, 9", EAFNOSUPPORT),
        ("a route socket", "41, 16, 3, 0", "ok"),
        ("getpid", "39", "ok"),
    ] {
        assert_eq!(syscall(&sandbox, &image, &[], call), wanted, "{what}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn keys_of_the_host_are_not_in_the_payloads_ring() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("keys", &["trixie"]);
    // KEYCTL_GET_KEYRING_ID of the session's ring.
    let call = "250, 0, -3, 0";
    let script = format!("print syscall({call});");
    let done = sandbox
        .nsrun(&["run", &image, "--", "perl", "-e", &script])
        .success();
    let mut perl = Command::new("perl");
    perl.args(["-e", &script]);
    let ours = run(perl, patience(10));
    assert_ne!(done.stdout, ours.stdout);
}

#[test]
fn setuid_files_work_inside() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("setuid", &["trixie"]);
    let script = "cp /usr/bin/id /root/id; chmod 4755 /root/id; chmod 755 /root
        setpriv --reuid=1000 --regid=1000 --clear-groups /root/id -u";
    let image_root = sandbox.image_root().join(&image);
    let done = sandbox
        .nsrun(&["run", &image, "--", "sh", "-ec", script])
        .success();
    assert_eq!(done.stdout.trim(), "0");
    // The host's disk holds a setuid file of root's: nobody else may come near.
    let parent = fs::metadata(image_root.parent().must("find the image root")).must("look");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&parent) & 0o077, 0);
    assert!(Path::new(&image_root).join("root/id").exists());
}
