//! What of the host is in sight, and whose ids the payload has.

use std::fs;

use nsrun_tests::done::run;
use nsrun_tests::facts::Facts;
use nsrun_tests::{Must, Sandbox, nsrun, patience};

use super::{PROBE, assert_outcomes, facts};

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
