//! What is unpacked is what tar unpacks.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nsrun_tests::archive::{Archive, Entry, Kind};
use nsrun_tests::done::{run, run_with_input};
use nsrun_tests::{Must, Sandbox, image, nsrun, patience};
use serde_json::Value;

use super::{archive, everything, import, sandbox_remove};

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
