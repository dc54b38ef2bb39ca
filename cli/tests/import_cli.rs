//! `nsrun import` as its user sees it: names, output, exit statuses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A directory with `web.tar.xz` in it, and roots for images and state.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tree/etc")).unwrap();
        fs::write(dir.path().join("tree/etc/os-release"), "ID=test\n").unwrap();
        let noise: Vec<u8> = (0..400_000_u32)
            .map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[2])
            .collect();
        fs::write(dir.path().join("tree/noise"), noise).unwrap();
        let packed = Command::new("tar")
            .args(["-C", "tree", "-cJf", "web.tar.xz", "."])
            .current_dir(dir.path())
            .status();
        assert!(packed.unwrap().success());
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nsrun"));
        command
            .args(args)
            .env_remove("NSRUN_IMAGE_ROOT")
            .args(["--image-root", "images", "--state-root", "state"])
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    fn nsrun(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Fails with this status, saying this.
    #[track_caller]
    fn fails(&self, args: &[&str], status: i32, why: &str) {
        let output = self.nsrun(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(why), "{text}");
        assert_eq!(output.stdout, b"");
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_name_is_the_files() {
    let place = Place::new();
    for verb in ["import", "import-tar"] {
        let output = place.nsrun(&[verb, "web.tar.xz"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(place.path().join("images/web/etc/os-release").exists());
        fs::remove_dir_all(place.path().join("images/web")).unwrap();
    }
    let output = place.nsrun(&["import-fs", "tree"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(place.path().join("images/tree/etc/os-release").exists());
}

#[test]
fn a_nixos_tarball_needs_no_name() {
    let place = Place::new();
    let file = "nixos-system-x86_64-linux.tar.xz";
    fs::rename(place.path().join("web.tar.xz"), place.path().join(file)).unwrap();
    let image = place.path().join("images/nixos-system-x86-64-linux");
    let notice = "the image is called nixos-system-x86-64-linux: 'nixos-system-x86_64-linux' is \
                  no machine's name";
    for (words, told) in [(&["import"][..], true), (&["--quiet", "import"], false)] {
        let output = place.nsrun(&[words, &[file]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let first = text(&output.stderr).lines().next();
        assert_eq!(first == Some(notice), told, "{first:?}");
        fs::remove_dir_all(&image).unwrap();
    }
    // What the user says is not changed.
    let named = ["import", file, "x86_64"];
    place.fails(&named, 2, "invalid machine name 'x86_64'");
}

#[test]
fn a_file_that_names_no_machine_needs_a_name() {
    let place = Place::new();
    fs::rename(place.path().join("web.tar.xz"), place.path().join("_.tar")).unwrap();
    let args = ["import", "_.tar"];
    place.fails(&args, 2, "invalid machine name '_'");
    place.fails(&args, 2, "hint: give a name: nsrun import _.tar NAME");
    place.fails(&["import", "-"], 2, "the image has no name");
    assert!(
        place
            .nsrun(&[&args[..], &["web"]].concat())
            .status
            .success()
    );
}

#[test]
fn progress_is_a_line_for_each_tenth_and_the_result_a_line() {
    let place = Place::new();
    let output = place.nsrun(&["import", "web.tar.xz"]);
    let lines: Vec<_> = text(&output.stderr).lines().collect();
    assert_eq!(lines.last(), Some(&"importing web: 100%"));
    assert!(lines.len() <= 10, "{lines:?}");
    let image = place.path().join("images/web");
    let expected = format!("imported {}: 2 files, 1 directories", image.display());
    assert!(
        text(&output.stdout).starts_with(&expected),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn quiet_is_quiet() {
    let place = Place::new();
    let output = place.nsrun(&["import", "web.tar.xz", "--quiet"]);
    assert!(output.status.success());
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""));
}

#[test]
fn json_is_one_object() {
    let place = Place::new();
    let output = place.nsrun(&["--json", "import", "web.tar.xz", "-q"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["name"], "web");
    assert_eq!(value["compression"], "xz");
    assert_eq!(value["counts"]["files"], 2);
    assert_eq!(value["warnings"], serde_json::json!([]));
    assert_eq!(
        value["path"],
        place.path().join("images/web").to_str().unwrap()
    );
    assert_eq!(value["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn on_a_terminal_there_is_a_bar_that_goes_away() {
    let place = Place::new();
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut command = place.command(&["import", "web.tar.xz"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(pty.slave)
        .env("TERM", "xterm")
        .spawn()
        .unwrap();
    // With the command goes the last copy of the terminal's other side.
    drop(command);
    let mut shown = Vec::new();
    // Reading ends with an error when the other side is closed.
    let _ = fs::File::from(pty.master).read_to_end(&mut shown);
    assert!(child.wait().unwrap().success());
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        shown.contains("web [") && shown.contains("eta"),
        "{shown:?}"
    );
    assert!(shown.trim_end().ends_with("\u{1b}[2K"), "{shown:?}");
}

#[test]
fn each_kind_of_failure_has_its_status() {
    let place = Place::new();
    place.fails(&["import", "missing.tar"], 3, "no such file or directory");
    place.fails(&["import-fs", "missing"], 3, "no such file or directory");
    place.fails(
        &["import", "web.tar.xz", "a/b"],
        2,
        "invalid machine name 'a/b'",
    );
    place.fails(
        &["import", "web.tar.xz", "--max-bytes", "1X"],
        2,
        "--max-bytes",
    );
    place.fails(&["import", "tree", "dir"], 6, "it is a directory");
    place.fails(&["import", "tree", "dir"], 6, "nsrun import-fs");
    place.fails(
        &["import-fs", "web.tar.xz", "file"],
        6,
        "it is no directory",
    );
    place.fails(
        &["import", "web.tar.xz", "--max-bytes", "1K"],
        6,
        "raise --max-bytes",
    );
    let whole = fs::read(place.path().join("web.tar.xz")).unwrap();
    fs::write(place.path().join("cut.tar.xz"), &whole[..whole.len() / 2]).unwrap();
    place.fails(&["import", "cut.tar.xz"], 6, "the xz data is cut off");
    assert!(place.nsrun(&["import", "web.tar.xz"]).status.success());
    place.fails(&["import", "web.tar.xz"], 4, "exists already");
    let images = place.path().join("images");
    fs::set_permissions(&images, fs::Permissions::from_mode(0o755)).unwrap();
    let remedy = format!("hint: chmod 0700 {}", images.display());
    place.fails(&["import", "web.tar.xz", "other"], 5, &remedy);
}

#[test]
fn an_archive_may_come_through_a_pipe() {
    let place = Place::new();
    let archive = fs::read(place.path().join("web.tar.xz")).unwrap();
    let mut command = place.command(&["import", "-", "piped", "-q"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&archive).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(place.path().join("images/piped/noise").exists());
}

#[test]
fn without_root_it_says_so() {
    let place = Place::new();
    let program = place.path().join("nsrun");
    fs::copy(env!("CARGO_BIN_EXE_nsrun"), &program).unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(&program)
        .args([
            "import",
            "web.tar.xz",
            "--image-root",
            "images",
            "--state-root",
            "state",
        ])
        .current_dir(place.path())
        .uid(65_534)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("needs root"));
}

#[test]
fn the_environment_names_the_image_root() {
    let place = Place::new();
    let root = place.path().join("elsewhere");
    let output = Command::new(env!("CARGO_BIN_EXE_nsrun"))
        .args(["import", "web.tar.xz", "-q", "--state-root", "state"])
        .env("NSRUN_IMAGE_ROOT", &root)
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(root.join("web/etc/os-release").exists());
}
