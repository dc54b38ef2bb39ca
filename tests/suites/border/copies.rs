//! `nsrun cp`, `copy-to` and `copy-from`.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

use nsrun_tests::done::{Done, run, run_with_input};
use nsrun_tests::{Must, Sandbox, patience};
use rustix::fs::lgetxattr;
use serde_json::Value;

use super::trees::{listing, mode, tree};
use super::{attempts, up};

fn text(path: &Path) -> &str {
    path.to_str().must("a path as text")
}

fn nsrun(sandbox: &Sandbox, words: &[&str]) -> Done {
    sandbox.nsrun(words)
}

/// Ways to have the machine, and whether it runs.
const WAYS: [(&[&str], bool); 3] = [(&[], true), (&["--private-users=no"], true), (&[], false)];

#[test]
fn a_tree_goes_in_and_comes_out_as_it_was() {
    for (number, (options, runs)) in WAYS.into_iter().enumerate() {
        let sandbox = Sandbox::on_disk();
        let tree = tree(&sandbox, "tree");
        let before = listing(&tree);
        let base = format!("tree{number}");
        let machine = runs.then(|| up(&sandbox, &base, options));
        let image = match &machine {
            Some(machine) => machine.name().to_owned(),
            None => sandbox.tiny(&base, &[]),
        };
        let inside = format!("{image}:/root");
        let done = nsrun(&sandbox, &["cp", text(&tree), &inside]).success();
        assert_eq!(done.stderr, "", "{options:?}");
        // The image's owners on the disk are those inside.
        let copy = sandbox.image_root().join(&image).join("root/tree");
        assert_eq!(listing(&copy), before, "{options:?} {runs}");
        let sparse = fs::metadata(copy.join("sparse")).must("find the sparse file");
        assert!(
            sparse.blocks() * 512 < sparse.size() / 2,
            "{}",
            sparse.blocks()
        );
        let twins = ["first", "dir/second"].map(|name| {
            let found = fs::metadata(copy.join(name)).must("find a linked file");
            found.ino()
        });
        assert_eq!(twins[0], twins[1]);
        let out = sandbox.dir().join("out");
        let from = format!("{inside}/tree");
        let _ = nsrun(&sandbox, &["cp", "--keep-privileges", &from, text(&out)]).success();
        assert_eq!(listing(&out), before, "{options:?} {runs}");
        if let Some(machine) = machine {
            let _ = machine.stop().success();
        }
    }
}

#[test]
fn an_ephemeral_machine_takes_a_tree_and_its_image_does_not() {
    for option in ["--ephemeral", "--ephemeral=disk", "--tmpfs=/root"] {
        let sandbox = Sandbox::on_disk();
        let tree = tree(&sandbox, "tree");
        let machine = up(&sandbox, "passing", &[option]);
        let inside = format!("{}:/root", machine.name());
        let _ = nsrun(&sandbox, &["cp", text(&tree), &inside]).success();
        let out = sandbox.dir().join("out");
        let from = format!("{inside}/tree");
        let _ = nsrun(&sandbox, &["cp", "--keep-privileges", &from, text(&out)]).success();
        assert_eq!(listing(&out), listing(&tree), "{option}");
        let on_disk = sandbox.image_root().join(machine.name()).join("root");
        let left = fs::read_dir(on_disk).must("list a directory").count();
        assert_eq!(left, 0, "{option}");
        let _ = machine.stop().success();
    }
}

#[test]
fn programs_that_come_out_give_no_privileges() {
    let sandbox = Sandbox::on_disk();
    let tree = tree(&sandbox, "tree");
    let machine = up(&sandbox, "setid", &[]);
    let _ = nsrun(
        &sandbox,
        &["copy-to", machine.name(), text(&tree), "/root/tree"],
    )
    .success();
    let out = sandbox.dir().join("out");
    let words = ["copy-from", machine.name(), "/root/tree", text(&out)];
    let done = nsrun(&sandbox, &words).success();
    let _ = done.expect_stderr("2 programs lost their set-user-ID");
    let bits = |name: &str| {
        let found = fs::metadata(out.join(name)).must("find a copy");
        found.mode() & 0o7777
    };
    assert_eq!((bits("program"), bits("dir")), (0o755, 0o2750));
    let mut value = [0; 24];
    let got = lgetxattr(out.join("capable"), "security.capability", &mut value[..]);
    assert!(got.is_err(), "{got:?}");
    let _ = machine.stop().success();
}

#[test]
fn owners_that_the_machine_has_not_are_replaced_and_counted() {
    let sandbox = Sandbox::on_disk();
    let file = sandbox.dir().join("foreign");
    fs::write(&file, "x").must("write a file");
    chown(&file, Some(70_000), Some(0)).must("give a file away");
    mode(&file, 0o4755);
    let machine = up(&sandbox, "foreign", &[]);
    let words = [
        "cp",
        "--json",
        text(&file),
        &format!("{}:/root/", machine.name()),
    ];
    let report: Value = nsrun(&sandbox, &words).success().json();
    assert_eq!(report["counts"]["files"], 1);
    assert_eq!(report["warnings"][0]["kind"], "replaced_owners", "{report}");
    assert_eq!(report["warnings"][0]["first"], "foreign", "{report}");
    let copy = sandbox
        .image_root()
        .join(machine.name())
        .join("root/foreign");
    let copy = fs::metadata(copy).must("find the copy");
    assert_eq!((copy.uid(), copy.mode() & 0o7777), (0, 0o755));
    let _ = machine.stop().success();
}

#[test]
fn the_destination_is_understood_as_by_cp() {
    let sandbox = Sandbox::on_disk();
    let host = sandbox.dir().join("host");
    fs::create_dir_all(host.join("sub")).must("make directories");
    fs::write(host.join("sub/file"), "new").must("write a file");
    let file = host.join("sub/file");
    let machine = up(&sandbox, "names", &[]);
    let cp = |from: &str, to: &str| {
        let to = format!("{}:{to}", machine.name());
        nsrun(&sandbox, &["cp", from, &to])
    };
    let read = |path: &str| attempts(&machine, &[&format!("read {path}")])[0].clone();
    let _ = cp(text(&file), "/root").success();
    assert_eq!(read("/root/file"), "new");
    let _ = cp(text(&file), "/root/renamed").success();
    assert_eq!(read("/root/renamed"), "new");
    // From the root, as the machine has no other place to begin at.
    let _ = cp(text(&file), "root/relative").success();
    assert_eq!(read("/root/relative"), "new");
    let _ = cp(text(&host.join("sub")), "/root/made").success();
    assert_eq!(read("/root/made/file"), "new");
    let _ = cp(text(&host.join("sub")), "/root/made").success();
    assert_eq!(read("/root/made/sub/file"), "new");
    fs::write(&file, "newer").must("write a file");
    let _ = cp(&format!("{}/sub/.", host.display()), "/root/made").success();
    assert_eq!(read("/root/made/file"), "newer");
    assert_eq!(read("/root/made/sub/file"), "new");
    let _ = cp(text(&file), "/root/none/").expect_status(3);
    let _ = cp(text(&file), "/root/none/file").expect_status(3);
    let _ = cp(text(&host.join("sub")), "/root/file")
        .expect_status(6)
        .expect_stderr("no directory");
    let _ = cp("/nothing/here", "/root")
        .expect_status(3)
        .expect_stderr("/nothing/here");
    let back = format!("{}:/missing", machine.name());
    let _ = nsrun(&sandbox, &["cp", &back, "/tmp"])
        .expect_status(3)
        .expect_stderr("missing");
    let seen = attempts(&machine, &["list /root", "list /root/made"]);
    assert_eq!(
        seen,
        ["file made relative renamed", "file sub"],
        "nothing else is left"
    );
    let _ = machine.stop().success();
}

#[test]
fn links_are_copied_as_they_are_and_lead_nowhere_out_of_the_machine() {
    let sandbox = Sandbox::on_disk();
    let outside = sandbox.dir().join("outside");
    fs::create_dir(&outside).must("make a directory");
    fs::write(outside.join("secret"), "host's").must("write a file");
    let image = sandbox.tiny("links", &["notify READY=1"]);
    let inner = sandbox.image_root().join(&image);
    symlink(&outside, inner.join("away")).must("make a link");
    symlink(outside.join("secret"), inner.join("stolen")).must("make a link");
    symlink("/etc/os-release", inner.join("within")).must("make a link");
    let machine = sandbox.boot(&image).up();
    let name = machine.name();
    let to = sandbox.dir().join("to");
    fs::create_dir(&to).must("make a directory");
    let out = |path: &str, option: Option<&str>| {
        let from = format!("{name}:{path}");
        let words = ["cp", from.as_str(), text(&to)];
        nsrun(&sandbox, &[&words[..], option.as_slice()].concat())
    };
    let _ = out("/stolen", None).success();
    let copied = fs::read_link(to.join("stolen")).must("find a link");
    assert_eq!(copied, outside.join("secret"));
    let _ = out("/stolen", Some("-L")).expect_status(3);
    let _ = out("/within", Some("--follow")).success();
    let content = fs::read_to_string(to.join("within")).must("read the copy");
    assert!(content.contains("ID=tiny"), "{content}");
    let secret = outside.join("secret");
    let into = format!("{name}:/away");
    // The link's path does not exist in the machine: it is what the copy is called.
    let _ = nsrun(&sandbox, &["cp", text(&secret), &into]).success();
    let left = fs::read_dir(&outside).must("list a directory").count();
    assert_eq!(left, 1, "something was made on the host");
    assert_eq!(attempts(&machine, &["read /away"]), ["host's"]);
    let _ = machine.stop().success();
}

#[test]
fn copy_to_and_copy_from_replace_nothing_unless_forced() {
    let sandbox = Sandbox::on_disk();
    let dir = sandbox.dir().join("dir");
    fs::create_dir_all(dir.join("sub")).must("make directories");
    fs::write(dir.join("a"), "first").must("write a file");
    fs::write(dir.join("sub/b"), "first").must("write a file");
    let machine = up(&sandbox, "force", &[]);
    let name = machine.name();
    let to = |words: &[&str]| nsrun(&sandbox, &[&["copy-to", name], words].concat());
    let _ = to(&[text(&dir), "/root/dir"]).success();
    fs::write(dir.join("a"), "second").must("write a file");
    fs::write(dir.join("new"), "new").must("write a file");
    let _ = to(&[text(&dir), "/root/dir"])
        .expect_status(4)
        .expect_stderr("exists already")
        .expect_stderr("--force");
    let words = ["read /root/dir/a", "list /root/dir", "list /root"];
    let seen = attempts(&machine, &words);
    assert_eq!(seen, ["first", "a sub", "dir"], "nothing was begun");
    let _ = to(&["--force", text(&dir), "/root/dir"]).success();
    assert_eq!(attempts(&machine, &words), ["second", "a new sub", "dir"]);
    // By the same path, where that leads to.
    let _ = to(&[text(&dir.join("a"))]).expect_status(3);
    let _ = to(&["/etc/hostname"]).success();
    let _ = to(&["/etc/hostname", "/root"])
        .expect_status(6)
        .expect_stderr("directory");
    let out = sandbox.dir().join("out");
    let from = |words: &[&str]| nsrun(&sandbox, &[&["copy-from", name], words].concat());
    let _ = from(&["/root/dir", text(&out)]).success();
    assert_eq!(
        fs::read_to_string(out.join("a")).must("read a copy"),
        "second"
    );
    let _ = from(&["/root/dir/a", text(&out.join("new"))]).expect_status(4);
    let _ = from(&["--force", "/root/dir/a", text(&out.join("new"))]).success();
    assert_eq!(
        fs::read_to_string(out.join("new")).must("read a copy"),
        "second"
    );
    let _ = machine.stop().success();
}

#[test]
fn archives_are_read_and_written_by_a_dash() {
    let sandbox = Sandbox::on_disk();
    let machine = up(&sandbox, "tar", &[]);
    let name = machine.name();
    let archive = sandbox.dir().join("etc.tar");
    let command = sandbox.command(&["cp", &format!("{name}:/etc"), "-"]);
    let mut to_file = nsrun_tests::nsrun::plain("/bin/sh");
    to_file.args(["-c", r#"exec "$@" >"$0""#]).arg(&archive);
    to_file.arg(command.get_program()).args(command.get_args());
    let set = command.get_envs();
    to_file.envs(set.filter_map(|(key, value)| Some((key, value?))));
    let _ = run(to_file, patience(20)).success();
    let mut tar = nsrun_tests::nsrun::plain("/bin/tar");
    tar.arg("-tf").arg(&archive);
    let listed = run(tar, patience(20)).success().stdout;
    assert!(listed.contains("etc/pid1.conf\n"), "{listed}");
    let bytes = fs::read(&archive).must("read the archive");
    let into = sandbox.command(&["cp", "-", &format!("{name}:/root")]);
    let _ = run_with_input(into, &bytes, patience(20)).success();
    assert_eq!(
        attempts(&machine, &["read /root/etc/pid1.conf"]),
        ["notify READY=1"]
    );
    let into = sandbox.command(&["cp", "-", &format!("{name}:/root")]);
    let cut = bytes.get(..700).must("take a part");
    let _ = run_with_input(into, cut, patience(20)).expect_status(6);
    let into = sandbox.command(&["cp", "-", &format!("{name}:/none")]);
    let _ = run_with_input(into, &bytes, patience(20)).expect_status(3);
    assert_eq!(
        attempts(&machine, &["list /root"]),
        ["etc"],
        "nothing else is left"
    );
    let _ = machine.stop().success();
}

#[test]
fn from_one_machine_to_another_numbers_stay() {
    let sandbox = Sandbox::on_disk();
    let tree = tree(&sandbox, "tree");
    let one = up(&sandbox, "one", &[]);
    let other = up(&sandbox, "other", &[]);
    let _ = nsrun(
        &sandbox,
        &["copy-to", one.name(), text(&tree), "/root/tree"],
    )
    .success();
    let from = format!("{}:/root/tree", one.name());
    let to = format!("{}:/srv", other.name());
    let _ = nsrun(&sandbox, &["cp", &from, &to]).success();
    let copy = sandbox.image_root().join(other.name()).join("srv");
    assert_eq!(listing(&copy), listing(&tree));
    // Into itself, without an end of it.
    let within = format!("{}:/root/tree/dir", one.name());
    let _ = nsrun(&sandbox, &["cp", &from, &within]).success();
    let seen = attempts(&one, &["list /root/tree/dir/tree/dir"]);
    assert_eq!(seen, ["dangling fifo second"]);
    let _ = one.stop().success();
    let _ = other.stop().success();
}

#[test]
fn what_cannot_be_copied_is_told_by_status() {
    let sandbox = Sandbox::on_disk();
    let _ = nsrun(&sandbox, &["cp", "/etc/hostname", "/tmp/x"])
        .expect_status(2)
        .expect_stderr("NAME:PATH");
    let _ = nsrun(&sandbox, &["cp", "/etc/hostname", "nobody:/x"])
        .expect_status(3)
        .expect_stderr("nobody");
    let _ = nsrun(&sandbox, &["copy-from", "nobody", "/x"]).expect_status(3);
    let machine = up(&sandbox, "refuse", &["--read-only"]);
    let name = machine.name();
    let into = format!("{name}:/x");
    let _ = nsrun(&sandbox, &["cp", "/etc/hostname", &into])
        .expect_status(1)
        .expect_stderr("read-only");
    let _ = nsrun(&sandbox, &["cp", &format!("{name}:/dev/null"), "/tmp"]).expect_status(6);
    let _ = nsrun(&sandbox, &["pause", name]).success();
    let _ = nsrun(&sandbox, &["cp", &format!("{name}:/etc"), "-"])
        .expect_status(4)
        .expect_stderr("paused");
    let _ = nsrun(&sandbox, &["resume", name]).success();
    let _ = machine.stop().success();
}
