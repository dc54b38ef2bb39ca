//! `nsrun import` of what it should take: the same tree whatever the archive's form, and all
//! or nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nsrun_tests::archive::{Archive, Entry, Kind};
use nsrun_tests::done::{Running, run, run_with_input};
use nsrun_tests::{Console, Must, Sandbox, image, nsrun, patience, rng, wait_until};
use rustix::process::Signal;
use serde_json::Value;

/// Writes an archive into the sandbox.
fn archive(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> PathBuf {
    let path = sandbox.dir().join(name);
    fs::write(&path, bytes).must("write an archive");
    path
}

/// Runs a shell line in the sandbox's directory.
fn shell(sandbox: &Sandbox, script: &str) {
    let mut command = nsrun::plain("/bin/sh");
    command.args(["-ec", script]).current_dir(sandbox.dir());
    run(command, patience(120)).success();
}

/// Everything that `find` and `sha256sum` can tell of a tree, sorted; of directories not
/// the size and the number of links, which the file system makes up, and nothing of the
/// root, which archives need not hold.
fn listing(tree: &Path) -> String {
    let script = "
        find . -mindepth 1 ! -type d -printf '%p %y %m %U %G %s %T@ %n %l\\n' -o \
            -mindepth 1 -type d -printf '%p %y %m %U %G %T@\\n' | LC_ALL=C sort
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum";
    let mut command = nsrun::plain("/bin/sh");
    command.args(["-ec", script]).current_dir(tree);
    run(command, patience(120)).success().stdout
}

/// Fails with the lines that differ.
#[track_caller]
fn assert_same(ours: &str, wanted: &str) {
    assert!(wanted.lines().count() > 10, "a tree of nothing: {wanted}");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (ours, wanted) = (lines(ours), lines(wanted));
    let surplus: Vec<_> = ours.difference(&wanted).take(10).collect();
    let missing: Vec<_> = wanted.difference(&ours).take(10).collect();
    assert!(
        surplus.is_empty() && missing.is_empty(),
        "surplus: {surplus:#?}, missing: {missing:#?}"
    );
}

fn import(sandbox: &Sandbox, archive: &Path, name: &str) -> Value {
    let file = archive.to_str().must("name an archive");
    sandbox
        .nsrun(&["--json", "import", file, name])
        .success()
        .json()
}

/// An archive with one of everything that an image may hold.
fn everything() -> Vec<u8> {
    Archive::image()
        .directory("deep/")
        .directory("home/")
        .directory("nix/")
        .directory("run/")
        .directory("usr/")
        .directory("usr/bin/")
        .with(&Entry::file("usr/bin/su", b"binary").mode(0o4755))
        .with(&Entry::file("home/file", b"x").owner(1000))
        .with(&Entry::new(Kind::Directory, "nix/store/").mode(0o555))
        .with(&Entry::new(Kind::Directory, "tmp/").mode(0o1777))
        .symlink("etc/localtime", "/usr/share/zoneinfo/UTC")
        .hard_link("usr/bin/su2", "usr/bin/su")
        .with(&Entry::new(Kind::Fifo, "run/fifo"))
        .records(&[("path", &format!("deep/{}", "x".repeat(250)))])
        .file("short", b"long name")
        .records(&[("mtime", "1000000000.123456789")])
        .file("dated", b"")
        .file("twice", b"first")
        .file("twice", b"second")
        .end()
}

#[test]
fn the_demo_image_is_unpacked_as_tar_does_it() {
    let sandbox = Sandbox::new();
    let report = import(&sandbox, &image::artefact(&["demo"]), "demo");
    assert_eq!(
        report["warnings"],
        Value::Array(vec![]),
        "pixz's index is no news"
    );
    let peer = image::tree(&["demo"]);
    assert_same(
        &listing(&sandbox.image_root().join("demo")),
        &listing(&peer.path),
    );
}

#[test]
fn a_debian_image_is_unpacked_as_tar_does_it() {
    let sandbox = Sandbox::new();
    let _ = import(&sandbox, &image::artefact(&["trixie"]), "trixie");
    let peer = image::tree(&["trixie"]);
    assert_eq!(
        listing(&sandbox.image_root().join("trixie")),
        listing(&peer.path)
    );
}

#[test]
fn every_kind_of_member_is_kept() {
    let sandbox = Sandbox::new();
    let file = archive(&sandbox, "all.tar", &everything());
    let report = import(&sandbox, &file, "all");
    assert_eq!(report["counts"]["symlinks"], 1);
    assert_eq!(report["counts"]["hard_links"], 1);
    assert_eq!(report["counts"]["fifos"], 1);
    let root = sandbox.image_root().join("all");
    let meta = |name: &str| root.join(name).symlink_metadata().must(name);
    assert_eq!(meta("usr/bin/su").mode() & 0o7777, 0o4755);
    assert_eq!(meta("usr/bin/su").ino(), meta("usr/bin/su2").ino());
    assert_eq!(
        (meta("home/file").uid(), meta("home/file").gid()),
        (1000, 1000)
    );
    assert_eq!(meta("nix/store").mode() & 0o7777, 0o555);
    assert_eq!(meta("tmp").mode() & 0o7777, 0o1777);
    assert_eq!(
        (meta("dated").mtime(), meta("dated").mtime_nsec()),
        (1_000_000_000, 123_456_789)
    );
    assert_eq!(
        fs::read_to_string(root.join("twice")).must("read"),
        "second"
    );
    assert_eq!(
        fs::read_link(root.join("etc/localtime")).must("read a link"),
        Path::new("/usr/share/zoneinfo/UTC")
    );
}

#[test]
fn compression_is_found_by_content_and_changes_nothing() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "plain", &everything());
    let _ = import(&sandbox, &sandbox.dir().join("plain"), "plain");
    let wanted = listing(&sandbox.image_root().join("plain"));
    // Names that tell nothing, and one that lies.
    for (name, compress) in [
        ("one", "xz -c plain"),
        ("blocks", "xz -c --block-size=1024 plain"),
        (
            "streams",
            "{ head -c 5000 plain | xz -c; tail -c +5001 plain | xz -c; }",
        ),
        ("index", "pixz <plain"),
        ("noindex", "pixz -t <plain"),
        ("zstd", "zstd -q -c plain"),
        (
            "frames",
            "{ head -c 5000 plain | zstd -c; tail -c +5001 plain | zstd -c; }",
        ),
        ("gzip", "gzip -c plain"),
        (
            "members",
            "{ head -c 5000 plain | gzip -c; tail -c +5001 plain | gzip -c; }",
        ),
        ("bzip2", "bzip2 -c plain"),
        ("lie.tar.xz", "gzip -c plain"),
    ] {
        shell(&sandbox, &format!("{compress} >{name}"));
        let image = name.trim_end_matches(".tar.xz");
        let report = import(&sandbox, &sandbox.dir().join(name), image);
        assert_eq!(report["warnings"], Value::Array(vec![]), "{name}");
        println!("{name}");
        assert_same(&listing(&sandbox.image_root().join(image)), &wanted);
    }
}

#[test]
fn standard_input_will_do() {
    let sandbox = Sandbox::new();
    let command = sandbox.command(&["import", "-", "piped"]);
    run_with_input(command, &everything(), patience(60)).success();
    assert!(sandbox.image_root().join("piped/sbin/init").exists());
}

#[test]
fn a_single_directory_at_the_top_is_the_root() {
    let sandbox = Sandbox::new();
    let bytes = Archive::new()
        .with(&Entry::new(Kind::Directory, "image/").mode(0o755))
        .directory("image/etc/")
        .file("image/etc/os-release", b"ID=x\n")
        .end();
    let _ = import(&sandbox, &archive(&sandbox, "top.tar", &bytes), "top");
    assert!(sandbox.image_root().join("top/etc/os-release").exists());
    assert!(!sandbox.image_root().join("top/image").exists());
}

#[test]
fn a_directory_is_imported_with_owners_links_and_holes() {
    let sandbox = Sandbox::new();
    let source = image::tree(&["trixie"]);
    let from = source.path.to_str().must("name a tree");
    sandbox.nsrun(&["import-fs", from, "copy"]).success();
    let copy = sandbox.image_root().join("copy");
    assert_same(&listing(&copy), &listing(&source.path));
}

#[test]
fn attributes_and_file_capabilities_are_kept() {
    let sandbox = Sandbox::new();
    // chown as permitted and effective, in the form without a root id.
    let capability = "\u{1}\0\0\u{2}\u{1}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let bytes = Archive::image()
        .records(&[("SCHILY.xattr.security.capability", capability)])
        .with(&Entry::file("bin/chown", b"x").mode(0o755))
        .records(&[
            ("SCHILY.xattr.user.note", "kept"),
            ("SCHILY.xattr.trusted.overlay", "no"),
        ])
        .file("noted", b"")
        .end();
    let report = import(&sandbox, &archive(&sandbox, "a.tar", &bytes), "attributes");
    let root = sandbox.image_root().join("attributes");
    let get = |file: &str, name: &str| {
        let mut value = [0; 64];
        let count = rustix::fs::lgetxattr(root.join(file), name, &mut value[..]);
        count.map(|count| value[..count].to_vec())
    };
    assert_eq!(
        get("bin/chown", "security.capability").must("read"),
        capability.as_bytes()
    );
    assert_eq!(get("noted", "user.note").must("read"), b"kept");
    assert!(get("noted", "trusted.overlay").is_err());
    assert_eq!(report["warnings"][0]["kind"], "attributes", "{report}");
}

#[test]
fn holes_of_sparse_files_are_kept() {
    let sandbox = Sandbox::on_disk();
    shell(
        &sandbox,
        "mkdir tree; truncate -s 8M tree/big; echo end >>tree/big; cp -r /etc/ssl tree/etc
         find tree -exec touch -h -d @1700000000 {} +",
    );
    let wanted = listing(&sandbox.dir().join("tree"));
    for form in [
        "gnu",
        "pax",
        "posix --sparse-version=0.1",
        "posix --sparse-version=0.0",
    ] {
        shell(
            &sandbox,
            &format!("tar -C tree -cSf sparse.tar --format={form} ."),
        );
        let _ = import(&sandbox, &sandbox.dir().join("sparse.tar"), "sparse");
        let image = sandbox.image_root().join("sparse");
        println!("{form}");
        assert_same(&listing(&image), &wanted);
        let meta = fs::metadata(image.join("big")).must("look at a file");
        assert!(
            meta.blocks() * 512 < 1 << 20,
            "{form}: {} blocks",
            meta.blocks()
        );
        sandbox_remove(&sandbox, "sparse");
    }
}

#[test]
fn progress_goes_to_stderr_in_lines_of_tenths_and_quiet_says_nothing() {
    let sandbox = Sandbox::new();
    let demo = image::artefact(&["demo"]);
    let demo = demo.to_str().must("name an archive");
    let done = sandbox.nsrun(&["import", demo, "loud"]).success();
    for tenth in (10..=100).step_by(10) {
        assert_eq!(
            done.stderr.matches(&format!(" {tenth}%")).count(),
            1,
            "{done}"
        );
    }
    let done = sandbox
        .nsrun(&["--quiet", "import", demo, "quiet"])
        .success();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
}

#[test]
fn a_terminal_gets_a_bar_with_rate_and_time() {
    let sandbox = Sandbox::new();
    let demo = image::artefact(&["demo"]);
    let mut command = sandbox.command(&["import".as_ref(), demo.as_os_str(), "bar".as_ref()]);
    command.env("TERM", "xterm");
    let mut console = Console::start(&command);
    console.expect("B/s");
    assert_eq!(console.wait(patience(120)), 0, "{}", console.text());
    assert!(console.raw().contains(&b'\r'), "a bar is redrawn in place");
}

#[test]
fn the_image_root_must_be_roots_alone() {
    let sandbox = Sandbox::new();
    let file = archive(&sandbox, "a.tar", &everything());
    let file = file.to_str().must("name an archive");
    let root = sandbox.image_root();
    for (mode, owner) in [(0o755, 0), (0o710, 0), (0o701, 0), (0o700, 1000)] {
        fs::set_permissions(&root, fs::Permissions::from_mode(mode)).must("set a mode");
        std::os::unix::fs::chown(&root, Some(owner), None).must("set an owner");
        let done = sandbox.nsrun(&["import", file, "image"]).expect_status(5);
        let remedy = if owner == 0 { "chmod" } else { "chown" };
        let done = done.expect_stderr(remedy);
        assert!(
            done.stderr.contains(root.to_str().must("name the root")),
            "{done}"
        );
        assert!(!root.join("image").exists());
    }
}

#[test]
fn a_missing_image_root_is_made_for_root_alone() {
    let sandbox = Sandbox::new();
    let file = archive(&sandbox, "a.tar", &everything());
    fs::remove_dir(sandbox.image_root()).must("remove the image root");
    let _ = import(&sandbox, &file, "image");
    let mode = fs::metadata(sandbox.image_root()).must("look").mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn own_metadata_is_not_in_the_image() {
    let sandbox = Sandbox::new();
    let bytes = Archive::image().end();
    let _ = import(&sandbox, &archive(&sandbox, "a.tar", &bytes), "image");
    let mut names: Vec<_> = fs::read_dir(sandbox.image_root().join("image"))
        .must("list the image")
        .map(|entry| entry.must("list the image").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["etc", "sbin"]);
    assert!(sandbox.state_root().join("lib/meta/image.json").exists());
}

/// Starts an import of the demo image that takes a second or two.
fn start(sandbox: &Sandbox, name: &str) -> Running {
    let demo = image::artefact(&["demo"]);
    Running::start(sandbox.command(&["import".as_ref(), demo.as_os_str(), name.as_ref()]))
}

fn visible(sandbox: &Sandbox) -> Vec<String> {
    fs::read_dir(sandbox.image_root())
        .must("list the image root")
        .map(|entry| {
            entry
                .must("list the image root")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with('.'))
        .collect()
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_that_the_next_command_does_not_sweep() {
    let sandbox = Sandbox::new();
    let mut rng = rng::seeded("import killed");
    let rounds = if std::env::var_os("NSRUN_TEST_SOAK").is_some() {
        50
    } else {
        6
    };
    for round in 0..rounds {
        let mut import = start(&sandbox, "killed");
        sleep(Duration::from_millis(rng.u64(1..1500)));
        import.signal(Signal::KILL);
        let status = import.finish(patience(10)).status;
        if status == 0 {
            sandbox_remove(&sandbox, "killed");
        }
        // What it started dies with it, a moment later; until then its lock is held.
        wait_until(patience(10), "the processes of a killed import die", || {
            let left = sandbox.left();
            let dead = !left.iter().any(|thing| thing.starts_with("process"));
            dead.then_some(())
        });
        assert_eq!(visible(&sandbox), Vec::<String>::new(), "round {round}");
    }
    // Another import is a next command, too.
    let bytes = Archive::image().end();
    let _ = import(&sandbox, &archive(&sandbox, "a.tar", &bytes), "other");
    sandbox.assert_clean();
}

fn sandbox_remove(sandbox: &Sandbox, name: &str) {
    nsrun_tests::sandbox::remove_tree(&sandbox.image_root().join(name));
}

#[test]
fn interrupted_it_cleans_up_and_says_so() {
    let sandbox = Sandbox::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut import = start(&sandbox, "interrupted");
        sleep(Duration::from_millis(300));
        import.signal(signal);
        let done = import.finish(patience(20));
        assert_ne!(done.status, 0, "{done}");
        assert!(done.stderr.contains("interrupted"), "{done}");
        sandbox.assert_clean();
        assert_eq!(visible(&sandbox), Vec::<String>::new());
    }
}

#[test]
fn two_imports_of_one_name_do_not_meet() {
    let sandbox = Sandbox::new();
    let mut first = start(&sandbox, "same");
    let mut second = start(&sandbox, "same");
    let mut statuses = [
        first.finish(patience(120)).status,
        second.finish(patience(120)).status,
    ];
    statuses.sort_unstable();
    assert_eq!(statuses, [0, 4]);
    assert_eq!(visible(&sandbox), ["same"]);
}

#[test]
fn a_full_disk_is_told_before_or_after_and_nothing_stays() {
    let sandbox = Sandbox::new();
    let small = sandbox.dir().join("small");
    fs::create_dir(&small).must("make a mount point");
    let demo = image::artefact(&["demo"]);
    for options in [
        "size=8m,mode=0700",
        "size=90m,mode=0700",
        "nr_inodes=100,mode=0700",
    ] {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&small);
        run(mount, patience(10)).success();
        let mut command = sandbox.command(&["import", "--image-root"]);
        command.arg(&small).arg(&demo).arg("big");
        let done = run(command, patience(120));
        assert!(matches!(done.status, 1 | 6), "{options}: {done}");
        let told = ["free", "space"]
            .iter()
            .any(|word| done.stderr.contains(word));
        assert!(told, "{options}: {done}");
        assert_eq!(fs::read_dir(&small).must("list").count(), 0, "{options}");
        let mut umount = Command::new("umount");
        umount.arg(&small);
        run(umount, patience(10)).success();
    }
}
