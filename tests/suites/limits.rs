//! Limits of whole machines, and registration, where the host has less than they take.

use std::fs;
use std::path::Path;

use nsrun_tests::{Must, Sandbox, nsrun, residue, skip};

const READY: &str = "notify READY=1";

#[test]
fn a_limit_without_its_controller_is_refused_by_name() {
    let root = residue::v2_root().must("find the cgroup v2 root");
    let controllers = fs::read_to_string(root.join("cgroup.controllers"));
    if controllers.must("read the controllers").contains("memory") {
        skip!("the host has the memory controller in version 2");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("limit", &[READY]);
    let words = ["boot", "--property=MemoryMax=64M", &image];
    let _ = sandbox
        .nsrun(&words)
        .expect_status(5)
        .expect_stderr("cannot set MemoryMax")
        .expect_stderr("no controller memory");
    sandbox.assert_clean();
}

#[test]
fn limits_are_shown_before_they_are_set() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("shown", &[READY]);
    let words = [
        "boot",
        "--dry-run",
        "--property=CPUQuota=20%",
        "--register",
        &image,
    ];
    let plan = sandbox.nsrun(&words).success().stdout;
    assert!(
        plan.contains("property: CPUQuota (cpu.max: 20000 100000)\n"),
        "{plan}"
    );
    assert!(plan.contains("machined: is told\n"), "{plan}");
}

#[test]
fn words_without_sense_are_refused() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("words", &[READY]);
    for (word, why) in [
        ("--property=", "no NAME=VALUE"),
        ("--property=MemoryMax", "no NAME=VALUE"),
        ("--property=MemoryMax=lots", "a size such as 512M"),
        ("--property=PrivateTmp=yes", "there are MemoryMin"),
        ("--slice=", "invalid slice"),
        ("--slice=../x", "invalid slice"),
        ("--register=perhaps", "yes, no or auto"),
    ] {
        let done = sandbox.nsrun(&["boot", word, &image]).expect_status(2);
        let _ = done.expect_stderr(why);
    }
}

#[test]
fn a_slice_takes_systemd() {
    if Path::new("/run/systemd/system").exists() {
        skip!("PID 1 of this host is systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("slice", &[READY]);
    let done = sandbox.nsrun(&["boot", "--slice=other", &image]);
    let _ = done.expect_status(5).expect_stderr("other.slice");
    sandbox.assert_clean();
}

#[test]
fn registration_fails_without_machined_unless_it_need_not_be() {
    if Path::new("/run/systemd/system").exists() && nsrun::installed("machinectl").is_some() {
        skip!("the host has machined");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("alone", &[READY]);
    let done = sandbox.nsrun(&["start", "--register", &image]);
    let _ = done.expect_status(5).expect_stderr("--register=auto");
    sandbox.assert_clean();
    let words = ["start", "--wait=ready", "--register=auto", &image];
    let _ = sandbox.nsrun(&words).success();
    let _ = sandbox.nsrun(&["stop", &image]).success();
}
