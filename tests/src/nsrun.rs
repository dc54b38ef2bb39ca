//! Finding the programs under test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::must::Must;

/// The directory that cargo puts binaries in: tests run from `deps` below it.
#[must_use]
pub fn target_dir() -> PathBuf {
    let test = std::env::current_exe().must("find the test's own path");
    let mut dir = test.parent().must("find the test's directory");
    if dir.ends_with("deps") {
        dir = dir.parent().must("find the directory above the test's");
    }
    dir.to_owned()
}

/// The `nsrun` under test: `NSRUN_BIN`, or the one beside the tests.
///
/// # Panics
/// When there is none, with the command that makes it.
#[track_caller]
#[must_use]
pub fn binary() -> PathBuf {
    built("NSRUN_BIN", "nsrun", "cargo build -p nsrun")
}

/// The `nsrun` that fails on demand: `NSRUN_FAULT_BIN`, or the one beside the tests.
///
/// # Panics
/// When there is none, with the command that makes it.
#[track_caller]
#[must_use]
pub fn faulty_binary() -> PathBuf {
    built("NSRUN_FAULT_BIN", "nsrun-fault", "make build-tests")
}

/// The program that stands for a container's init, beside the tests.
///
/// # Panics
/// When there is none, with the command that makes it.
#[track_caller]
#[must_use]
pub fn pid1() -> PathBuf {
    built(
        "NSRUN_PID1_BIN",
        "pid1",
        "cargo build -p nsrun-tests --bins",
    )
}

/// A script that runs the `nsrun` under test on a host where `calls`, parted by commas, fail with
/// EPERM; made in `dir`.
///
/// # Panics
/// When the script cannot be written.
#[track_caller]
#[must_use]
pub fn without(calls: &str, dir: &Path) -> PathBuf {
    let wrapper = built(
        "NSRUN_WITHOUT_BIN",
        "without",
        "cargo build -p nsrun-tests --bins",
    );
    let script = dir.join("nsrun-without");
    let text = format!(
        "#!/bin/sh\nexec {} {calls} {} \"$@\"\n",
        wrapper.display(),
        binary().display()
    );
    fs::write(&script, text).must("write the wrapper of nsrun");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).must("make it executable");
    script
}

#[track_caller]
fn built(variable: &str, name: &str, remedy: &str) -> PathBuf {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => target_dir().join(name),
    };
    assert!(
        path.is_file(),
        "cannot find {}; build it with `{remedy}` or name it in {variable}",
        path.display()
    );
    path
}

/// The absolute path of one of Debian's programs; `None` if it is not installed.
#[must_use]
pub fn installed(program: &str) -> Option<PathBuf> {
    [
        "/usr/local/bin",
        "/usr/local/sbin",
        "/usr/bin",
        "/usr/sbin",
        "/bin",
        "/sbin",
    ]
    .iter()
    .map(|dir| PathBuf::from(dir).join(program))
    .find(|path| path.is_file())
}

/// A command with nothing of the test's environment but a search path.
#[must_use]
pub fn plain(program: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(program.into());
    command.env_clear().env(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    command
}
