//! `nsrun bind` and `nsrun unbind`.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;

use nsrun_tests::{Must, Sandbox};
use serde_json::Value;

use super::{attempts, source, up};

fn bind(sandbox: &Sandbox, words: &[&str]) -> nsrun_tests::Done {
    sandbox.nsrun(&[&["bind"], words].concat())
}

/// Ways to start a machine that a live mount must not mind.
const WAYS: [&[&str]; 4] = [
    &[],
    &["--private-users=no"],
    &["--ephemeral"],
    &["--volatile=overlay"],
];

#[test]
fn a_directory_appears_with_its_owners_and_goes_again() {
    for (number, options) in WAYS.iter().enumerate() {
        let sandbox = Sandbox::on_disk();
        let dir = source(&sandbox, "shared");
        let from = dir.to_str().must("a path as text");
        let machine = up(&sandbox, &format!("bind{number}"), options);
        let _ = bind(&sandbox, &["--mkdir", machine.name(), from, "/run/new/dir"]).success();
        let seen = attempts(
            &machine,
            &[
                "read /run/new/dir/file",
                "owner /run/new/dir/file",
                "owner /run/new/dir/other",
                "owner /run/new",
                "create /run/new/dir/made",
                "owner /run/new/dir/made",
            ],
        );
        let expected = ["content", "0 0", "1000 1000", "0 0", "ok", "0 0"];
        assert_eq!(seen, expected, "{options:?}");
        let made = fs::metadata(dir.join("made")).must("find what was made inside");
        assert_eq!((made.uid(), made.gid()), (0, 0), "{options:?}");
        let _ = sandbox
            .nsrun(&["unbind", machine.name(), "/run/new/dir"])
            .success();
        assert_eq!(attempts(&machine, &["list /run/new/dir"]), ["empty"]);
        let _ = machine.stop().success();
    }
}

#[test]
fn what_is_read_only_stays_so_and_can_be_taken_off_inside() {
    let sandbox = Sandbox::on_disk();
    let dir = source(&sandbox, "shared");
    let from = dir.to_str().must("a path as text");
    let machine = up(&sandbox, "ro", &[]);
    let _ = bind(&sandbox, &["--ro", machine.name(), from, "/root"]).success();
    let words = [
        "create /root/made",
        "remount-rw /root",
        "write /root/file x",
        "umount /root",
        "list /root",
    ];
    let seen = attempts(&machine, &words);
    assert_eq!(seen, ["EROFS", "EPERM", "EROFS", "ok", "empty"]);
    // It is gone, and nsrun knows.
    let status = sandbox
        .nsrun(&["status", "--json", machine.name()])
        .success();
    assert_eq!(status.json::<Value>()["binds"], Value::Array(Vec::new()));
    let _ = sandbox
        .nsrun(&["unbind", machine.name(), "/root"])
        .expect_status(3)
        .expect_stderr("nothing is mounted");
    let _ = machine.stop().success();
}

#[test]
fn status_tells_what_is_bound() {
    let sandbox = Sandbox::on_disk();
    let dir = source(&sandbox, "shared");
    let from = dir.to_str().must("a path as text");
    let machine = up(&sandbox, "told", &[]);
    let done = bind(&sandbox, &["--json", "--ro", machine.name(), from, "/root"]).success();
    let told: Value = done.json();
    let status = sandbox
        .nsrun(&["status", "--json", machine.name()])
        .success();
    let binds = &status.json::<Value>()["binds"];
    assert_eq!(binds[0], told);
    assert_eq!(binds[0]["source"], from);
    assert_eq!(binds[0]["target"], "/root");
    assert_eq!(binds[0]["read_only"], true);
    let text = sandbox.nsrun(&["status", machine.name()]).success().stdout;
    let line = format!("Binds: {from} on /root (read-only)");
    assert!(text.contains(&line), "{text}");
    let _ = machine.stop().success();
}

#[test]
fn files_and_sockets_are_bound_on_files() {
    let sandbox = Sandbox::on_disk();
    let dir = source(&sandbox, "shared");
    let socket = dir.join("socket");
    let _listener = UnixListener::bind(&socket).must("make a socket");
    let machine = up(&sandbox, "files", &[]);
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let name = machine.name();
    let _ = bind(&sandbox, &["--mkdir", name, &path("file"), "/etc/new/file"]).success();
    let _ = bind(&sandbox, &["--mkdir", name, &path("socket"), "/run/s"]).success();
    let seen = attempts(&machine, &["read /etc/new/file", "owner /run/s"]);
    assert_eq!(seen, ["content", "0 0"]);
    let _ = bind(&sandbox, &[name, &path("file"), "/etc"])
        .expect_status(6)
        .expect_stderr("is a directory");
    let _ = bind(&sandbox, &[name, &path(""), "/etc/pid1.conf"])
        .expect_status(6)
        .expect_stderr("a directory is mounted on a directory");
    let _ = sandbox.nsrun(&["unbind", name, "/etc/new/file"]).success();
    let _ = machine.stop().success();
}

#[test]
fn mounts_below_a_source_come_along_and_cannot_be_uncovered() {
    let sandbox = Sandbox::on_disk();
    let dir = source(&sandbox, "shared");
    let from = dir.to_str().must("a path as text");
    let below = dir.join("below");
    fs::create_dir(&below).must("make a directory");
    fs::write(below.join("covered"), "").must("write a file");
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount(c"none", &below, c"tmpfs", flags, None).must("mount a tmpfs");
    fs::write(below.join("inner"), "").must("write a file");
    let machine = up(&sandbox, "rec", &[]);
    let name = machine.name();
    let _ = bind(&sandbox, &[name, from, "/root"]).success();
    let seen = attempts(&machine, &["list /root/below", "umount /root/below"]);
    assert_eq!(seen, ["inner", "EINVAL"]);
    let _ = sandbox.nsrun(&["unbind", name, "/root"]).success();
    let _ = bind(&sandbox, &["--options=norbind", name, from, "/root"]).success();
    assert_eq!(attempts(&machine, &["list /root/below"]), ["covered"]);
    let _ = machine.stop().success();
    rustix::mount::unmount(&below, rustix::mount::UnmountFlags::empty()).must("unmount it");
}

#[test]
fn options_for_ids_tell_whose_the_files_are() {
    let sandbox = Sandbox::on_disk();
    let dir = source(&sandbox, "shared");
    let from = dir.to_str().must("a path as text");
    let machine = up(&sandbox, "ids", &[]);
    let owners = |ids: &str| {
        let options = format!("--options={ids}");
        let _ = bind(&sandbox, &[&options, machine.name(), from, "/root"]).success();
        let seen = attempts(&machine, &["owner /root/file", "owner /root/other"]);
        let _ = sandbox
            .nsrun(&["unbind", machine.name(), "/root"])
            .success();
        seen
    };
    let nobody = "65534 65534";
    assert_eq!(owners("noidmap"), [nobody, nobody]);
    assert_eq!(owners("rootidmap"), ["0 0", nobody]);
    assert_eq!(owners("owneridmap"), ["0 0", nobody]);
    let done = bind(&sandbox, &["--options=bogus", machine.name(), from]);
    let _ = done.expect_status(2).expect_stderr("bogus");
    let _ = machine.stop().success();
}

#[test]
fn the_place_is_looked_for_inside() {
    let sandbox = Sandbox::on_disk();
    let dir = source(&sandbox, "shared");
    let from = dir.to_str().must("a path as text");
    let outside = sandbox.dir().join("outside");
    fs::create_dir(&outside).must("make a directory");
    let image = sandbox.tiny("links", &["notify READY=1"]);
    let tree = sandbox.image_root().join(&image);
    symlink(&outside, tree.join("away")).must("make a link");
    let up = format!("../../../../../../../..{}", outside.display());
    symlink(up, tree.join("up")).must("make a link");
    symlink("/root", tree.join("within")).must("make a link");
    let machine = sandbox.boot(&image).up();
    let name = machine.name();
    for target in ["/away/x", "/up/x", "/missing"] {
        let done = bind(&sandbox, &[name, from, target]);
        let _ = done.expect_status(3).expect_stderr("--mkdir");
    }
    let left = fs::read_dir(&outside).must("list a directory").count();
    assert_eq!(left, 0, "something was made on the host");
    let _ = bind(&sandbox, &[name, from, "/within"]).success();
    assert_eq!(attempts(&machine, &["list /root"]), ["file other"]);
    // The same mount by its other name.
    let _ = sandbox.nsrun(&["unbind", name, "/within"]).success();
    let _ = machine.stop().success();
}

#[test]
fn only_what_bind_has_mounted_is_taken_off_unless_forced() {
    let sandbox = Sandbox::on_disk();
    let dir = source(&sandbox, "shared");
    let option = format!("--bind={}:/root", dir.display());
    let machine = up(&sandbox, "own", &[&option, "--tmpfs=/srv"]);
    let unbind = |words: &[&str]| sandbox.nsrun(&[&["unbind", machine.name()], words].concat());
    for target in ["/root", "/srv"] {
        let done = unbind(&[target]).expect_status(3);
        let _ = done.expect_stderr("not put there").expect_stderr("--force");
    }
    let _ = unbind(&["/etc"])
        .expect_status(3)
        .expect_stderr("nothing is mounted");
    let _ = unbind(&["--force", "/etc"]).expect_status(3);
    let _ = unbind(&["/nothing"]).expect_status(3);
    let _ = unbind(&["relative"]).expect_status(2);
    let _ = unbind(&["--force", "/root"]).success();
    assert_eq!(attempts(&machine, &["list /root"]), ["empty"]);
    let _ = machine.stop().success();
}

#[test]
fn what_cannot_be_bound_is_told_by_status() {
    let sandbox = Sandbox::on_disk();
    let dir = source(&sandbox, "shared");
    let from = dir.to_str().must("a path as text");
    let _ = bind(&sandbox, &["nobody", from, "/root"])
        .expect_status(3)
        .expect_stderr("no machine nobody");
    let _ = sandbox
        .nsrun(&["unbind", "nobody", "/root"])
        .expect_status(3);
    let machine = up(&sandbox, "refuse", &["--read-only"]);
    let name = machine.name();
    let done = bind(&sandbox, &[name, "/nothing/here", "/root"]);
    let _ = done.expect_status(3).expect_stderr("/nothing/here");
    let done = bind(&sandbox, &["--mkdir", name, from, "/made"]);
    let _ = done.expect_status(1).expect_stderr("read-only");
    for target in ["/", "/proc", "/dev"] {
        let done = bind(&sandbox, &[name, from, target]);
        let _ = done.expect_status(2).expect_stderr("the machine's own");
    }
    let _ = bind(&sandbox, &[name, from, "relative"]).expect_status(2);
    let _ = bind(&sandbox, &[name, "/proc/sys", "/root"])
        .expect_status(5)
        .expect_stderr("has no idmapped mounts")
        .expect_stderr("--options=noidmap");
    let _ = bind(&sandbox, &[name, "/dev/null", "/etc/pid1.conf"])
        .expect_status(6)
        .expect_stderr("device node");
    let _ = machine.stop().success();
}

#[test]
fn a_sandboxed_unit_of_debian_sees_it_come_and_go() {
    let sandbox = Sandbox::on_disk();
    let dir = source(&sandbox, "shared");
    let from = dir.to_str().must("a path as text");
    let image = sandbox.install("debian", &["trixie"]);
    let machine = sandbox.boot(&image).options(&["--network=host"]).up();
    // With a mount namespace of its own.
    let unit = [
        "systemd-run",
        "--quiet",
        "--unit=looks",
        "--property=PrivateTmp=yes",
        "--property=ProtectSystem=yes",
        "sleep",
        "infinity",
    ];
    let _ = machine.exec(&unit).success();
    let pid = machine.output_of(&[
        "systemctl",
        "show",
        "--value",
        "--property=MainPID",
        "looks",
    ]);
    let inner = format!("/proc/{pid}/root/srv");
    let list = || machine.output_of(&["ls", &inner]);
    assert_eq!(list(), "");
    let _ = bind(&sandbox, &["--ro", machine.name(), from, "/srv"]).success();
    assert_eq!(list(), "file\nother");
    assert_eq!(
        machine.output_of(&["stat", "-c", "%U %u", "/srv/other"]),
        "UNKNOWN 1000"
    );
    let _ = sandbox.nsrun(&["unbind", machine.name(), "/srv"]).success();
    assert_eq!(list(), "");
    let _ = machine.stop().success();
}
