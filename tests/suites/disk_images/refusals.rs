//! What is not started, and why.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use nsrun_tests::{Must, Sandbox, skip};

use super::{attempts, lacking, tiny, tool};

#[test]
fn what_the_kernel_would_parse_takes_trust() {
    if let Some(reason) = lacking(&["ext4", "squashfs"]) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let (image, name) = tiny(&sandbox, "ext4", &[]);
    let open = sandbox.dir().join("open");
    fs::create_dir(&open).must("make a directory");
    fs::set_permissions(&open, Permissions::from_mode(0o755)).must("open a directory");
    let there = open.join(format!("{name}.raw"));
    fs::rename(&image, &there).must("move an image");
    let option = format!("--image={}", there.display());
    let refused = sandbox.nsrun(&["boot", &option]).expect_status(6);
    let refused = refused.expect_stderr("the host's kernel would parse");
    assert!(refused.stderr.contains("--trust-image"), "{refused}");
    let seen = attempts(&sandbox, &[&option, "--trust-image"], &["owner /"]);
    assert_eq!(seen, ["0 0"]);
    // Without a word where it is root's alone, and for what is never written to.
    fs::rename(&there, &image).must("move an image back");
    let _ = attempts(&sandbox, &[&name], &["owner /"]);
    let (image, name) = tiny(&sandbox, "squashfs", &[]);
    let there = open.join(format!("{name}.raw"));
    fs::rename(&image, &there).must("move an image");
    let option = format!("--image={}", there.display());
    let _ = attempts(&sandbox, &[&option], &["owner /"]);
}

#[test]
fn an_image_that_others_may_write_to_is_refused() {
    if let Some(reason) = lacking(&["squashfs"]) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let (image, name) = tiny(&sandbox, "squashfs", &[]);
    fs::set_permissions(&image, Permissions::from_mode(0o666)).must("open an image");
    let _ = sandbox
        .nsrun(&["boot", &name])
        .expect_status(6)
        .expect_stderr("others than root may write to it");
    let _ = attempts(&sandbox, &["--allow-unsafe-root", &name], &["owner /"]);
}

#[test]
fn what_is_no_disk_image_is_named() {
    let sandbox = Sandbox::new();
    for (content, what) in [
        (&b"QFI\xfb\0\0\0\x03"[..], "a qcow2 image"),
        (b"LUKS\xba\xbe\0\x02", "encrypted by LUKS"),
        (b"\xfd7zXZ\0\0\x04", "nsrun import-raw"),
        (b"", "it is empty"),
        (b"text", "neither a file system"),
    ] {
        let name = sandbox.name("other");
        let image = sandbox.image_root().join(format!("{name}.raw"));
        fs::write(&image, content).must("write a file");
        let _ = sandbox
            .nsrun(&["boot", &name])
            .expect_status(6)
            .expect_stderr(what);
    }
    let dir = format!("--image={}", sandbox.dir().display());
    let _ = sandbox
        .nsrun(&["boot", &dir])
        .expect_status(6)
        .expect_stderr("without --image");
    let _ = sandbox
        .nsrun(&["boot", "--image=/nowhere.raw"])
        .expect_status(3);
    let _ = sandbox.nsrun(&["boot", &dir, "web"]).expect_status(2);
    sandbox.assert_clean();
}

#[test]
fn an_image_that_the_host_has_attached_is_refused() {
    if let Some(reason) = lacking(&["ext4"]) {
        skip!("{reason}");
    }
    let sandbox = Sandbox::new();
    let (image, name) = tiny(&sandbox, "ext4", &[]);
    let file = image.display().to_string();
    let device = tool("losetup", &["--find", "--show", &file]).stdout;
    let refused = sandbox.nsrun(&["boot", &name]);
    drop(tool("losetup", &["--detach", device.trim()]));
    let _ = refused
        .expect_status(4)
        .expect_stderr("attached to /dev/loop");
    let _ = attempts(&sandbox, &[&name], &["owner /"]);
    sandbox.assert_clean();
}
