//! `nsrun install-compat`.

use std::fs;

use nsrun_tests::done::run;
use nsrun_tests::{Must, Sandbox, nsrun, patience};

const NAMES: [&str; 3] = ["importctl", "machinectl", "systemd-nspawn"];

fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(dir).must("read a directory").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn links_are_made_and_work_and_go() {
    let sandbox = Sandbox::new();
    let dir = sandbox.dir().join("bin");
    fs::create_dir(&dir).must("make a directory");
    let place = dir.to_str().must("name a directory");
    for _ in 0..2 {
        let done = sandbox.nsrun(&["install-compat", place]).success();
        assert_eq!(done.stdout.lines().count(), 3, "{done}");
    }
    assert_eq!(names(&dir), NAMES);
    for name in NAMES {
        let mut command = nsrun::plain(dir.join(name));
        command.arg("--version");
        let done = run(command, patience(20)).success();
        let version = done.stdout.split_ascii_whitespace().nth(1);
        let version = version.and_then(|word| word.parse::<u32>().ok());
        assert!(version.is_some_and(|number| number > 250), "{done}");
    }
    let _ = sandbox
        .nsrun(&["install-compat", "--remove", place])
        .success();
    assert_eq!(names(&dir), [""; 0]);
}

#[test]
fn programs_of_others_are_neither_replaced_nor_removed() {
    let sandbox = Sandbox::new();
    let dir = sandbox.dir().join("bin");
    fs::create_dir(&dir).must("make a directory");
    fs::write(dir.join("machinectl"), "theirs").must("write a file");
    let place = dir.to_str().must("name a directory");
    let done = sandbox.nsrun(&["install-compat", place]).expect_status(4);
    let _ = done.expect_stderr("bin/machinectl");
    assert_eq!(names(&dir), ["machinectl"]);
    let _ = sandbox
        .nsrun(&["install-compat", "--remove", place])
        .success();
    assert_eq!(names(&dir), ["machinectl"]);
}
