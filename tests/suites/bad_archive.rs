//! Archives that are damaged or hostile: each is refused with a message of its own, and
//! nothing of it stays, inside the image root or outside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nsrun_tests::archive::{Archive, Entry, Kind};
use nsrun_tests::done::{Done, run};
use nsrun_tests::{Must, Sandbox, nsrun, patience, rng};
use serde_json::Value;

/// A host file that no archive may change, beside the image root.
fn victim(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.dir().join("victim");
    fs::write(&path, "untouched").must("write the victim");
    path
}

fn attempt(sandbox: &Sandbox, bytes: &[u8]) -> Done {
    let path = sandbox.dir().join("bad.tar");
    fs::write(&path, bytes).must("write an archive");
    sandbox.nsrun(&["import", path.to_str().must("name an archive"), "bad"])
}

/// Imports what must be refused; the message, without what is the same for all.
fn refused(sandbox: &Sandbox, what: &str, bytes: &[u8]) -> String {
    let victim = victim(sandbox);
    let done = attempt(sandbox, bytes);
    assert_eq!(done.status, 6, "{what}: {done}");
    assert_eq!(
        fs::read_to_string(&victim).must("read the victim"),
        "untouched",
        "{what}"
    );
    let links = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(victim).must("look"));
    assert_eq!(links, 1, "{what}");
    let entries = fs::read_dir(sandbox.image_root()).must("list the image root");
    assert_eq!(entries.count(), 0, "{what}");
    let lines = done.stderr.lines();
    let message = lines
        .filter(|line| line.starts_with("nsrun: "))
        .collect::<Vec<_>>();
    assert_eq!(message.len(), 1, "{what}: one message: {done}");
    assert!(!message[0].contains('\u{1b}'), "{what}: {done}");
    message[0].to_owned()
}

#[test]
fn escapes_and_contradictions_are_refused() {
    let sandbox = Sandbox::new();
    let outside = sandbox.dir().join("victim");
    let outside = outside.to_str().must("name the victim");
    let parent = sandbox.dir().to_str().must("name the sandbox");
    let image = Archive::image;
    let record = |key, value| image().records(&[(key, value)]).file("x", b"x");
    let file = |name: &'static str| Entry::file(name, b"x");
    let cases = [
        ("parent", image().file("../victim", b"x"), "../victim"),
        (
            "inner parent",
            image().file("etc/../../victim", b"x"),
            "etc/../../victim",
        ),
        (
            "record's parent",
            record("path", "../../victim"),
            "../../victim",
        ),
        (
            "through a link",
            image().symlink("a", parent).file("a/victim", b"x"),
            "a/victim",
        ),
        (
            "through a relative link",
            image().symlink("b", "..").file("b/victim", b"x"),
            "b/victim",
        ),
        ("link outside", image().hard_link("c", outside), "victim"),
        ("link above", image().hard_link("d", "../victim"), "'d'"),
        (
            "link through a link",
            image().symlink("e", parent).hard_link("f", "e/victim"),
            "through 'e'",
        ),
        (
            "link to nothing",
            image().hard_link("g", "nothing"),
            "nothing",
        ),
        ("link to itself", image().hard_link("h", "h"), "'h'"),
        (
            "link to a directory",
            image().hard_link("i", "etc"),
            "a hard link to a directory",
        ),
        (
            "file as directory",
            image().file("j", b"x").file("j/k", b"x"),
            "j/k",
        ),
        (
            "link over a directory",
            image().file("l/m", b"x").symlink("l", "/"),
            "'l'",
        ),
        ("empty name", image().file("", b"x"), "name"),
        (
            "unknown kind",
            image().with(&Entry::new(Kind::Unknown, "n")),
            "type 'Z'",
        ),
        ("no user", record("uid", "4294967295"), "4294967295"),
        ("size in a record", record("size", "-1"), "size"),
        ("nul in a record", record("path", "p\0q"), "path"),
        (
            "broken record",
            image().raw(&broken_record()).file("r", b"x"),
            "record",
        ),
        (
            "endless size",
            image().with(&file("s").size(0o77_777_777_777)),
            "'s'",
        ),
    ];
    let mut messages = BTreeSet::new();
    let mut wrong = Vec::new();
    for (what, archive, names) in cases {
        let message = refused(&sandbox, what, &archive.end());
        if !message.contains(names) {
            wrong.push(format!("{what}: {names:?} is not in: {message}"));
        }
        if !messages.insert(message.clone()) {
            wrong.push(format!("{what}: not its own message: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A record whose length is not that of its text.
fn broken_record() -> Vec<u8> {
    let text = b"99 path=x\n";
    let header = Archive::new().with(&Entry::new(Kind::Extended, "records").size(10));
    let mut bytes = header.raw(text).cut();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[test]
fn what_is_no_archive_is_told_so() {
    let sandbox = Sandbox::new();
    let program = fs::read("/bin/true").must("read a program");
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("a text", b"hello, this is no archive\n".repeat(100)),
        ("a program", program),
        ("a short text", b"short".to_vec()),
        ("zeros only", vec![0; 4096]),
        ("empty archive", Archive::new().end()),
    ] {
        let message = refused(&sandbox, what, &bytes);
        assert!(message.contains("bad.tar"), "{what}: {message}");
    }
}

#[test]
fn damage_is_found_wherever_it_is() {
    let sandbox = Sandbox::new();
    let whole = Archive::image().file("data", &[b'x'; 2000]).end();
    let count = whole.len();
    // The end mark is two blocks: less than the first of them is missing in each.
    for cut in [
        511,
        512,
        700,
        count - 1024 - 700,
        count - 1024 - 512,
        count - 1024,
    ] {
        let message = refused(&sandbox, &format!("cut at {cut}"), &whole[..cut]);
        assert!(message.contains("bad.tar"), "{message}");
    }
    let mut wrong_sum = whole.clone();
    wrong_sum[512 + 1] ^= 1;
    let message = refused(&sandbox, "checksum", &wrong_sum);
    assert!(message.contains("checksum"), "{message}");
}

/// An image of several blocks packed by xz, and where the blocks begin.
fn packed(sandbox: &Sandbox) -> (Vec<u8>, Vec<usize>) {
    let mut rng = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = (0..300_000).map(|_| rng.u8(..)).collect();
    let plain = sandbox.dir().join("plain");
    fs::write(&plain, Archive::image().file("noise", &noise).end()).must("write an archive");
    let mut command = nsrun::plain("/bin/sh");
    command.current_dir(sandbox.dir());
    command.args([
        "-ec",
        "xz -c --block-size=65536 plain >packed; xz --list -vv packed",
    ]);
    let done = run(command, patience(60)).success();
    // Rows of blocks: stream, block, compressed offset, ...
    let offsets = done.stdout.lines().filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        columns.next().filter(|word| *word == "1")?;
        columns.next()?.parse::<usize>().ok()?;
        columns.next()?.replace(',', "").parse().ok()
    });
    let bytes = fs::read(sandbox.dir().join("packed")).must("read the packed archive");
    (bytes, offsets.collect())
}

#[test]
fn xz_that_is_cut_or_corrupt_at_any_block_is_refused() {
    let sandbox = Sandbox::new();
    let (bytes, blocks) = packed(&sandbox);
    assert!(blocks.len() >= 5, "{blocks:?}");
    let mut rng = rng::seeded("corrupt xz");
    let edges = blocks
        .iter()
        .copied()
        .chain([bytes.len() - 1, bytes.len() - 12]);
    for cut in edges.clone() {
        let message = refused(&sandbox, &format!("cut at {cut}"), &bytes[..cut]);
        assert!(message.contains("bad.tar"), "{message}");
    }
    for start in blocks {
        let at = start + rng.usize(16..10_000);
        let mut corrupt = bytes.clone();
        corrupt[at] ^= 1 << rng.u8(0..8);
        let message = refused(&sandbox, &format!("bit flipped at {at}"), &corrupt);
        assert!(message.contains("bad.tar"), "{message}");
    }
}

#[test]
fn other_compressions_that_are_cut_or_corrupt_are_refused() {
    let sandbox = Sandbox::new();
    let plain = sandbox.dir().join("plain");
    fs::write(
        &plain,
        Archive::image().file("text", &b"abc ".repeat(9000)).end(),
    )
    .must("write");
    for program in ["gzip", "bzip2", "zstd"] {
        let mut command = nsrun::plain("/bin/sh");
        command.current_dir(sandbox.dir());
        command.args(["-ec", r#""$0" -c plain >packed"#, program]);
        run(command, patience(60)).success();
        let bytes = fs::read(sandbox.dir().join("packed")).must("read");
        refused(&sandbox, program, &bytes[..bytes.len() - 9]);
        let mut corrupt = bytes.clone();
        let middle = bytes.len() / 2;
        corrupt[middle] ^= 0x55;
        refused(&sandbox, program, &corrupt);
    }
}

#[test]
fn bombs_are_refused_and_the_option_that_allows_more_is_named() {
    let sandbox = Sandbox::new();
    let plain = sandbox.dir().join("plain");
    let entry = Entry::file("zeros", b"").size(600 << 20);
    fs::write(&plain, Archive::image().with(&entry).cut()).must("write an archive");
    let mut command = nsrun::plain("/bin/sh");
    command.current_dir(sandbox.dir());
    let script = "{ cat plain; head -c 629146624 /dev/zero; } | xz -0 >packed";
    command.args(["-ec", script]);
    run(command, patience(300)).success();
    let packed = fs::read(sandbox.dir().join("packed")).must("read");
    let done = attempt(&sandbox, &packed).expect_status(6);
    let done = done.expect_stderr("--max-ratio");
    assert!(done.stderr.contains("hint"), "{done}");
    let file = sandbox.dir().join("bad.tar");
    let file = file.to_str().must("name an archive");
    for (option, value) in [
        ("--max-inodes", "3"),
        ("--max-depth", "1"),
        ("--max-bytes", "1M"),
    ] {
        let bytes = Archive::image().file("a/b/c/d", &vec![1; 2 << 20]).end();
        fs::write(file, bytes).must("write an archive");
        let done = sandbox
            .nsrun(&["import", option, value, file, "bad"])
            .expect_status(6);
        let _ = done.expect_stderr(option);
    }
}

#[test]
fn what_is_left_out_is_counted_and_named() {
    let sandbox = Sandbox::new();
    let bytes = Archive::image()
        .with(&Entry::new(Kind::CharDevice, "dev/null").device(1, 3))
        .with(&Entry::new(Kind::BlockDevice, "dev/sda").device(8, 0))
        .file("/absolute", b"x")
        .raw(&[])
        .end();
    let path = sandbox.dir().join("bad.tar");
    fs::write(&path, &bytes).must("write an archive");
    let file = path.to_str().must("name an archive");
    let done = sandbox
        .nsrun(&["--json", "import", file, "image"])
        .success();
    let report: Value = done.json();
    let warning = |kind: &str| {
        let list = report["warnings"].as_array().must("find the warnings");
        list.iter().find(|w| w["kind"] == kind).cloned().must(kind)
    };
    assert_eq!(warning("devices")["count"], 2);
    assert_eq!(warning("devices")["first"], "dev/null");
    assert_eq!(warning("absolute_names")["count"], 1);
    assert!(done.stderr.contains("2 device nodes"), "{done}");
    let root = sandbox.image_root().join("image");
    assert!(root.join("absolute").is_file());
    assert!(!root.join("dev/null").exists() && !root.join("dev/sda").exists());
}

#[test]
fn other_data_after_the_end_is_a_warning() {
    let sandbox = Sandbox::new();
    let mut bytes = Archive::image().end();
    bytes.extend_from_slice(b"something else");
    let done = attempt(&sandbox, &bytes).success();
    let _ = done.expect_stderr("after the end");
}

#[test]
fn names_are_checked_before_anything_is_done() {
    let sandbox = Sandbox::new();
    let path = sandbox.dir().join("good.tar");
    fs::write(&path, Archive::image().end()).must("write an archive");
    let file = path.to_str().must("name an archive");
    let long = "x".repeat(65);
    for name in [
        "", ".", "..", "a/b", "-rf", "a\n", "a b", "é", ".host", "a..b", "a_b", &long,
    ] {
        let done = sandbox.nsrun(&["import", file, name]).expect_status(2);
        assert!(!done.stderr.is_empty(), "{name:?}");
        assert_eq!(
            fs::read_dir(sandbox.image_root()).must("list").count(),
            0,
            "{name:?}"
        );
    }
}

#[test]
fn a_name_that_is_taken_is_refused_before_the_archive_is_read() {
    let sandbox = Sandbox::new();
    let root = sandbox.image_root();
    let file = sandbox.dir().join("good.tar");
    fs::write(&file, Archive::image().end()).must("write an archive");
    let file = file.to_str().must("name an archive");
    fs::create_dir(root.join("dir")).must("make a directory");
    fs::write(root.join("raw.raw"), "").must("make a raw image");
    std::os::unix::fs::symlink("/nowhere", root.join("link")).must("make a link");
    for name in ["dir", "link"] {
        let done = sandbox.nsrun(&["import", file, name]).expect_status(4);
        let _ = done.expect_stderr(name);
    }
    assert!(Path::new(&root).join("dir").is_dir());
}

#[test]
fn what_cannot_be_read_is_told_with_its_path() {
    let sandbox = Sandbox::new();
    let missing = sandbox.dir().join("missing.tar");
    let missing = missing.to_str().must("name a file");
    let done = sandbox.nsrun(&["import", missing, "x"]).expect_status(3);
    let _ = done
        .expect_stderr("missing.tar")
        .expect_stderr("no such file");
    let dir = sandbox.dir().to_str().must("name a directory");
    let done = sandbox.nsrun(&["import", dir, "x"]).expect_status(6);
    let _ = done.expect_stderr("directory");
}
