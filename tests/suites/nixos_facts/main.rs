//! What NixOS images need of whoever boots them: twenty-two facts, each learnt from images
//! that did not boot, and each looked at from outside and from inside.

mod api;
mod ends;
mod network;
mod spaces;
mod tree;

use std::path::PathBuf;

use nsrun_tests::{Machine, Must, Sandbox, patience};

/// The fixture, as the init of a tiny image.
const PROBE: &str = "/sbin/init";

/// Installs the image and gives its name and its tree.
fn nixos(sandbox: &Sandbox) -> (String, PathBuf) {
    let image = sandbox.install("demo", &["demo"]);
    let tree = sandbox.image_root().join(&image);
    (image, tree)
}

/// Boots an image, on the host's network unless `options` want another, until it is up.
fn up<'a>(sandbox: &'a Sandbox, image: &str, options: &[&str]) -> Machine<'a> {
    let boot = sandbox.boot(image).options(&["--network=host"]);
    boot.options(options).up()
}

/// Stops it in good order.
#[track_caller]
fn down(mut machine: Machine<'_>) {
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(60)), 0, "{}", machine.output());
}

/// Mounts an empty file system over one of the host's directories, in the sandbox alone,
/// with a file in it. An image's absolute links must not lead there.
struct Decoy {
    dir: &'static str,
}

impl Decoy {
    fn new(dir: &'static str, file: &str, content: &str) -> Self {
        use rustix::mount::{MountFlags, mount};
        mount("tmpfs", dir, "tmpfs", MountFlags::empty(), None).must("mount the decoy");
        let path = PathBuf::from(dir).join(file);
        std::fs::write(&path, content).must("write the decoy");
        Self { dir }
    }
}

impl Drop for Decoy {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.dir, rustix::mount::UnmountFlags::DETACH);
    }
}
