//! Finding the programs under test.

use std::path::PathBuf;
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
