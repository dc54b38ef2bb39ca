//! Copies from and to images that no machine of their name runs from.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nsrun_tests::{Must, Sandbox};

use super::trees::{listing, tree};
use super::up;

const BASE: u32 = 655_360;

#[test]
fn an_image_with_owners_of_its_own_has_them_in_copies() {
    let sandbox = Sandbox::on_disk();
    let tree = tree(&sandbox, "tree");
    let image = sandbox.tiny("shifted", &[]);
    let users = format!("--private-users={BASE}");
    let words = [
        "--private-users-ownership=chown",
        &image,
        "--",
        "/sbin/init",
        "exit",
        "0",
    ];
    let _ = sandbox
        .nsrun(&[&["run", &users], &words[..]].concat())
        .success();
    let inner = sandbox.image_root().join(&image);
    let owner = |path: &str| {
        let found = fs::symlink_metadata(inner.join(path)).must("look at a file");
        (found.uid() - BASE, found.gid() - BASE)
    };
    assert_eq!(owner(""), (0, 0));
    let to = format!("{image}:/root");
    let words = ["cp", tree.to_str().must("a path as text"), &to];
    let _ = sandbox.nsrun(&words).success();
    assert_eq!(owner("root/tree/program"), (1000, 100));
    assert_eq!(owner("root/tree/dir"), (7, 65_535));
    let out = sandbox.dir().join("out");
    let from = format!("{to}/tree");
    let out_text = out.to_str().must("a path as text");
    let _ = sandbox
        .nsrun(&["cp", "--keep-privileges", &from, out_text])
        .success();
    assert_eq!(listing(&out), listing(&tree));
}

#[test]
fn an_image_that_is_used_is_read_and_not_written() {
    let sandbox = Sandbox::on_disk();
    let image = sandbox.tiny("used", &["notify READY=1"]);
    let other = format!("--machine={}", sandbox.name("other"));
    let options = ["--ephemeral", other.as_str()];
    let machine = sandbox.boot(&image).options(&options).up();
    let into = format!("{image}:/root");
    let _ = sandbox
        .nsrun(&["cp", "/etc/hostname", &into])
        .expect_status(4)
        .expect_stderr(&image);
    let out = sandbox.dir().join("out");
    let from = format!("{image}:/etc");
    let words = ["cp", &from, out.to_str().must("a path as text")];
    let _ = sandbox.nsrun(&words).success();
    assert!(out.join("pid1.conf").exists());
    drop(machine);
}

#[test]
fn an_image_that_is_read_only_takes_no_copy() {
    let sandbox = Sandbox::on_disk();
    let image = sandbox.tiny("fixed", &[]);
    let _ = sandbox.nsrun(&["read-only", &image]).success();
    let into = format!("{image}:/root");
    let _ = sandbox
        .nsrun(&["cp", "/etc/hostname", &into])
        .expect_status(1)
        .expect_stderr("is read-only")
        .expect_stderr("nsrun read-only");
    let _ = sandbox.nsrun(&["read-only", &image, "no"]).success();
    let _ = sandbox.nsrun(&["cp", "/etc/hostname", &into]).success();
}

#[test]
fn a_machine_that_has_ended_is_its_image() {
    let sandbox = Sandbox::on_disk();
    let machine = up(&sandbox, "ended", &[]);
    let place = format!("{}:/root", machine.name());
    let _ = sandbox.nsrun(&["cp", "/etc/hostname", &place]).success();
    let name = machine.name().to_owned();
    let _ = machine.stop().success();
    drop(machine);
    let out = sandbox.dir().join("out");
    let words = [
        "copy-from",
        &name,
        "/root/hostname",
        out.to_str().must("text"),
    ];
    let _ = sandbox.nsrun(&words).success();
    let expected = fs::read("/etc/hostname").must("read the host's name");
    assert_eq!(fs::read(&out).must("read the copy"), expected);
}
