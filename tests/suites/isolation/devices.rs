//! Device nodes, whoever made them.

use std::collections::BTreeMap;
use std::fs;

use nsrun_tests::done::run;
use nsrun_tests::{Sandbox, nsrun, patience};

use super::{assert_outcomes, facts, probe};

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
fn without_a_device_list_the_nodes_of_an_image_are_dead() {
    let mut sandbox = Sandbox::new();
    let script = nsrun::without("bpf", sandbox.dir());
    sandbox = sandbox.with_binary(script);
    let image = sandbox.tiny("unlisted", &[]);
    let Some((major, minor)) = host_disk() else {
        nsrun_tests::skip!("the host has no block device");
    };
    let mut command = nsrun::plain("/bin/mknod");
    command.arg(sandbox.image_root().join(&image).join("root/disk"));
    command.args(["b", &major, &minor]);
    run(command, patience(10)).success();
    let make = format!("mknod b {major} {minor} /root/other");
    let cases: [(&str, &[&str]); 8] = [
        ("read /root/disk", &["EACCES"]),
        (&make, &["EPERM"]),
        ("remount-rw /", &["EPERM"]),
        ("mkdir /root/again", &["ok"]),
        ("rbind / /root/again", &["ok"]),
        ("remount-rw /root/again", &["EPERM"]),
        ("read /root/again/root/disk", &["EACCES"]),
        ("read /dev/null", &["empty"]),
    ];
    assert_outcomes(&sandbox, &[], &image, &cases);
    let warned = probe(&sandbox, &[], &image, &["try", "read /root/disk"]).success();
    warned.expect_stderr("no device node of the image");
    let refused = probe(&sandbox, &["--private-users=no"], &image, &["facts"]);
    refused
        .expect_status(125)
        .expect_stderr("CONFIG_CGROUP_BPF");
}
