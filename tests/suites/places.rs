//! Where a machine's root, network and changes are, if that is said.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use nsrun_tests::facts::Facts;
use nsrun_tests::{Done, Must, Running, Sandbox, patience, wait_until};
use rustix::process::Signal;

const PROBE: &str = "/sbin/init";

fn run(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Done {
    sandbox.nsrun(&[&["run"], options, &[image, "--", PROBE], words].concat())
}

/// What the attempts come to in a machine with these options.
fn attempts(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Vec<String> {
    let done = run(sandbox, options, image, &[&["try"], words].concat()).success();
    let lines = done.stdout.lines().zip(words);
    lines
        .map(|(line, what)| line.trim_start_matches(&format!("{what}: ")).to_owned())
        .collect()
}

#[test]
fn an_overlay_can_keep_its_changes_in_the_image() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("inner", &[]);
    let tree = sandbox.image_root().join(&image);
    let dirs = [
        "lower",
        "below/upper",
        "merged",
        "below/lower",
        "below/below/upper",
    ];
    for dir in dirs {
        fs::create_dir_all(tree.join(dir)).must("make a directory");
    }
    fs::write(tree.join("lower/file"), "below").must("write a file");
    for users in ["--private-users=pick", "--private-users=no"] {
        let options = [users, "--overlay=+/lower:+/below/upper:+/merged"];
        let words = [
            "read /merged/file",
            "unlink /merged/file",
            "create /merged/new",
            "list /merged",
            "owner /merged/new",
        ];
        let seen = attempts(&sandbox, &options, &image, &words);
        assert_eq!(seen, ["below", "ok", "ok", "new", "0 0"], "{users}");
        assert!(tree.join("lower/file").exists() && !tree.join("lower/new").exists());
        let new = fs::metadata(tree.join("below/upper/new")).must("find what was made");
        assert_eq!(new.uid(), 0, "the owner on the disk");
        let left: Vec<String> = names(&tree)
            .into_iter()
            .filter(|n| n.starts_with(".#"))
            .collect();
        assert_eq!(
            left, [""; 0],
            "the kernel's directory went with the machine"
        );
        let upper = tree.join("below/upper");
        fs::remove_file(upper.join("new")).must("remove a file");
        fs::remove_file(upper.join("file")).must("remove the mark of a removal");
    }
    for option in [
        "--read-only",
        "--ephemeral",
        "--volatile=overlay",
        "--pivot-root=/below",
    ] {
        let args = [
            "boot",
            option,
            "--overlay=+/lower:+/below/upper:/merged",
            &image,
        ];
        let done = sandbox.nsrun(&args).expect_status(2);
        let _ = done.expect_stderr("--overlay=+/lower:+/below/upper:/merged");
    }
    let top = ["boot", "--overlay=+/lower:+/:/merged", &image];
    let _ = sandbox.nsrun(&top).expect_status(2).expect_stderr("top");
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(dir).must("list a directory");
    let names = entries.map(|entry| entry.must("list").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn another_directory_of_the_image_can_be_the_root() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("pivot", &[]);
    let tree = sandbox.image_root().join(&image);
    let inner = tree.join("deploy/1");
    nsrun_tests::tiny::build(&inner, &["print inner", "poweroff"]);
    fs::write(tree.join("top"), "top").must("write a file");
    fs::write(inner.join("inner"), "inner").must("write a file");
    fs::create_dir(inner.join("sysroot")).must("make a directory");
    let words = [
        "read /inner",
        "exists /top",
        "read /sysroot/top",
        "create /sysroot/made",
        "create /made",
        "owner /sysroot/made",
    ];
    let options = ["--pivot-root=/deploy/1:/sysroot"];
    let seen = attempts(&sandbox, &options, &image, &words);
    assert_eq!(seen, ["inner", "ENOENT", "top", "ok", "ok", "0 0"]);
    assert!(tree.join("made").exists() && inner.join("made").exists());
    let gone = attempts(&sandbox, &["--pivot-root=/deploy/1"], &image, &words[..3]);
    assert_eq!(gone, ["inner", "ENOENT", "ENOENT"]);
    for drop in ["--ephemeral", "--read-only"] {
        let words = ["create /sysroot/more", "read /sysroot/top"];
        let seen = attempts(&sandbox, &[options[0], drop], &image, &words);
        assert_eq!(seen, ["EROFS", "top"], "{drop}");
    }
    let boot = [
        "boot",
        "--network=private",
        options[0],
        "--console=pipe",
        &image,
    ];
    assert_eq!(sandbox.nsrun(&boot).success().stdout.trim(), "inner");
}

#[test]
fn a_root_in_a_hostile_image_is_never_outside_of_it() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("trap", &[]);
    let tree = sandbox.image_root().join(&image);
    std::os::unix::fs::symlink("/", tree.join("whole")).must("make a link");
    std::os::unix::fs::symlink("../../../../etc", tree.join("escape")).must("make a link");
    let seen = attempts(
        &sandbox,
        &["--pivot-root=/whole"],
        &image,
        &["read /etc/pid1.conf"],
    );
    assert_eq!(seen, ["empty"], "a link leads to the image's own top");
    let done = run(&sandbox, &["--pivot-root=/escape"], &image, &["facts"]);
    let _ = done.expect_status(127).expect_stderr("not in the image");
    let file = ["boot", "--pivot-root=/etc/pid1.conf", &image];
    let _ = sandbox
        .nsrun(&file)
        .expect_status(6)
        .expect_stderr("/etc/pid1.conf");
    let chown = [
        "boot",
        "--pivot-root=/usr",
        "--private-users-ownership=chown",
        &image,
    ];
    let _ = sandbox
        .nsrun(&chown)
        .expect_status(2)
        .expect_stderr("--pivot-root=/usr");
    for value in ["", "usr", "/", "/usr:", "/usr:/a:/b"] {
        let option = format!("--pivot-root={value}");
        let done = sandbox.nsrun(&["boot", &option, &image]).expect_status(2);
        let _ = done.expect_stderr("--pivot-root");
    }
}

/// The identity of a network namespace by a path to its file.
fn inode(path: &str) -> u64 {
    fs::metadata(path).must("look at a namespace").ino()
}

#[test]
fn a_machine_joins_a_network_namespace_that_is_there() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("joins", &[]);
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "sh", "-c", "echo there; exec sleep 1000"]);
    let mut holder = Running::start(unshare);
    wait_until(patience(20), "there is a namespace", || {
        holder.so_far().stdout.contains("there").then_some(())
    });
    let path = format!("/proc/{}/ns/net", holder.pid());
    let wanted = format!("net:[{}]", inode(&path));
    let own = format!("net:[{}]", inode("/proc/self/ns/net"));
    assert_ne!(wanted, own);
    let option = format!("--network-namespace-path={path}");
    for users in ["--private-users=pick", "--private-users=no"] {
        let facts: Facts = run(&sandbox, &[&option, users], &image, &["facts"])
            .success()
            .json();
        let seen = facts.namespaces.get("net").map(String::as_str);
        assert_eq!(seen, Some(&*wanted), "{users}");
        let interfaces = attempts(
            &sandbox,
            &[&option, users],
            &image,
            &["list /sys/class/net"],
        );
        assert_eq!(interfaces, ["lo"], "sysfs is the namespace's");
    }
    let file = sandbox.image_root().join(format!("{image}.nspawn"));
    fs::write(&file, format!("[Network]\nNamespacePath={path}\n")).must("write settings");
    let trusted = ["--settings=trusted"];
    let facts: Facts = run(&sandbox, &trusted, &image, &["facts"]).success().json();
    assert_eq!(facts.namespaces.get("net"), Some(&wanted));
    fs::remove_file(&file).must("remove settings");
    let missing = [
        "boot",
        "--network-namespace-path=/run/netns/missing",
        &image,
    ];
    let _ = sandbox
        .nsrun(&missing)
        .expect_status(3)
        .expect_stderr("/run/netns/missing");
    let wrong = ["boot", "--network-namespace-path=/etc/passwd", &image];
    let _ = sandbox
        .nsrun(&wrong)
        .expect_status(1)
        .expect_stderr("/etc/passwd");
    let both = ["boot", "--network=host", &option, &image];
    let _ = sandbox
        .nsrun(&both)
        .expect_status(2)
        .expect_stderr("--network");
    holder.signal(Signal::KILL);
    let _ = holder.finish(patience(20));
}
