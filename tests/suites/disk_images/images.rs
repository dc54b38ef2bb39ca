//! What starts from them, and what is left.

use std::fs;
use std::os::unix::fs::FileExt;

use nsrun_tests::done::Running;
use nsrun_tests::{Must, Sandbox, patience, skip, wait_until};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::process::Signal;

use super::{KINDS, PROBE, attempts, lacking, make, tiny, tool};

#[test]
fn a_command_runs_in_each_with_and_without_a_user_namespace() {
    if let Some(reason) = lacking(&KINDS) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let words = ["owner /sbin/init", "create /root/made", "unlink /root/made"];
    for kind in KINDS {
        let (image, name) = tiny(&sandbox, kind, &[]);
        let option = format!("--image={}", image.display());
        for users in ["--private-users=pick", "--private-users=no"] {
            let seen = attempts(&sandbox, &[users, &option], &words);
            let plain = match kind {
                "ext4" => ["0 0", "ok", "ok"],
                _ => ["0 0", "EROFS", "EROFS"],
            };
            assert_eq!(seen, plain, "{kind} {users}");
            for volatile in ["--ephemeral", "--ephemeral=disk", "--volatile=overlay"] {
                let seen = attempts(&sandbox, &[users, volatile, &name], &words);
                assert_eq!(seen, ["0 0", "ok", "ok"], "{kind} {users} {volatile}");
            }
            let seen = attempts(&sandbox, &[users, "--read-only", &name], &words);
            assert_eq!(seen, ["0 0", "EROFS", "EROFS"], "{kind} {users}");
        }
    }
    sandbox.assert_clean();
}

#[test]
fn a_system_boots_by_the_name_of_its_image_and_reboots() {
    if let Some(reason) = lacking(&["squashfs"]) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let (_, name) = tiny(&sandbox, "squashfs", &["print booted", "exit 7"]);
    let done = sandbox.nsrun(&["boot", &name]).expect_status(7);
    let done = done.expect_stderr("squashfs is never written to");
    assert!(done.stderr.contains("--volatile=overlay"), "{done}");
    assert!(done.stdout.contains("booted"), "{done}");
    let quiet = sandbox.nsrun(&["boot", "--volatile=overlay", &name]);
    let quiet = quiet.expect_status(7);
    assert!(!quiet.stderr.contains("never written"), "{quiet}");
    // The mount outlives the first run of the machine.
    let words = ["run", "--pid1", "-x", &name, "--", PROBE];
    let script = ["try", "create /root/made", ",", "reboot"];
    let mut running = Running::start(sandbox.command(&[&words[..], &script].concat()));
    wait_until(patience(30), "it runs again", || {
        running.so_far().stdout.contains("EEXIST").then_some(())
    });
    running.signal(Signal::KILL);
    let _ = running.finish(patience(30));
    let _ = attempts(&sandbox, &["-x", &name], &["owner /"]);
    sandbox.assert_clean();
}

#[test]
fn changes_are_kept_and_one_machine_at_a_time_makes_them() {
    if let Some(reason) = lacking(&["ext4"]) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let (_, name) = tiny(&sandbox, "ext4", &[]);
    let words = ["run", &name, "--", PROBE, "try", "create /root/made", ","];
    let script = ["print", "here", ",", "sleep", "100000"];
    let mut running = Running::start(sandbox.command(&[&words[..], &script].concat()));
    wait_until(patience(30), "it runs", || {
        running.so_far().stdout.contains("here").then_some(())
    });
    for option in ["--read-only", "--ephemeral", "--machine=other"] {
        let _ = sandbox
            .nsrun(&["boot", option, &name])
            .expect_status(4)
            .expect_stderr("in use");
    }
    running.signal(Signal::TERM);
    let _ = running.finish(patience(30));
    let seen = attempts(&sandbox, &[&name], &["create /root/made"]);
    assert_eq!(seen, ["EEXIST"]);
    sandbox.assert_clean();
}

#[test]
fn a_killed_supervisor_leaves_no_loop_device() {
    if let Some(reason) = lacking(&KINDS) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    for kind in KINDS {
        let (_, name) = tiny(&sandbox, kind, &[]);
        let words = ["run", &name, "--", PROBE, "print", "here", ","];
        let mut running =
            Running::start(sandbox.command(&[&words[..], &["sleep", "100000"]].concat()));
        wait_until(patience(30), "it runs", || {
            running.so_far().stdout.contains("here").then_some(())
        });
        let is_loop = |thing: &String| thing.starts_with("loop device");
        assert!(sandbox.left().iter().any(is_loop), "{kind}");
        running.signal(Signal::KILL);
        let _ = running.finish(patience(30));
        wait_until(patience(10), "the loop device is gone", || {
            (!sandbox.left().iter().any(is_loop)).then_some(())
        });
        // What is left of the machine keeps nobody from starting it again.
        let _ = attempts(&sandbox, &[&name], &["owner /"]);
        sandbox.assert_clean();
    }
}

#[test]
fn devices_that_an_image_brings_are_none() {
    if let Some(reason) = lacking(&["squashfs"]) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let tree = sandbox.dir().join("nodes");
    nsrun_tests::tiny::build(&tree, &[]);
    let (kind, mode) = (FileType::CharacterDevice, Mode::from_raw_mode(0o666));
    mknodat(CWD, tree.join("null"), kind, mode, makedev(1, 3)).must("make a node");
    let image = sandbox.image_root().join("nodes.raw");
    make("squashfs", &tree, &image);
    for users in ["--private-users=pick", "--private-users=no"] {
        let machine = format!("--machine={}", sandbox.name("nodes"));
        let seen = attempts(&sandbox, &[users, &machine, "nodes"], &["read /null"]);
        assert_eq!(seen, ["EACCES"], "{users}");
    }
}

#[test]
fn the_root_partition_of_a_table_is_found() {
    if let Some(reason) = lacking(&["squashfs"]) {
        skip!("{reason}");
    }
    if nsrun_tests::nsrun::installed("sfdisk").is_none() {
        skip!("no sfdisk here");
    }
    let sandbox = Sandbox::new();
    let (plain, _) = tiny(&sandbox, "squashfs", &[]);
    let content = fs::read(plain).must("read an image");
    for table in [
        "label: gpt\nsize=1MiB, type=uefi\nsize=16MiB, type=linux\n",
        "label: dos\nsize=1MiB, type=c\nsize=16MiB, type=83\n",
    ] {
        let name = sandbox.name("table");
        let image = sandbox.image_root().join(format!("{name}.raw"));
        let file = fs::File::create(&image).must("make an image");
        file.set_len(32 << 20).must("make an image larger");
        let script = sandbox.dir().join("table");
        fs::write(&script, table).must("write a table");
        let shell = format!("sfdisk --quiet {} < {}", image.display(), script.display());
        drop(tool("sh", &["-c", &shell]));
        let dump = tool("sfdisk", &["--json", &image.display().to_string()]);
        let dump: serde_json::Value = dump.json();
        let start = &dump["partitiontable"]["partitions"][1]["start"];
        let start = start.as_u64().must("find the second partition");
        file.write_all_at(&content, start * 512)
            .must("fill the partition");
        let seen = attempts(&sandbox, &[&name], &["owner /sbin/init"]);
        assert_eq!(seen, ["0 0"], "{table}");
        let plan = sandbox.nsrun(&["boot", "--dry-run", &name]).success();
        assert!(plan.stdout.contains("1 other partitions"), "{plan}");
    }
    sandbox.assert_clean();
}
