//! What a payload sees, may do, and cannot do to the host.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use nsrun_tests::done::run;
use nsrun_tests::facts::Facts;
use nsrun_tests::{Done, Must, Sandbox, nsrun, patience};

const PROBE: &str = "/sbin/init";

fn probe(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Done {
    let args = [&["run"], options, &[image, "--", PROBE], words].concat();
    sandbox.nsrun(&args)
}

fn facts(sandbox: &Sandbox, options: &[&str], image: &str) -> Facts {
    probe(sandbox, options, image, &["facts"]).success().json()
}

/// What became of each attempt.
fn attempts(sandbox: &Sandbox, options: &[&str], image: &str, what: &[&str]) -> Vec<String> {
    let words = [&["try"], what].concat();
    let done = probe(sandbox, options, image, &words).success();
    let lines: Vec<_> = done.stdout.lines().collect();
    assert_eq!(lines.len(), what.len(), "{done}");
    let outcome = |(line, what): (&&str, &&str)| {
        let rest = line
            .strip_prefix(*what)
            .and_then(|rest| rest.strip_prefix(": "));
        rest.must("find an attempt's outcome").to_owned()
    };
    lines.iter().zip(what).map(outcome).collect()
}

/// Fails with every attempt that did not end in one of the outcomes wanted of it.
#[track_caller]
fn assert_outcomes(sandbox: &Sandbox, options: &[&str], image: &str, cases: &[(&str, &[&str])]) {
    let what: Vec<_> = cases.iter().map(|(what, _)| *what).collect();
    let outcomes = attempts(sandbox, options, image, &what);
    let wrong: Vec<_> = cases
        .iter()
        .zip(&outcomes)
        .filter(|((_, wanted), outcome)| !wanted.contains(&outcome.as_str()))
        .map(|((what, wanted), outcome)| format!("{what}: {outcome}, wanted {wanted:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_standard_descriptors_are_open() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("fds", &[]);
    for options in [&[][..], &["--pid1"], &["--private-users=no"]] {
        // Descriptors that nsrun itself inherited go no further.
        let nsrun = sandbox.command(&[&["run"], options, &[&image, "--", PROBE, "facts"]].concat());
        let mut command = nsrun::plain("/bin/sh");
        command.args([
            "-c",
            "exec \"$@\" 3</ 9</etc/passwd 20</sys/fs/cgroup",
            "sh",
        ]);
        command.arg(nsrun.get_program()).args(nsrun.get_args());
        command.envs(
            nsrun
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        );
        let facts: Facts = run(command, patience(30)).success().json();
        let open: Vec<_> = facts.fds.keys().copied().collect();
        assert_eq!(open, [0, 1, 2], "{options:?}: {:?}", facts.fds);
    }
}

#[test]
fn no_host_process_or_path_is_in_sight() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("sight", &[]);
    let facts = facts(&sandbox, &[], &image);
    assert_eq!(facts.processes, [1, facts.pid]);
    assert_eq!(facts.root, "/");
    let us = std::process::id();
    assert_outcomes(
        &sandbox,
        &[],
        &image,
        &[
            (&format!("signal-0 {us}"), &["ESRCH"]),
            (&format!("exists /proc/{us}"), &["ENOENT"]),
            (
                &format!("exists /proc/1/root{}", sandbox.dir().display()),
                &["ENOENT", "EACCES"],
            ),
            (
                "exists /proc/1/root/../../etc/hostname",
                &["ENOENT", "EACCES"],
            ),
            ("exists /run/host/notify", &["ok", "ENOENT"]),
        ],
    );
}

#[test]
fn every_namespace_is_its_own_but_the_network_if_asked() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("spaces", &[]);
    let host = |kind: &str| {
        let link = fs::read_link(format!("/proc/thread-self/ns/{kind}"));
        link.must("read a namespace").to_string_lossy().into_owned()
    };
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let inside = facts(&sandbox, &[], &image);
    for kind in kinds {
        assert_ne!(inside.namespaces[kind], host(kind), "{kind}");
    }
    assert_eq!(inside.links, ["lo"]);
    let shared = facts(&sandbox, &["--network=host"], &image);
    assert_eq!(shared.namespaces["net"], host("net"));
    let privileged = facts(&sandbox, &["--private-users=no"], &image);
    assert_eq!(privileged.namespaces["user"], host("user"));
}

#[test]
fn ids_are_a_range_of_65536_that_nobody_has() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("ids", &[]);
    let map = facts(&sandbox, &[], &image).uid_map;
    let fields: Vec<u32> = map
        .split(' ')
        .map(|n| n.parse().must("read the map"))
        .collect();
    let [inside, base, count] = fields[..] else {
        panic!("one line of three numbers: {map}");
    };
    assert_eq!((inside, count), (0, 65536));
    assert_eq!(base % 65536, 0);
    assert!((524_288..=1_878_982_656).contains(&base), "{base}");
    let again = facts(&sandbox, &[], &image);
    assert_eq!(again.uid_map, map, "the same name gets the same range");
    assert_eq!(again.gid_map, map);
    let fixed = facts(&sandbox, &["--private-users=1000000000:65536"], &image);
    assert_eq!(fixed.uid_map, "0 1000000000 65536");
    let smallest = facts(&sandbox, &["--private-users=1000000000:6"], &image);
    assert_eq!(smallest.uid_map, "0 1000000000 6");
}

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
fn masks_and_read_only_parts_of_proc_and_sys_cannot_be_undone() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("masks", &[]);
    assert_outcomes(
        &sandbox,
        &[],
        &image,
        &[
            (
                "open-write /proc/sys/kernel/core_pattern",
                &["EROFS", "EACCES"],
            ),
            ("open-write /proc/sys/vm/drop_caches", &["EROFS", "EACCES"]),
            (
                "open-write /proc/sysrq-trigger",
                &["EROFS", "EACCES", "ENOENT"],
            ),
            ("read /proc/kcore", &["EPERM", "EACCES", "ENOENT", "empty"]),
            ("read /proc/keys", &["EPERM", "EACCES", "ENOENT", "empty"]),
            (
                "read /proc/timer_list",
                &["EPERM", "EACCES", "ENOENT", "empty"],
            ),
            ("open-write /proc/sys/net/ipv4/ip_forward", &["ok"]),
            ("umount /proc/sys", &["EINVAL"]),
            ("umount /proc/sys/net", &["EINVAL"]),
            ("umount /proc/kallsyms", &["EINVAL"]),
            ("umount /sys/kernel", &["EINVAL"]),
            ("detach /proc/sys", &["EINVAL"]),
            ("remount-rw /proc/sys", &["EPERM"]),
            ("remount-rw /sys/kernel", &["EPERM"]),
            ("mkdir /tmp/proc", &["ok"]),
            ("mount proc /tmp/proc", &["EPERM"]),
            ("mount sysfs /tmp/proc", &["EPERM"]),
            ("bind /proc /tmp/proc", &["EINVAL"]),
            ("rbind /proc /tmp/proc", &["ok"]),
            ("umount /tmp/proc/sys", &["EINVAL"]),
            (
                "open-write /tmp/proc/sys/kernel/core_pattern",
                &["EROFS", "EACCES"],
            ),
            (
                "open-write /sys/kernel/mm/transparent_hugepage/enabled",
                &["EROFS", "ENOENT", "EACCES"],
            ),
            ("unshare mount", &["ok"]),
            ("umount /proc/sys", &["EINVAL"]),
            ("unshare user,mount", &["ok"]),
            ("umount /proc/sys", &["EINVAL"]),
            ("remount-rw /proc/sys", &["EPERM"]),
            (
                "open-write /proc/sys/kernel/core_pattern",
                &["EROFS", "EACCES"],
            ),
        ],
    );
}

#[test]
fn nesting_brings_a_fresh_proc_and_keeps_the_masks() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("nesting", &[]);
    assert_outcomes(
        &sandbox,
        &["--nesting"],
        &image,
        &[
            ("umount /proc/sys", &["EINVAL"]),
            ("mkdir /tmp/proc", &["ok"]),
            ("mount proc /tmp/proc", &["ok"]),
            ("open-write /tmp/proc/sys/kernel/core_pattern", &["EACCES"]),
        ],
    );
}

#[test]
fn the_root_of_the_host_is_out_of_reach() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("escape", &[]);
    let sentinel = sandbox.dir().join("sentinel");
    fs::write(&sentinel, "").must("write a sentinel");
    let path = sentinel.display().to_string();
    let up = format!("../../../../../../../..{path}");
    assert_outcomes(
        &sandbox,
        &[],
        &image,
        &[
            (&format!("exists {path}"), &["ENOENT"]),
            ("mkdir /tmp/deeper", &["ok"]),
            ("chroot /tmp/deeper", &["ok"]),
            (&format!("exists {up}"), &["ENOENT"]),
            ("chdir ../../../..", &["ok"]),
            (&format!("exists .{path}"), &["ENOENT"]),
            ("chroot .", &["ok"]),
            (&format!("exists {path}"), &["ENOENT"]),
        ],
    );
    assert_outcomes(
        &sandbox,
        &[],
        &image,
        &[("pivot .", &["EINVAL"]), ("umount /", &["EINVAL"])],
    );
}

#[test]
fn device_nodes_are_the_harmless_ones() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("dev", &[]);
    let facts = facts(&sandbox, &[], &image);
    let nodes: BTreeMap<_, _> = facts
        .devices
        .iter()
        .filter(|(_, device)| device.mode & 0o170_000 == 0o020_000)
        .map(|(name, device)| (name.as_str(), device.number))
        .collect();
    for (name, number) in [
        ("null", (1, 3)),
        ("zero", (1, 5)),
        ("full", (1, 7)),
        ("random", (1, 8)),
        ("urandom", (1, 9)),
        ("tty", (5, 0)),
    ] {
        assert_eq!(nodes.get(name), Some(&number), "{name}");
        assert_eq!(facts.devices[name].mode & 0o777, 0o666, "{name}");
    }
    let known = [
        "null", "zero", "full", "random", "urandom", "tty", "fuse", "console", "ptmx",
    ];
    let others: Vec<_> = nodes.keys().filter(|name| !known.contains(name)).collect();
    assert!(others.is_empty(), "{others:?}");
    let blocks = facts
        .devices
        .values()
        .filter(|d| d.mode & 0o170_000 == 0o060_000);
    assert_eq!(blocks.count(), 0, "no block device");
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("ptmx", "pts/ptmx"),
    ] {
        let link = facts.devices[name].link.as_deref();
        assert_eq!(link, Some(target), "{name}");
    }
}

/// The number of the disk that the host's root lies on, or of any other block device.
fn host_disk() -> Option<(String, String)> {
    fs::read_dir("/sys/block")
        .ok()?
        .flatten()
        .find_map(|entry| {
            let number = fs::read_to_string(entry.path().join("dev")).ok()?;
            let (major, minor) = number.trim().split_once(':')?;
            Some((major.to_owned(), minor.to_owned()))
        })
}

#[test]
fn the_hosts_disk_cannot_be_opened() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("disk", &[]);
    let Some((major, minor)) = host_disk() else {
        nsrun_tests::skip!("the host has no block device");
    };
    let make = format!("mknod b {major} {minor} /dev/disk");
    let make_outside = format!("mknod b {major} {minor} /root/disk");
    let cases: [(&str, &[&str]); 2] = [(&make, &["EPERM"]), (&make_outside, &["EPERM"])];
    assert_outcomes(&sandbox, &[], &image, &cases);
    // With the host's users the kernel would allow the node; the device policy does not.
    let cases: [(&str, &[&str]); 4] = [
        (&make, &["EPERM", "ok"]),
        ("read /dev/disk", &["EPERM", "EACCES", "ENOENT"]),
        (&make_outside, &["EPERM", "ok"]),
        ("read /root/disk", &["EPERM", "EACCES", "ENOENT"]),
    ];
    assert_outcomes(&sandbox, &["--private-users=no"], &image, &cases);
}

#[test]
fn a_node_that_the_image_brings_cannot_be_opened() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("node", &[]);
    let Some((major, minor)) = host_disk() else {
        nsrun_tests::skip!("the host has no block device");
    };
    let mut command = nsrun::plain("/bin/mknod");
    command.arg(sandbox.image_root().join(&image).join("root/disk"));
    command.args(["b", &major, &minor]);
    run(command, patience(10)).success();
    for options in [&[][..], &["--private-users=no"]] {
        let cases: [(&str, &[&str]); 1] = [("read /root/disk", &["EPERM", "EACCES"])];
        assert_outcomes(&sandbox, options, &image, &cases);
    }
}

#[test]
fn the_host_is_not_changed_from_inside() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("host", &[]);
    assert_outcomes(
        &sandbox,
        &[],
        &image,
        &[
            ("hostname changed", &["ok"]),
            ("set-clock", &["EPERM"]),
            ("open-write /dev/kmsg", &["ENOENT", "EACCES", "EPERM", "ok"]),
            ("mount cgroup2 /tmp", &["ok", "EPERM", "EBUSY"]),
            ("list /sys/kernel/debug", &["ENOENT", "empty"]),
            ("list /sys/kernel/tracing", &["ENOENT", "empty"]),
            ("list /sys/kernel/security", &["ENOENT", "empty"]),
            ("list /sys/firmware", &["ENOENT", "empty"]),
        ],
    );
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
