//! Mounts that are asked for, seen from inside and from outside.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nsrun_tests::facts::{Facts, Mount};
use nsrun_tests::{Done, Must, Sandbox};

const PROBE: &str = "/sbin/init";

/// A directory of the host with a file of root's and one of user 1000's.
fn source(sandbox: &Sandbox, name: &str) -> PathBuf {
    let dir = sandbox.dir().join(name);
    fs::create_dir(&dir).must("make a directory");
    fs::write(dir.join("file"), "content").must("write a file");
    fs::write(dir.join("other"), "").must("write a file");
    chown(dir.join("other"), Some(1000), Some(1000)).must("give a file away");
    dir
}

fn option(name: &str, path: &Path, rest: &str) -> String {
    format!("--{name}={}{rest}", path.display())
}

/// What the attempts come to in a machine with these options.
fn attempts(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Vec<String> {
    let done = run(sandbox, options, image, &[&["try"], words].concat()).success();
    let lines = done.stdout.lines().zip(words);
    lines
        .map(|(line, what)| line.trim_start_matches(&format!("{what}: ")).to_owned())
        .collect()
}

fn run(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Done {
    sandbox.nsrun(&[&["run"], options, &[image, "--", PROBE], words].concat())
}

fn mount_at(sandbox: &Sandbox, options: &[&str], image: &str, target: &str) -> Mount {
    let facts: Facts = run(sandbox, options, image, &["facts"]).success().json();
    let found = facts.mounts.into_iter().find(|m| m.point == target);
    found.must("find the mount")
}

#[test]
fn a_bind_shows_what_the_host_has_at_a_place_that_is_made() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("bind", &[]);
    let dir = source(&sandbox, "shared");
    let file = option("bind", &dir.join("file"), ":/etc/a/file");
    let options = [option("bind", &dir, ":/srv/data"), file];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let seen = attempts(
        &sandbox,
        &options,
        &image,
        &[
            "list /srv/data",
            "read /etc/a/file",
            "owner /srv/data/file",
            "owner /srv",
        ],
    );
    assert_eq!(seen, ["file other", "content", "65534 65534", "0 0"]);
    let made = sandbox.image_root().join(&image).join("srv/data");
    let made = fs::metadata(made).must("find the target");
    assert_eq!((made.uid(), made.mode() & 0o777), (0, 0o755));
}

#[test]
fn options_for_ids_tell_whose_the_files_are() {
    let sandbox = Sandbox::on_disk();
    let image = sandbox.tiny("ids", &[]);
    let dir = source(&sandbox, "shared");
    let home = sandbox.image_root().join(&image).join("home");
    fs::create_dir(&home).must("make a directory");
    chown(&home, Some(1000), Some(100)).must("give a directory away");
    let owners = |ids: &str, target: &str| {
        let bind = option("bind", &dir, &format!(":{target}:{ids}"));
        let file = format!("owner {target}/file");
        let other = format!("owner {target}/other");
        attempts(&sandbox, &[&bind], &image, &[&file, &other])
    };
    let nobody = "65534 65534";
    assert_eq!(owners("noidmap", "/srv"), [nobody, nobody]);
    assert_eq!(owners("idmap", "/srv"), ["0 0", "1000 1000"]);
    assert_eq!(owners("rootidmap", "/srv"), ["0 0", nobody]);
    assert_eq!(owners("owneridmap", "/home"), ["1000 100", nobody]);
    let bind = option("bind", &dir, ":/srv:rootidmap");
    assert_eq!(
        attempts(&sandbox, &[&bind], &image, &["create /srv/made"]),
        ["ok"]
    );
    let made = fs::metadata(dir.join("made")).must("find what was made inside");
    assert_eq!((made.uid(), made.gid()), (0, 0));
}

#[test]
fn what_is_read_only_stays_so_for_root_inside() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("ro", &[]);
    let dir = source(&sandbox, "shared");
    let binds = [
        option("bind-ro", &dir, ":/srv"),
        option("bind-ro", &dir, ":/tmp/b:idmap"),
    ];
    let words = [
        "remount-rw /srv",
        "create /srv/made",
        "remount-rw /tmp/b",
        "write /tmp/b/file x",
        "remount-rw /",
        "create /made",
    ];
    let options = [binds[0].as_str(), binds[1].as_str(), "--read-only"];
    // The targets are made by a start that may.
    let _ = run(&sandbox, &options[..2], &image, &["facts"]).success();
    let seen = attempts(&sandbox, &options, &image, &words);
    assert_eq!(seen, ["EPERM", "EROFS", "EPERM", "EROFS", "EPERM", "EROFS"]);
    let users = ["--private-users=no", options[0], options[1]];
    let seen = attempts(&sandbox, &users, &image, &["create /srv/made"]);
    assert_eq!(seen, ["EROFS"]);
}

#[test]
fn mounts_below_a_source_are_seen_unless_told_not_to() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("rec", &[]);
    let dir = source(&sandbox, "shared");
    let below = dir.join("below");
    fs::create_dir(&below).must("make a directory");
    rustix::mount::mount(
        c"none",
        &below,
        c"tmpfs",
        rustix::mount::MountFlags::empty(),
        None,
    )
    .must("mount a tmpfs");
    fs::write(below.join("inner"), "").must("write a file");
    let list = |rest: &str| {
        let bind = option("bind", &dir, rest);
        attempts(
            &sandbox,
            &[&bind],
            &image,
            &["list /srv/below", "umount /srv/below"],
        )
    };
    assert_eq!(list(":/srv"), ["inner", "EINVAL"]);
    assert_eq!(list(":/srv:norbind")[0], "empty");
    rustix::mount::unmount(&below, rustix::mount::UnmountFlags::empty()).must("unmount it");
}

#[test]
fn what_is_mounted_inside_a_bind_does_not_appear_on_the_host() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("peer", &[]);
    let dir = source(&sandbox, "shared");
    fs::create_dir(dir.join("below")).must("make a directory");
    let bind = option("bind", &dir, ":/srv");
    let words = ["mount tmpfs /srv/below", "create /srv/below/made"];
    assert_eq!(attempts(&sandbox, &[&bind], &image, &words), ["ok", "ok"]);
    assert!(!dir.join("below/made").exists());
}

#[test]
fn a_new_directory_goes_with_the_machine() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("new", &[]);
    let options = ["--bind=:/srv", "--overlay=+/etc::/etc"];
    let words = [
        "create /srv/made",
        "create /etc/made",
        "read /etc/os-release",
        "owner /srv",
    ];
    let seen = attempts(&sandbox, &options, &image, &words);
    assert_eq!(
        (seen[0].as_str(), seen[1].as_str(), seen[3].as_str()),
        ("ok", "ok", "0 0")
    );
    assert!(seen[2].contains("ID=tiny"), "{seen:?}");
    let tree = sandbox.image_root().join(&image);
    assert!(!tree.join("etc/made").exists() && !tree.join("srv/made").exists());
    sandbox.assert_clean();
}

#[test]
fn an_overlay_keeps_its_changes_in_its_upper_directory() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("over", &[]);
    let (low, high) = (source(&sandbox, "low"), sandbox.dir().join("high"));
    let upper = sandbox.dir().join("upper");
    for dir in [&high, &upper] {
        fs::create_dir(dir).must("make a directory");
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).must("open it");
    }
    fs::write(high.join("file"), "higher").must("write a file");
    let layers = format!("{}:{}:{}", low.display(), high.display(), upper.display());
    let overlay = format!("--overlay={layers}:/srv");
    let words = ["read /srv/file", "list /srv", "create /srv/made"];
    let seen = attempts(&sandbox, &[&overlay], &image, &words);
    assert_eq!(seen, ["higher", "file other", "ok"]);
    assert!(upper.join("made").exists() && !high.join("made").exists());
    let overlay = format!("--overlay-ro={layers}:/srv");
    let seen = attempts(
        &sandbox,
        &[&overlay],
        &image,
        &["list /srv", "create /srv/more"],
    );
    assert_eq!(seen, ["file made other", "EROFS"]);
}

#[test]
fn a_tmpfs_has_the_options_that_it_was_given() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("tmpfs", &[]);
    let at = |option: &str| mount_at(&sandbox, &[option], &image, "/srv/fs");
    let plain = at("--tmpfs=/srv/fs");
    assert!(plain.has("nodev"), "{plain:?}");
    let limited = at("--tmpfs=/srv/fs:size=1m,noexec,mode=0700");
    assert!(limited.has("noexec"), "{limited:?}");
    let words = ["create /srv/fs/made", "owner /srv/fs"];
    let seen = attempts(&sandbox, &["--tmpfs=/srv/fs"], &image, &words);
    assert_eq!(seen, ["ok", "0 0"]);
    let done = run(&sandbox, &["--tmpfs=/srv/fs:bogus=1"], &image, &["facts"]);
    let _ = done.expect_status(125).expect_stderr("tmpfs bogus=1");
}

#[test]
fn what_is_inaccessible_cannot_be_opened() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("hide", &[]);
    let options = [
        "--inaccessible=/root",
        "--inaccessible=/etc/pid1.conf",
        "--drop-capability=all",
    ];
    let words = [
        "list /root",
        "read /etc/pid1.conf",
        "read /usr/lib/os-release",
    ];
    let seen = attempts(&sandbox, &options, &image, &words);
    assert_eq!(&seen[..2], ["EACCES", "EACCES"]);
    assert!(seen[2].contains("ID=tiny"), "{seen:?}");
    let done = run(&sandbox, &["--inaccessible=/missing"], &image, &["facts"]);
    let _ = done.expect_status(125).expect_stderr("/missing");
}

#[test]
fn what_is_inaccessible_stays_so_for_root_inside() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("hidden", &[]);
    let dir = source(&sandbox, "shared");
    symlink("file", dir.join("link")).must("make a link");
    let options = [
        option("bind", &dir, ":/srv"),
        "--inaccessible=/root".to_owned(),
        "--inaccessible=/etc/pid1.conf".to_owned(),
        "--inaccessible=/srv/link".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let covers = ["/root", "/etc/pid1.conf", "/srv/file"];
    let facts: Facts = run(&sandbox, &options, &image, &["facts"]).success().json();
    for cover in covers {
        let on_it: Vec<&Mount> = facts.mounts.iter().filter(|m| m.point == cover).collect();
        assert!(on_it.len() == 1 && on_it[0].has("ro"), "{cover}: {on_it:?}");
    }
    for cover in covers {
        let words = ["umount", "detach", "remount-rw"].map(|what| format!("{what} {cover}"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let seen = attempts(&sandbox, &options, &image, &words);
        assert_eq!(seen, ["EINVAL", "EINVAL", "EPERM"], "{cover}");
    }
    let words = ["create /made", "detach /srv", "list /srv"];
    let seen = attempts(&sandbox, &options, &image, &words);
    assert_eq!(seen, ["ok", "ok", "empty"], "the mount as a whole goes");
}

// A link from one mount into another is found at the cover's turn only.
#[test]
fn what_lies_across_mounts_or_in_no_image_is_covered_too() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("across", &[]);
    let dir = source(&sandbox, "shared");
    symlink("/etc/pid1.conf", dir.join("link")).must("make a link");
    let bind = option("bind", &dir, ":/srv");
    let options = [
        bind.as_str(),
        "--inaccessible=/srv/link",
        "--inaccessible=/run/host/os-release",
        "--drop-capability=all",
    ];
    let words = ["read /etc/pid1.conf", "read /run/host/os-release"];
    let seen = attempts(&sandbox, &options, &image, &words);
    assert_eq!(seen, ["EACCES", "EACCES"]);
}

#[test]
fn a_device_that_is_bound_can_be_used_and_no_other() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("device", &[]);
    let memory = Path::new("/dev/kmsg");
    let meta = fs::metadata(memory).must("look at a device");
    let dir = sandbox.dir().join("nodes");
    fs::create_dir(&dir).must("make a directory");
    let (kind, mode) = (
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::RWXU,
    );
    rustix::fs::mknodat(rustix::fs::CWD, dir.join("kmsg"), kind, mode, meta.rdev())
        .must("make a node");
    let open = |bind: &str| {
        let options = ["--private-users=no", "--capability=syslog", bind];
        attempts(&sandbox, &options, &image, &["open-write /srv/kmsg"])
    };
    assert_eq!(open("--bind=/dev/kmsg:/srv/kmsg"), ["ok"]);
    assert_eq!(open("--bind-ro=/dev/kmsg:/srv/kmsg"), ["EPERM"]);
    // Only what is asked for by its name, or lies in a directory of the host's /dev.
    assert_eq!(open(&option("bind", &dir, ":/srv"))[0][..1], *"E");
}

#[test]
fn targets_are_found_as_the_payload_would_and_never_on_the_host() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("links", &[]);
    let tree = sandbox.image_root().join(&image);
    let outside = sandbox.dir().join("outside");
    fs::create_dir(&outside).must("make a directory");
    fs::create_dir(tree.join("real")).must("make a directory");
    symlink("/real", tree.join("absolute")).must("make a link");
    let up = format!("../../../../../../..{}", outside.display());
    symlink(&up, tree.join("up")).must("make a link");
    symlink("/run/later", tree.join("dangling")).must("make a link");
    let dir = source(&sandbox, "shared");
    let bind = |target: &str| option("bind", &dir, &format!(":{target}"));
    let seen = attempts(
        &sandbox,
        &[&bind("/absolute/new")],
        &image,
        &["list /real/new"],
    );
    assert_eq!(seen, ["file other"]);
    let done = run(&sandbox, &[&bind("/up/new")], &image, &["facts"]).expect_status(125);
    let _ = done.expect_stderr("/up");
    let done = run(&sandbox, &[&bind("/dangling")], &image, &["facts"]).expect_status(125);
    let _ = done
        .expect_stderr("/dangling")
        .expect_stderr("leads nowhere");
    let entries = fs::read_dir(&outside).must("list a directory");
    assert_eq!(entries.count(), 0, "something was made on the host");
    symlink("/", tree.join("slash")).must("make a link");
    let seen = attempts(
        &sandbox,
        &["--bind=+/slash/etc:/srv"],
        &image,
        &["list /srv"],
    );
    assert!(seen[0].contains("pid1.conf"), "{seen:?}");
}

#[test]
fn what_does_not_go_together_is_told_by_both_names() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("conflict", &[]);
    let refused = |options: &[&str]| run(&sandbox, options, &image, &["facts"]).expect_status(125);
    let done = refused(&["--tmpfs=/srv", "--bind=/usr:/srv/"]);
    let _ = done
        .expect_stderr("--tmpfs=/srv")
        .expect_stderr("--bind=/usr:/srv/");
    let _ = refused(&["--bind=/missing:/srv"]).expect_stderr("/missing");
    let _ = refused(&["--bind=/etc/passwd:/root"]).expect_stderr("/root");
    let _ = refused(&["--bind=/usr:/etc/os-release"]).expect_stderr("/etc/os-release");
    let _ = refused(&["--overlay=/usr:/etc/passwd:/srv"]).expect_stderr("directories");
    let _ = refused(&["--tmpfs=/proc"]).expect_stderr("/proc");
    let done = sandbox.nsrun(&["boot", "--bind=/usr:/srv:bogus", &image]);
    let _ = done.expect_status(2).expect_stderr("bogus");
}

#[test]
fn a_dry_run_tells_the_mounts_and_makes_nothing() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("dry", &[]);
    let options = ["--dry-run", "--bind=:/srv", "--tmpfs=/srv/fs"];
    let done = run(&sandbox, &options, &image, &["facts"]).success();
    assert!(done.stdout.contains("a new directory on /srv"), "{done}");
    assert!(done.stdout.contains("tmpfs on /srv/fs"), "{done}");
    assert!(!sandbox.image_root().join(&image).join("srv").exists());
}

// The root goes through the locks for that, and stage 2 of NixOS remounts it.
#[test]
fn systems_boot_with_something_of_theirs_covered() {
    let sandbox = Sandbox::new();
    for (name, build) in [("nixos", "demo"), ("debian", "trixie")] {
        let image = sandbox.install(name, &[build]);
        let words = [
            "start",
            "--wait=ready",
            "--network=private",
            "--inaccessible=/srv",
        ];
        let mut start = sandbox.command(&words);
        start.arg(&image);
        fs::create_dir_all(sandbox.image_root().join(&image).join("srv")).must("make /srv");
        let _ = nsrun_tests::done::run(start, nsrun_tests::patience(180)).success();
        let known: serde_json::Value = sandbox
            .nsrun(&["--json", "status", &image])
            .success()
            .json();
        let manager = &known["manager"];
        assert_eq!(manager["state"], "running", "{build}: {manager}");
        let _ = sandbox
            .nsrun(&["exec", &image, "--", "umount", "/srv"])
            .expect_stderr("not mounted")
            .expect_status(32);
        let _ = sandbox.nsrun(&["stop", &image]).success();
    }
}
