//! nsrun under the names of other programs, or one of these in its place.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::done::{Done, run};
use crate::must::Must;
use crate::nsrun;
use crate::sandbox::Sandbox;
use crate::wait::patience;

/// Names a systemd-nspawn that is tested in nsrun's place, to see whether what the tests expect is
/// what it does.
const REAL: &str = "NSRUN_TEST_NSPAWN";

/// What the real one needs where systemd is not PID 1.
const WITHOUT_SYSTEMD: [&str; 2] = ["--register=no", "--keep-unit"];

/// The systemd-nspawn that is tested in nsrun's place.
#[must_use]
pub fn real_nspawn() -> Option<PathBuf> {
    std::env::var_os(REAL).map(PathBuf::from)
}

impl Sandbox {
    /// nsrun called as `name`, with this sandbox's image and state root.
    ///
    /// # Panics
    /// When the link by which it is called cannot be made.
    #[track_caller]
    #[must_use]
    pub fn called<S: AsRef<OsStr>>(&self, name: &str, args: &[S]) -> Command {
        let command = self.command(args);
        let link = self.dir().join(name);
        if !link.exists() {
            symlink(command.get_program(), &link).must("make a link to nsrun");
        }
        let mut called = nsrun::plain(link);
        called.args(args);
        called.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
        called
    }

    /// The systemd-nspawn under test.
    #[track_caller]
    #[must_use]
    pub fn nspawn<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let Some(real) = real_nspawn() else {
            return self.called("systemd-nspawn", args);
        };
        let mut command = nsrun::plain(real);
        command.args(WITHOUT_SYSTEMD).args(args);
        command
    }

    /// Runs the systemd-nspawn under test to its end.
    ///
    /// # Panics
    /// When it has not ended after a minute.
    #[track_caller]
    #[must_use]
    pub fn run_nspawn<S: AsRef<OsStr>>(&self, args: &[S]) -> Done {
        let done = run(self.nspawn(args), patience(60));
        self.forget_nspawn();
        done
    }

    /// Removes what the real one leaves; `/run` is the sandbox's own.
    pub fn forget_nspawn(&self) {
        if real_nspawn().is_some() && !Path::new("/run/systemd/system").exists() {
            let _ = fs::remove_dir_all("/run/systemd/nspawn");
        }
    }

    /// Runs `machinectl` to its end.
    ///
    /// # Panics
    /// When it has not ended after a minute.
    #[track_caller]
    #[must_use]
    pub fn machinectl<S: AsRef<OsStr>>(&self, args: &[S]) -> Done {
        run(self.called("machinectl", args), patience(60))
    }

    /// Makes a tiny tree that is no image, and gives its path.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    #[must_use]
    pub fn tiny_tree(&self, base: &str, conf: &[&str]) -> String {
        let tree = self.dir().join(self.name(base));
        crate::tiny::build(&tree, conf);
        tree.to_str().must("name a tree").to_owned()
    }
}
