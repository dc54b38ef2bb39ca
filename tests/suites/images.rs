//! The verbs for images: list, look at, remove, rename, protect, clear up.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nsrun_tests::done::{Running, run};
use nsrun_tests::{Must, Sandbox, nsrun, patience, rng, wait_until};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::process::Signal;
use serde_json::Value;

/// Makes an image with a few files in the image root.
fn make(sandbox: &Sandbox, name: &str) {
    let image = sandbox.image_root().join(name);
    fs::create_dir_all(image.join("etc")).must("make an image");
    fs::write(
        image.join("etc/os-release"),
        "PRETTY_NAME=\"Some\x1b System\"\n",
    )
    .must("write");
    fs::write(image.join("etc/hostname"), "somehost\n").must("write");
}

/// Sets or clears the immutable flag.
fn lock(path: &Path, on: bool) {
    let file = File::open(path).must("open what is to be locked");
    let mut flags = ioctl_getflags(&file).must("read the flags");
    flags.set(IFlags::IMMUTABLE, on);
    ioctl_setflags(&file, flags).must("set the flags");
}

/// The names in the image root, lock files too.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.image_root()).must("read the image root");
    let mut names: Vec<String> = entries
        .map(|entry| entry.must("read an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn image<'a>(rows: &'a Value, name: &str) -> &'a Value {
    let rows = rows.as_array().must("read the rows");
    rows.iter().find(|row| row["name"] == name).must(name)
}

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
