//! `.nspawn` files: what of them reaches a machine, and the verbs that show and change them.

mod files;
mod verbs;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nsrun_tests::done::{run as run_command, run_with_input};
use nsrun_tests::facts::Facts;
use nsrun_tests::{Done, Machine, Must, Sandbox, patience};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;
use serde_json::Value;

const PROBE: &str = "/sbin/init";

/// What the walkthrough's reader puts beside or above an image.
const WALKTHROUGH: &str = "[Exec]\nPrivateUsers=no\n\n[Network]\nVirtualEthernet=no\n";

/// The administrator's directory, empty and this test's alone.
struct Etc;

impl Etc {
    #[track_caller]
    fn new() -> Self {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", "/etc/systemd", "tmpfs", flags, c"mode=0755").must("hide /etc/systemd");
        fs::create_dir(Self::dir()).must("make the settings' directory");
        Self
    }

    fn dir() -> &'static Path {
        Path::new("/etc/systemd/nspawn")
    }

    #[track_caller]
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = Self::dir().join(name);
        write(&path, text);
        path
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = unmount("/etc/systemd", UnmountFlags::DETACH);
    }
}

#[track_caller]
fn write(path: &Path, text: &str) {
    let parent = path.parent().must("name a directory");
    fs::create_dir_all(parent).must("make the directory of a file");
    fs::write(path, text).must(&format!("write {}", path.display()));
}

/// Writes the file beside the image.
fn beside(sandbox: &Sandbox, image: &str, text: &str) -> PathBuf {
    let path = sandbox.image_root().join(format!("{image}.nspawn"));
    write(&path, text);
    path
}

fn facts(sandbox: &Sandbox, options: &[&str], image: &str) -> Facts {
    run(sandbox, options, image).success().json()
}

fn run(sandbox: &Sandbox, options: &[&str], image: &str) -> Done {
    sandbox.nsrun(&[&["run"], options, &[image, "--", PROBE, "facts"]].concat())
}

fn has_hosts_users(facts: &Facts) -> bool {
    facts.uid_map == "0 0 4294967295"
}

fn has_hosts_network(facts: &Facts) -> bool {
    let own = fs::read_link("/proc/thread-self/ns/net").must("read our network namespace");
    facts.namespaces.get("net").map(Path::new) == Some(&own)
}

fn booted_facts(machine: &Machine<'_>) -> Facts {
    machine.exec(&[PROBE, "facts"]).success().json()
}

fn end(mut machine: Machine<'_>) -> String {
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(30)), 0, "{}", machine.output());
    machine.output()
}
