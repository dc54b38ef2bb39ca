//! Many machines at once.

use std::fs;

use nsrun_tests::done::run;
use nsrun_tests::{Must, Sandbox, many, patience};
use serde_json::Value;

const INSTANCES: &str = "/proc/sys/fs/inotify/max_user_instances";

fn instances() -> String {
    fs::read_to_string(INSTANCES).must("read a limit of inotify")
}

#[test]
fn each_of_many_systems_runs_without_a_failed_unit_and_none_leaves_anything() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("image", &["demo", "--net=none"]);
    let before = instances();
    let soak = std::env::var_os("NSRUN_TEST_SOAK").is_some();
    let names = sandbox.start_many(&image, many::number(if soak { 100 } else { 4 }));
    let listed: Value = sandbox.nsrun(&["--json", "list"]).success().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(names.len()));
    let all: Value = sandbox.nsrun(&["--json", "status"]).success().json();
    for machine in all.as_array().must("list the machines") {
        let manager = &machine["manager"];
        assert_eq!(machine["state"], "running", "{machine}");
        assert_eq!(
            manager["failed_units"].as_array().map(Vec::len),
            Some(0),
            "{manager}"
        );
        assert_eq!(manager["state"], "running", "{manager}");
    }
    let mut command = sandbox.command(&["stop"]);
    command.arg("--all");
    let stopped = run(command, patience(900)).success();
    assert_eq!(
        stopped.stdout.matches("has stopped").count(),
        names.len(),
        "{stopped}"
    );
    assert_eq!(instances(), before, "what was raised is put back");
    assert_eq!(sandbox.nsrun(&["--json", "list"]).success().stdout, "[]\n");
}
