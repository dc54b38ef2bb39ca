//! Machines whose root is the file system of a disk image.

mod images;
mod import_raw;
mod refusals;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nsrun_tests::nsrun::{installed, plain};
use nsrun_tests::{Done, Must, Sandbox, patience};

const PROBE: &str = "/sbin/init";

const KINDS: [&str; 3] = ["squashfs", "erofs", "ext4"];

/// Whether this host can make and mount such a file system; why not, if so.
fn lacking(kinds: &[&str]) -> Option<String> {
    let known = fs::read_to_string("/proc/filesystems").must("list the kernel's file systems");
    let lacks = |kind: &&&str| {
        let in_kernel = known
            .lines()
            .any(|line| line.trim_start().ends_with(**kind));
        !in_kernel || installed(maker(kind)).is_none()
    };
    if !Path::new("/dev/loop-control").exists() {
        return Some("no loop devices".to_owned());
    }
    kinds
        .iter()
        .find(lacks)
        .map(|kind| format!("no {kind} here"))
}

fn maker(kind: &str) -> &'static str {
    match kind {
        "squashfs" => "mksquashfs",
        "erofs" => "mkfs.erofs",
        _ => "mkfs.ext4",
    }
}

/// Runs a program of the host's.
#[track_caller]
fn tool<S: AsRef<OsStr>>(name: &str, words: &[S]) -> Done {
    let mut command = plain(installed(name).must(&format!("find {name}")));
    command.args(words);
    nsrun_tests::done::run(command, patience(60)).success()
}

/// Makes a disk image of a tree.
#[track_caller]
fn make(kind: &str, tree: &Path, image: &Path) {
    let (tree, file) = (tree.display().to_string(), image.display().to_string());
    let program = maker(kind);
    match kind {
        "squashfs" => {
            let fast = ["-quiet", "-no-progress", "-noI", "-noD", "-noF", "-noX"];
            drop(tool(program, &[&[&*tree, &*file], &fast[..]].concat()));
        }
        "erofs" => drop(tool(program, &["--quiet", &file, &tree])),
        _ => {
            let sparse = File::create(image).must("make an image");
            sparse.set_len(32 << 20).must("make an image larger");
            drop(tool(program, &["-q", "-d", &tree, &file]));
        }
    }
}

/// An image of the tiny system in the image root, by its path and name.
#[track_caller]
fn tiny(sandbox: &Sandbox, kind: &str, conf: &[&str]) -> (PathBuf, String) {
    let tree = sandbox.dir().join(format!("tree-{kind}"));
    nsrun_tests::tiny::build(&tree, conf);
    let name = sandbox.name(kind);
    let image = sandbox.image_root().join(format!("{name}.raw"));
    make(kind, &tree, &image);
    (image, name)
}

/// What the attempts come to in a machine with these options.
#[track_caller]
fn attempts(sandbox: &Sandbox, options: &[&str], words: &[&str]) -> Vec<String> {
    let args = [&["run"], options, &["--", PROBE, "try"], words].concat();
    let done = sandbox.nsrun(&args).success();
    let lines = done.stdout.lines().zip(words);
    lines
        .map(|(line, what)| line.trim_start_matches(&format!("{what}: ")).to_owned())
        .collect()
}
