//! `nsrun import` of what it should take: the same tree whatever the archive's form, and all
//! or nothing.

mod members;
mod whole;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use nsrun_tests::archive::{Archive, Entry, Kind};
use nsrun_tests::{Must, Sandbox};
use serde_json::Value;

/// Writes an archive into the sandbox.
fn archive(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> PathBuf {
    let path = sandbox.dir().join(name);
    fs::write(&path, bytes).must("write an archive");
    path
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

fn sandbox_remove(sandbox: &Sandbox, name: &str) {
    nsrun_tests::sandbox::remove_tree(&sandbox.image_root().join(name));
}
