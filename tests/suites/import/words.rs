//! What the user is told, and where the image is put.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nsrun_tests::archive::Archive;
use nsrun_tests::{Console, Must, Sandbox, image, patience};

use super::{archive, everything, import};

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
