//! `import-raw`, and the verbs for images on what comes of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nsrun_tests::done::run_with_input;
use nsrun_tests::{Must, Sandbox, patience, skip};

use super::{attempts, lacking, make, tool};

/// A disk image outside of the image root.
#[track_caller]
fn image(sandbox: &Sandbox, kind: &str) -> PathBuf {
    let tree = sandbox.dir().join("tree");
    nsrun_tests::tiny::build(&tree, &[]);
    let path = sandbox.dir().join(format!("{kind}.raw"));
    make(kind, &tree, &path);
    path
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).must("list a directory").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}

#[test]
fn an_image_is_decoded_stored_with_holes_and_started() {
    if let Some(reason) = lacking(&["ext4"]) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let plain = image(&sandbox, "ext4");
    let file = plain.display().to_string();
    drop(tool("xz", &["-1", "--keep", &file]));
    drop(tool("zstd", &["-q", "-1", "--keep", &file]));
    drop(tool("gzip", &["-1", "--keep", &file]));
    let content = fs::read(&plain).must("read an image");
    for end in ["", ".xz", ".zst", ".gz"] {
        let (name, from) = (sandbox.name("imported"), format!("{file}{end}"));
        let report = sandbox.nsrun(&["import-raw", "--json", &from, &name]);
        let report: serde_json::Value = report.success().json();
        let path = sandbox.image_root().join(format!("{name}.raw"));
        assert_eq!(report["path"], path.display().to_string());
        assert!(fs::read(&path).must("read the image") == content, "{end}");
        let stat = fs::metadata(&path).must("look at the image");
        assert_eq!(stat.mode() & 0o777, 0o600);
        assert!(
            stat.blocks() * 512 < stat.size() / 2,
            "{} blocks",
            stat.blocks()
        );
        assert_eq!(attempts(&sandbox, &[&name], &["owner /"]), ["0 0"]);
        let again = sandbox.nsrun(&["import-raw", &from, &name]);
        let _ = again.expect_status(4).expect_stderr("exists already");
        let _ = sandbox.nsrun(&["remove", &name]).success();
    }
    assert_eq!(names(&sandbox.image_root()), [""; 0]);
}

#[test]
fn verbs_for_images_take_what_was_imported() {
    if let Some(reason) = lacking(&["squashfs"]) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let path = image(&sandbox, "squashfs");
    let input = fs::read(&path).must("read an image");
    let [first, second, third] = ["one", "two", "three"].map(|base| sandbox.name(base));
    let command = sandbox.command(&["import-raw", "-", &first]);
    let _ = run_with_input(command, &input, patience(60)).success();
    let _ = sandbox.nsrun(&["clone", &first, &second]).success();
    let _ = sandbox.nsrun(&["rename", &second, &third]).success();
    let _ = sandbox.nsrun(&["read-only", &third]).success();
    let _ = sandbox.nsrun(&["image-status", &third]).success();
    let list = sandbox.nsrun(&["images"]).success();
    for name in [&first, &third] {
        let line = list
            .stdout
            .lines()
            .find(|line| line.contains(name.as_str()));
        assert!(line.must("find the image").contains("raw"), "{list}");
        assert_eq!(attempts(&sandbox, &[name], &["owner /"]), ["0 0"]);
    }
    let _ = sandbox.nsrun(&["remove", &first, &third]).success();
    assert_eq!(names(&sandbox.image_root()), [""; 0]);
}

#[test]
fn what_is_damaged_or_something_else_leaves_nothing() {
    if let Some(reason) = lacking(&["ext4"]) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let plain = image(&sandbox, "ext4");
    drop(tool("xz", &["-1", &plain.display().to_string()]));
    let whole = fs::read(sandbox.dir().join("ext4.raw.xz")).must("read an image");
    let cut = &whole[..whole.len() / 2];
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    for (content, what) in [
        (cut, "cut off"),
        (&damaged, "damaged"),
        (b"QFI\xfb\0\0\0\x03", "a qcow2 image"),
        (b"", "it is empty"),
        (&[1; 5000], "neither a file system"),
    ] {
        let file = sandbox.dir().join("file");
        fs::write(&file, content).must("write a file");
        let done = sandbox.nsrun(&["import-raw", &file.display().to_string(), "web"]);
        let _ = done.expect_status(6).expect_stderr(what);
        assert_eq!(names(&sandbox.image_root()), [""; 0], "{what}");
    }
    let bounded = sandbox.dir().join("ext4.raw.xz").display().to_string();
    let done = sandbox.nsrun(&["import-raw", "--max-bytes=64K", &bounded, "web"]);
    let _ = done.expect_status(6).expect_stderr("--max-bytes");
    assert_eq!(names(&sandbox.image_root()), [""; 0]);
    sandbox.assert_clean();
}
