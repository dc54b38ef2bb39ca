//! The verbs for images: list, look at, copy, remove, rename, protect, clear up.

mod changes;
mod clones;

use std::fs::{self, File};
use std::path::Path;

use nsrun_tests::{Must, Sandbox};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use serde_json::Value;

/// Makes an image with a few files in the image root.
fn make(sandbox: &Sandbox, name: &str) {
    let image = sandbox.image_root().join(name);
    fs::create_dir_all(image.join("etc")).must("make an image");
    fs::write(
        image.join("etc/os-release"),
        "PRETTY_NAME=\"Some\x1b System\"\n",
    )
    .must("write");
    fs::write(image.join("etc/hostname"), "somehost\n").must("write");
}

/// Sets or clears the immutable flag.
fn lock(path: &Path, on: bool) {
    let file = File::open(path).must("open what is to be locked");
    let mut flags = ioctl_getflags(&file).must("read the flags");
    flags.set(IFlags::IMMUTABLE, on);
    ioctl_setflags(&file, flags).must("set the flags");
}

/// The names in the image root, lock files too.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.image_root()).must("read the image root");
    let mut names: Vec<String> = entries
        .map(|entry| entry.must("read an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn image<'a>(rows: &'a Value, name: &str) -> &'a Value {
    let rows = rows.as_array().must("read the rows");
    rows.iter().find(|row| row["name"] == name).must(name)
}
