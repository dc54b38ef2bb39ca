//! Images made from Debian packages: built once, unpacked once, copied for each test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{FlockOperation, flock};

use crate::done::{Running, run};
use crate::must::Must;
use crate::nsrun;
use crate::sandbox::{Sandbox, outside, remove_tree};
use crate::wait::patience;

/// The path of the artefact that `tests/images/build` makes for these words, such as
/// `["demo", "--net=none"]`; built if it is not in the cache.
///
/// # Panics
/// When it cannot be built.
#[track_caller]
#[must_use]
pub fn artefact(words: &[&str]) -> PathBuf {
    let builder = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/build");
    // A test has no way out of its network, and the builder fetches packages.
    let mut command = outside(builder);
    command.args(words).stdin(Stdio::null());
    let done = Running::start(command).finish(patience(1800)).success();
    PathBuf::from(done.stdout.trim_end())
}

impl Sandbox {
    /// Copies the image `words` into the image root, under a name of this test.
    ///
    /// # Panics
    /// When it cannot be built or copied.
    #[track_caller]
    #[must_use]
    pub fn install(&self, base: &str, words: &[&str]) -> String {
        let name = self.name(base);
        copy_tree(words, &self.image_root().join(&name));
        name
    }

    /// Makes a tiny image in the image root, under a name of this test; see [`crate::tiny`].
    #[track_caller]
    #[must_use]
    pub fn tiny(&self, base: &str, conf: &[&str]) -> String {
        let name = self.name(base);
        crate::tiny::build(&self.image_root().join(&name), conf);
        name
    }
}

/// Copies the unpacked image to `target`.
///
/// # Panics
/// When it cannot be built, unpacked or copied.
#[track_caller]
pub fn copy_tree(words: &[&str], target: &Path) {
    let source = tree(words);
    let mut copy = nsrun::plain("/bin/cp");
    copy.args(["-a", "--reflink=auto", "-T"])
        .arg(&source.path)
        .arg(target);
    run(copy, patience(300)).success();
}

/// An unpacked image that nobody writes to, kept from being replaced while this exists.
#[derive(Debug)]
pub struct Tree {
    /// Its root directory.
    pub path: PathBuf,
    _lock: Option<File>,
}

/// The unpacked image `words` for reading: of each image one tree is kept, beside the
/// cached artefact. Where nothing can be built, `NSRUN_TEST_TREES` names a directory of
/// trees.
///
/// # Panics
/// When it cannot be built or unpacked.
#[track_caller]
#[must_use]
pub fn tree(words: &[&str]) -> Tree {
    let label = words.join("").replace('/', "_");
    if let Some(trees) = std::env::var_os("NSRUN_TEST_TREES") {
        let path = PathBuf::from(trees).join(label);
        return Tree { path, _lock: None };
    }
    let artefact = artefact(words);
    let cache = artefact.parent().must("find the image cache");
    let trees = cache.join("trees");
    fs::create_dir_all(&trees).must("make the directory of unpacked images");
    let path = trees.join(&label);
    let lock = File::create(trees.join(format!(".lock-{label}"))).must("open a tree's lock");
    flock(&lock, FlockOperation::LockExclusive).must("lock an unpacked image");
    let stamp = trees.join(format!(".from-{label}"));
    let from = artefact.as_os_str().as_encoded_bytes();
    if !path.is_dir() || fs::read(&stamp).is_ok_and(|made| made != from) || !stamp.exists() {
        let _ = fs::remove_file(&stamp);
        remove_tree(&path);
        unpack(&artefact, &path);
        fs::write(&stamp, from).must("note what a tree was made from");
    }
    flock(&lock, FlockOperation::LockShared).must("share the lock of an unpacked image");
    Tree {
        path,
        _lock: Some(lock),
    }
}

/// What comes after an archive's end is not read, so that the decompressor may be cut off.
#[track_caller]
fn unpack(artefact: &Path, target: &Path) {
    fs::create_dir(target).must("make the directory of an unpacked image");
    let script = r#"
        case $1 in
            *.xz) xz -dc -T0 "$1" ;;
            *) cat "$1" ;;
        esac | tar -x -p --numeric-owner --xattrs --xattrs-include='*' -C "$2"
    "#;
    let mut command = nsrun::plain("/bin/sh");
    command.args(["-c", script, "unpack"]);
    command.arg(artefact).arg(target);
    run(command, patience(600)).success();
}
