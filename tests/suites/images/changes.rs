//! What changes images, and what looks at them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::thread::sleep;
use std::time::Duration;

use nsrun_tests::done::Running;
use nsrun_tests::{Must, Sandbox, patience, rng};
use rustix::process::Signal;
use serde_json::Value;

use crate::{image, lock, make, names};

#[test]
fn images_are_listed_as_machinectl_lists_them() {
    let sandbox = Sandbox::new();
    let done = sandbox.nsrun(&["images"]).success();
    assert_eq!(done.stdout, "No images.\n");
    make(&sandbox, "web");
    make(&sandbox, ".old");
    fs::write(sandbox.image_root().join("disk.raw"), [1; 4096]).must("write a disk");
    symlink("web", sandbox.image_root().join("link")).must("make a link");
    let text = sandbox.nsrun(&["list-images"]).success().stdout;
    let mut lines = text.lines();
    let heading: Vec<_> = lines.next().must("read").split_whitespace().collect();
    let columns = ["NAME", "TYPE", "RO", "USAGE", "CREATED", "MODIFIED"];
    assert_eq!(heading, columns);
    let first: Vec<_> = lines.next().must("read").split_whitespace().collect();
    assert_eq!(first[..3], ["disk", "raw", "rw"]);
    assert!(text.ends_with("3 images listed.\n"), "{text}");
    let all: Value = sandbox
        .nsrun(&["images", "--all", "--usage", "--json"])
        .success()
        .json();
    assert_eq!(image(&all, ".old")["read_only"], true);
    assert_eq!(image(&all, "link")["type"], "directory");
    assert!(image(&all, "web")["usage"].as_u64() >= Some(8192), "{all}");
    let rows = sandbox.nsrun(&["images", "--no-legend"]).success().stdout;
    assert_eq!(rows.lines().count(), 3);
    let _ = sandbox.nsrun(&["remove", ".old"]).success();
}

#[test]
fn the_status_tells_what_the_image_says_of_itself() {
    let sandbox = Sandbox::new();
    make(&sandbox, "tree");
    let source = sandbox.image_root().join("tree");
    let source = source.to_str().must("name the image");
    let _ = sandbox.nsrun(&["import-fs", source, "web"]).success();
    let text = sandbox.nsrun(&["image-status", "web", "tree"]).success();
    for wanted in ["Hostname: somehost", "RO: writable", "Source: ", "OS: Some"] {
        assert!(text.stdout.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.stdout.contains('\x1b'), "{text}");
    let status: Value = sandbox
        .nsrun(&["--json", "image-status", "web"])
        .success()
        .json();
    assert_eq!(status[0]["source"], source);
    let _ = sandbox
        .nsrun(&["image-status", "web", "none"])
        .expect_status(3)
        .expect_stderr("no image none");
}

#[test]
fn removing_takes_settings_along_and_follows_nothing() {
    let sandbox = Sandbox::new();
    let kept = sandbox.dir().join("kept");
    fs::create_dir(&kept).must("make a directory");
    fs::write(kept.join("file"), "x").must("write");
    make(&sandbox, "web");
    make(&sandbox, "web2");
    let root = sandbox.image_root();
    symlink(&kept, root.join("web/etc/out")).must("make a link");
    symlink(&kept, root.join("link")).must("make a link");
    fs::write(root.join("web.nspawn"), "").must("write settings");
    fs::create_dir(root.join("web.nspawn.d")).must("make settings");
    fs::write(root.join("web2.nspawn"), "").must("write settings");
    lock(&root.join("web/etc"), true);
    lock(&root.join("web"), true);
    let done = sandbox.nsrun(&["remove", "web", "link", "web"]).success();
    assert!(done.stdout.starts_with("removed web\n"), "{done}");
    assert_eq!(names(&sandbox), ["web2", "web2.nspawn"]);
    assert!(kept.join("file").exists());
    let _ = sandbox.nsrun(&["remove", "web"]).expect_status(3);
}

#[test]
fn what_is_in_use_is_not_changed_and_nothing_else_that_was_named() {
    let sandbox = Sandbox::new();
    let busy = sandbox.tiny("busy", &["notify READY=1"]);
    make(&sandbox, "idle");
    let mut machine = sandbox.boot(&busy).up();
    for words in [
        vec!["remove", "idle", &busy],
        vec!["rename", &busy, "other"],
        vec!["read-only", &busy],
    ] {
        let done = sandbox.nsrun(&words).expect_status(4);
        let done = done.expect_stderr("in use").expect_stderr("hint: ");
        assert!(done.stderr.starts_with("nsrun: cannot "), "{done}");
    }
    assert!(sandbox.image_root().join("idle").exists());
    let done = sandbox.nsrun(&["clean", "--all"]).success();
    assert!(done.stderr.contains("in use and was kept"), "{done}");
    assert!(!sandbox.image_root().join("idle").exists());
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
    let _ = sandbox.nsrun(&["remove", &busy]).success();
    assert!(names(&sandbox).is_empty());
}

#[test]
fn an_image_with_a_mount_in_it_stays_whole() {
    let sandbox = Sandbox::new();
    make(&sandbox, "web");
    let point = sandbox.image_root().join("web/etc");
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("none", &point, c"tmpfs", flags, None).must("mount a tmpfs");
    let _ = sandbox
        .nsrun(&["remove", "web"])
        .expect_status(4)
        .expect_stderr("something is mounted at");
    rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH).must("unmount");
    assert!(point.join("hostname").exists());
}

#[test]
fn renaming_takes_settings_and_metadata_along() {
    let sandbox = Sandbox::new();
    make(&sandbox, "tree");
    let root = sandbox.image_root();
    let source = root.join("tree");
    let source = source.to_str().must("name the image");
    let _ = sandbox.nsrun(&["import-fs", source, "old"]).success();
    fs::write(root.join("old.nspawn"), "[Exec]\n").must("write settings");
    lock(&root.join("old"), true);
    let _ = sandbox.nsrun(&["rename", "old", "new"]).success();
    assert_eq!(names(&sandbox), ["new", "new.nspawn", "tree"]);
    let status: Value = sandbox
        .nsrun(&["--json", "image-status", "new"])
        .success()
        .json();
    assert_eq!(status[0]["read_only"], true);
    assert_eq!(status[0]["source"], source);
    lock(&root.join("new"), false);
}

#[test]
fn a_name_that_is_taken_is_not_given() {
    let sandbox = Sandbox::new();
    make(&sandbox, "old");
    let root = sandbox.image_root();
    fs::write(root.join("disk.raw"), "").must("write a disk");
    fs::write(root.join("file"), "content").must("write a file that is no image");
    fs::write(root.join("set.nspawn"), "").must("write settings of no image");
    for new in ["disk", "file", "set", "old"] {
        let done = sandbox.nsrun(&["rename", "old", new]).expect_status(4);
        assert!(done.stderr.contains("cannot rename image old"), "{done}");
    }
    for bad in ["", "..", "a/b", "my_name", ".host_"] {
        let _ = sandbox.nsrun(&["rename", "old", bad]).expect_status(2);
    }
    assert_eq!(names(&sandbox), ["disk.raw", "file", "old", "set.nspawn"]);
    let _ = sandbox.nsrun(&["rename", "disk", "other"]).success();
    assert!(root.join("other.raw").exists());
    let content = fs::read_to_string(root.join("file")).must("read");
    assert_eq!(content, "content");
}

#[test]
fn a_read_only_image_is_marked_for_everybody_and_started_so() {
    let sandbox = Sandbox::new();
    let name = sandbox.tiny("fixed", &[]);
    let image = sandbox.image_root().join(&name);
    let _ = sandbox.nsrun(&["read-only", &name]).success();
    assert!(fs::write(image.join("new"), "").is_err(), "immutable");
    let touch = ["run", &name, "--", "/sbin/init", "try", "create /root/new"];
    let done = sandbox.nsrun(&touch);
    assert!(!image.join("root/new").exists(), "{done}");
    let _ = sandbox.nsrun(&["read-only", &name, "no"]).success();
    let done = sandbox.nsrun(&touch);
    assert!(image.join("root/new").exists(), "{done}");
    fs::write(sandbox.image_root().join("disk.raw"), "").must("write a disk");
    let disk = || fs::metadata(sandbox.image_root().join("disk.raw")).must("look");
    let _ = sandbox.nsrun(&["read-only", "disk", "true"]).success();
    assert_eq!(disk().permissions().mode() & 0o222, 0);
    let _ = sandbox.nsrun(&["read-only", "disk", "off"]).success();
    assert_eq!(disk().mode() & 0o222, 0o200);
    for bad in ["", "foo", "-1"] {
        let _ = sandbox.nsrun(&["read-only", &name, bad]).expect_status(2);
    }
}

#[test]
fn cleaning_takes_what_is_hidden() {
    let sandbox = Sandbox::new();
    make(&sandbox, "web");
    make(&sandbox, ".one");
    make(&sandbox, ".#other-tool");
    let text = sandbox.nsrun(&["clean"]).success().stdout;
    assert!(text.starts_with("removed .one: "), "{text}");
    assert_eq!(names(&sandbox), [".#other-tool", "web"]);
    fs::remove_dir_all(sandbox.image_root().join(".#other-tool")).must("remove it");
}

#[test]
fn a_killed_removal_or_renaming_is_finished_by_the_next_command() {
    let sandbox = Sandbox::new();
    let root = sandbox.image_root();
    let mut random = rng::seeded("images");
    let soak = std::env::var_os("NSRUN_TEST_SOAK").is_some();
    for round in 0..if soak { 500 } else { 30 } {
        make(&sandbox, "web");
        for number in 0..50 {
            fs::write(root.join(format!("web/etc/{number}")), "x").must("write");
        }
        fs::write(root.join("web.nspawn"), "").must("write settings");
        let words: &[_] = if round % 2 == 0 {
            &["remove", "web"]
        } else {
            &["rename", "web", "new"]
        };
        let mut running = Running::start(sandbox.command(words));
        sleep(Duration::from_micros(random.u64(..6000)));
        running.signal(Signal::KILL);
        let _ = running.finish(patience(20));
        let _ = sandbox.nsrun(&["clean"]).success();
        let left = names(&sandbox);
        let whole = [vec!["web", "web.nspawn"], vec!["new", "new.nspawn"], vec![]];
        assert!(whole.iter().any(|names| left == *names), "{left:?}");
        let _ = sandbox.nsrun(&["clean", "--all"]).success();
    }
}

#[test]
fn verbs_for_images_need_names() {
    let sandbox = Sandbox::new();
    for words in [vec!["remove"], vec!["rename", "a"], vec!["image-status"]] {
        let _ = sandbox.nsrun(&words).expect_status(2);
    }
    for bad in ["", ".host", "a/b"] {
        let done = sandbox.nsrun(&["remove", bad]).expect_status(2);
        let _ = done.expect_stderr("invalid image name");
    }
}
