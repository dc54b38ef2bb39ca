//! The smallest image that boots: the `pid1` fixture with the libraries it needs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::done::run;
use crate::must::Must;
use crate::nsrun;
use crate::wait::patience;

/// Makes a tree at `path` whose `/sbin/init` is the fixture, told by `conf` what to do.
///
/// # Panics
/// When a file cannot be written.
#[track_caller]
pub fn build(path: &Path, conf: &[&str]) {
    for dir in [
        "dev", "etc", "proc", "root", "run", "sbin", "sys", "tmp", "usr/lib",
    ] {
        fs::create_dir_all(path.join(dir)).must("make a directory of the tiny image");
    }
    let mode = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode(0o755)).must("open the tiny image's root");
    fs::set_permissions(path.join("tmp"), mode(0o1777)).must("open the tiny image's /tmp");
    let release = "ID=tiny\nPRETTY_NAME=\"Tiny\"\nVERSION_ID=1\n";
    write(&path.join("usr/lib/os-release"), release);
    symlink("../usr/lib/os-release", path.join("etc/os-release")).must("link os-release");
    write(&path.join("etc/pid1.conf"), &(conf.join("\n") + "\n"));
    let program = nsrun::pid1();
    copy(&program, &path.join("sbin/init"));
    for library in libraries(&program) {
        let below = library.strip_prefix("/").unwrap_or(&library);
        copy(&library, &path.join(below));
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).must(&format!("write {}", path.display()));
}

fn copy(from: &Path, to: &Path) {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).must("make a library's directory");
    }
    fs::copy(from, to).must(&format!("copy {}", from.display()));
}

/// The shared libraries and the loader of a program, as `ldd` tells them: lines of
/// `NAME => PATH (ADDRESS)` or `PATH (ADDRESS)`.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let mut ldd = nsrun::plain("/usr/bin/ldd");
    ldd.arg(program);
    let done = run(ldd, patience(20));
    done.stdout
        .split_ascii_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_in_a_root_of_its_own() {
        let sandbox = crate::Sandbox::new();
        let tree = sandbox.dir().join("tree");
        build(&tree, &[]);
        let mut command = nsrun::plain("/usr/sbin/chroot");
        command
            .arg(&tree)
            .args(["/sbin/init", "try", "read /etc/os-release"]);
        let done = run(command, patience(20)).success();
        assert!(done.stdout.contains("ID=tiny"), "{done}");
    }
}
