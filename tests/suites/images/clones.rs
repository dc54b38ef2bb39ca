//! Copies of images.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nsrun_tests::done::{Running, run};
use nsrun_tests::{Must, Sandbox, nsrun, patience, rng, wait_until};
use rustix::process::Signal;
use serde_json::Value;

use crate::{make, names};

/// What `find` tells of a tree, its top included.
fn listing(tree: &Path) -> String {
    let script = "find . -printf '%p %y %m %U %G %T@ %n %l\\n' | grep -v '^[.] ' | LC_ALL=C sort
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
        getfattr -R -d -m - . 2>/dev/null | LC_ALL=C sort; getfacl -R -n -p . | LC_ALL=C sort";
    let mut command = nsrun::plain("/bin/sh");
    command.args(["-c", script]).current_dir(tree);
    run(command, patience(120)).success().stdout
}

/// An image with what is easily lost: owners, modes, links, holes, attributes, lists.
fn make_hard(sandbox: &Sandbox, name: &str) {
    make(sandbox, name);
    let script = "
        echo x >a; ln a b; ln -s /etc/passwd out; mkfifo fifo
        chown 1000:100 a; chmod 4751 a; mkdir -m 1777 tmp; mkdir -m 555 shut
        truncate -s 1M holes; printf end >>holes
        setfattr -n user.note -v text a; setfacl -m u:1234:r etc/hostname
        setfacl -d -m g:77:rx tmp; touch -h -d @1000000000.5 a out; touch -d @86400 shut";
    let mut command = nsrun::plain("/bin/sh");
    let image = sandbox.image_root().join(name);
    command.args(["-ec", script]).current_dir(image);
    run(command, patience(20)).success();
}

#[test]
fn a_clone_has_everything_the_original_has() {
    let sandbox = Sandbox::on_disk();
    make_hard(&sandbox, "one");
    let root = sandbox.image_root();
    fs::write(root.join("one.nspawn"), "[Exec]\n").must("write settings");
    fs::create_dir(root.join("one.nspawn.d")).must("make drop-ins");
    fs::write(root.join("one.nspawn.d/a.conf"), "x").must("write a drop-in");
    let done = sandbox.nsrun(&["clone", "one", "two"]).success();
    assert!(done.stdout.starts_with("cloned one as "), "{done}");
    assert!(done.stderr.is_empty(), "{done}");
    let wanted = listing(&root.join("one"));
    assert!(wanted.contains("user.note") && wanted.contains("user:1234:r"));
    assert_eq!(listing(&root.join("two")), wanted);
    let blocks = |image: &str| {
        fs::metadata(root.join(image).join("holes"))
            .must("look")
            .blocks()
    };
    assert!(blocks("two") < 64, "holes are kept");
    let settings = fs::read_to_string(root.join("two.nspawn")).must("read settings");
    assert_eq!(settings, "[Exec]\n");
    assert!(root.join("two.nspawn.d/a.conf").exists());
    let status: Value = sandbox
        .nsrun(&["--json", "image-status", "two"])
        .success()
        .json();
    assert_eq!(status[0]["source"], root.join("one").to_str().must("name"));
}

#[test]
fn a_clone_with_a_new_identity_shares_none() {
    let sandbox = Sandbox::new();
    make(&sandbox, "one");
    let root = sandbox.image_root();
    let id = "0123456789abcdef0123456789abcdef\n";
    fs::write(root.join("one/etc/machine-id"), id).must("write an id");
    let _ = sandbox.nsrun(&["clone", "one", "same"]).success();
    let report: Value = sandbox
        .nsrun(&[
            "--json",
            "clone",
            "one",
            "new",
            "--new-identity",
            "--read-only",
        ])
        .success()
        .json();
    let read = |image: &str| fs::read_to_string(root.join(image).join("etc/machine-id"));
    assert_eq!(read("same").must("read"), id);
    assert_eq!(read("one").must("read"), id);
    assert_eq!(read("new").must("read"), "");
    assert!(!root.join("new/etc/hostname").exists());
    let reset = report["reset"].as_array().must("read what was reset");
    assert_eq!(reset.len(), 2, "{report}");
    assert!(fs::write(root.join("new/file"), "").is_err(), "read-only");
    let _ = sandbox.nsrun(&["remove", "new"]).success();
}

#[test]
fn a_clone_is_refused_or_warned_of() {
    let sandbox = Sandbox::new();
    let busy = sandbox.tiny("busy", &["notify READY=1"]);
    fs::write(sandbox.image_root().join("disk.raw"), [7; 5000]).must("write a disk");
    fs::write(sandbox.image_root().join("set.nspawn"), "").must("write settings");
    for (source, new, status) in [
        ("none", "new", 3),
        (&busy, "disk", 4),
        (&busy, &busy, 4),
        (&busy, "set", 4),
        (&busy, "a/b", 2),
    ] {
        let _ = sandbox.nsrun(&["clone", source, new]).expect_status(status);
    }
    let mut machine = sandbox.boot(&busy).up();
    let done = sandbox.nsrun(&["clone", &busy, ".copy"]).success();
    let _ = done.expect_stderr("was in use while it was copied");
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
    let _ = sandbox.nsrun(&["clone", "disk", "disk2"]).success();
    let copy = fs::read(sandbox.image_root().join("disk2.raw")).must("read");
    assert_eq!(copy, [7; 5000]);
    let _ = sandbox.nsrun(&["remove", ".copy"]).success();
}

#[test]
fn a_killed_clone_leaves_nothing_that_the_next_command_does_not_remove() {
    let sandbox = Sandbox::new();
    make_hard(&sandbox, "one");
    let root = sandbox.image_root();
    fs::write(root.join("one.nspawn"), "").must("write settings");
    let mut random = rng::seeded("clones");
    let soak = std::env::var_os("NSRUN_TEST_SOAK").is_some();
    for _ in 0..if soak { 500 } else { 20 } {
        let mut running = Running::start(sandbox.command(&["clone", "one", "two", "--no-sync"]));
        sleep(Duration::from_micros(random.u64(..40_000)));
        running.signal(Signal::KILL);
        let _ = running.finish(patience(20));
        // The process that copies dies with its parent, but not in the same instant.
        wait_until(patience(20), "a clean image root", || {
            let _ = sandbox.nsrun(&["clean"]).success();
            let left = names(&sandbox);
            let whole = ["one", "one.nspawn", "two", "two.nspawn"];
            (left == whole[..2] || left == whole).then_some(())
        });
        if root.join("two").exists() {
            assert_eq!(listing(&root.join("two")), listing(&root.join("one")));
            let _ = sandbox.nsrun(&["remove", "two"]).success();
        }
    }
}
