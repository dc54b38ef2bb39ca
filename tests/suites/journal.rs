//! The machine's journal on the host.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nsrun_tests::{Done, Must, Sandbox};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const PROBE: &str = "/sbin/init";
const ID: &str = "d1a94b332b1c4e14a6f3b7d5c6a0e1f2";

/// The host's journals, empty and this test's alone.
struct Journals;

impl Journals {
    #[track_caller]
    fn new() -> Self {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", "/var/log", "tmpfs", flags, c"mode=0755").must("hide /var/log");
        fs::create_dir(Self::dir()).must("make the directory of journals");
        Self
    }

    fn dir() -> &'static Path {
        Path::new("/var/log/journal")
    }

    fn own() -> PathBuf {
        Self::dir().join(ID)
    }
}

impl Drop for Journals {
    fn drop(&mut self) {
        let _ = unmount("/var/log", UnmountFlags::DETACH);
    }
}

fn image(sandbox: &Sandbox, base: &str) -> String {
    let image = sandbox.tiny(base, &[]);
    let file = sandbox.image_root().join(&image).join("etc/machine-id");
    fs::write(file, format!("{ID}\n")).must("write the machine id");
    image
}

fn run(sandbox: &Sandbox, options: &[&str], image: &str) -> Done {
    let file = format!("create /var/log/journal/{ID}/file");
    let owner = format!("owner /var/log/journal/{ID}");
    let words = [PROBE, "try", &file, &owner];
    sandbox.nsrun(&[&["run"], options, &[image, "--"], &words].concat())
}

#[test]
fn the_hosts_directory_is_made_and_written_to_as_root() {
    let sandbox = Sandbox::new();
    let _journals = Journals::new();
    let image = image(&sandbox, "host");
    for users in ["--private-users=pick", "--private-users=no"] {
        let done = run(&sandbox, &["--link-journal=host", users], &image).success();
        assert!(done.stdout.contains("file: ok"), "{done}");
        assert!(done.stdout.contains(": 0 0"), "{done}");
        let file = Journals::own().join("file");
        let made = fs::metadata(&file).must("find what the machine made");
        assert_eq!((made.uid(), made.gid()), (0, 0), "{users}");
        fs::remove_file(file).must("remove it");
    }
    let inside = sandbox
        .image_root()
        .join(&image)
        .join("var/log/journal")
        .join(ID);
    assert_eq!(
        fs::read_dir(inside).must("list").count(),
        0,
        "the image has nothing"
    );
    let auto = run(&sandbox, &["--link-journal=auto"], &image).success();
    assert!(auto.stdout.contains("file: ok") && Journals::own().join("file").exists());
}

#[test]
fn the_images_directory_is_linked_on_the_host() {
    let sandbox = Sandbox::new();
    let _journals = Journals::new();
    let image = image(&sandbox, "guest");
    let target = sandbox
        .image_root()
        .join(&image)
        .join("var/log/journal")
        .join(ID);
    for option in ["--link-journal=guest", "-j"] {
        let done = run(&sandbox, &[option], &image).success();
        assert!(done.stdout.contains("file: ok"), "{done}");
        let link = fs::read_link(Journals::own()).must("read the link");
        assert_eq!(link, target);
        assert!(
            Journals::own().join("file").exists(),
            "the host sees the journal"
        );
        fs::remove_file(target.join("file")).must("remove it");
    }
    let file = sandbox.image_root().join(format!("{image}.nspawn"));
    fs::write(&file, "[Exec]\nLinkJournal=host\n").must("write settings");
    let done = run(&sandbox, &[], &image).expect_stderr("LinkJournal= is ignored");
    assert!(
        done.stdout.contains("ENOENT") || done.stdout.contains("ok"),
        "{done}"
    );
    let done = run(&sandbox, &["--settings=trusted"], &image).success();
    assert!(done.stdout.contains("file: ok"), "{done}");
    let found = fs::symlink_metadata(Journals::own()).must("look");
    assert!(found.is_dir(), "the link made way for a directory");
}

#[test]
fn a_hostile_image_gets_no_directory_elsewhere() {
    let sandbox = Sandbox::new();
    let _journals = Journals::new();
    let image = image(&sandbox, "trap");
    let tree = sandbox.image_root().join(&image);
    let victim = sandbox.dir().join("victim");
    fs::create_dir(&victim).must("make a directory");
    fs::create_dir_all(tree.join("var")).must("make a directory");
    symlink(&victim, tree.join("var/log")).must("make a link");
    let _ = run(&sandbox, &["--link-journal=guest"], &image);
    assert_eq!(fs::read_dir(&victim).must("list").count(), 0);
    let _ = run(&sandbox, &["--link-journal=host"], &image);
    assert_eq!(fs::read_dir(&victim).must("list").count(), 0);
}

#[test]
fn what_cannot_be_linked_is_told_or_left() {
    let sandbox = Sandbox::new();
    let _journals = Journals::new();
    let image = image(&sandbox, "cannot");
    let refused = |options: &[&str], word: &str| {
        let done = run(&sandbox, options, &image).expect_status(125);
        let _ = done
            .expect_stderr("cannot link the journal")
            .expect_stderr(word);
    };
    refused(&["--link-journal=guest", "--ephemeral"], "--ephemeral");
    let _ = run(&sandbox, &["-j", "--ephemeral"], &image).success();
    assert!(fs::symlink_metadata(Journals::own()).is_err());
    fs::create_dir(Journals::own()).must("make a directory");
    fs::write(Journals::own().join("old"), "").must("write a file");
    refused(&["--link-journal=guest"], "host");
    let _ = run(&sandbox, &["-j"], &image).success();
    assert!(Journals::own().join("old").exists());
    fs::remove_dir_all(Journals::dir()).must("remove the journals");
    refused(&["--link-journal=host"], "mkdir /var/log/journal");
    let _ = run(&sandbox, &["--link-journal=try-host"], &image).success();
    let _ = run(&sandbox, &["-j"], &image).success();
    assert!(!Journals::dir().exists());
    let word = sandbox.nsrun(&["boot", "--link-journal=hots", &image]);
    let _ = word
        .expect_status(2)
        .expect_stderr("--link-journal")
        .expect_stderr("hots");
}
