//! What crosses the border of a running machine: mounts and files.

mod binds;
mod breaks;
mod copies;
mod images;
mod trees;

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use nsrun_tests::{Machine, Must, Sandbox};

const PROBE: &str = "/sbin/init";

/// A machine that is up, started with these options.
fn up<'a>(sandbox: &'a Sandbox, base: &str, options: &[&str]) -> Machine<'a> {
    let image = sandbox.tiny(base, &["notify READY=1"]);
    // An ephemeral one would be given another name.
    let name = format!("--machine={image}");
    sandbox.boot(&image).options(&[&name]).options(options).up()
}

/// What attempts inside come to.
fn attempts(machine: &Machine<'_>, words: &[&str]) -> Vec<String> {
    let done = machine.exec(&[&[PROBE, "try"], words].concat()).success();
    let lines = done.stdout.lines().zip(words);
    lines
        .map(|(line, what)| line.trim_start_matches(&format!("{what}: ")).to_owned())
        .collect()
}

/// A directory of the host with a file of root's and one of user 1000's.
fn source(sandbox: &Sandbox, name: &str) -> PathBuf {
    let dir = sandbox.dir().join(name);
    fs::create_dir(&dir).must("make a directory");
    fs::write(dir.join("file"), "content").must("write a file");
    fs::write(dir.join("other"), "").must("write a file");
    chown(dir.join("other"), Some(1000), Some(1000)).must("give a file away");
    dir
}
