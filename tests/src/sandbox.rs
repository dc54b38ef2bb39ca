//! A place for one test: its own image root, state, mounts, network and IPC, and a check at
//! the end that nothing of it is left.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};

use crate::children;
use crate::done::{Done, run};
use crate::must::Must;
use crate::nsrun;
use crate::residue::{self, Residue, Scope};
use crate::wait::patience;

/// One test of a process at a time: the check for leftover processes cannot tell apart
/// those of two. A runner that gives every test a process loses nothing by it.
static TURN: Mutex<()> = Mutex::new(());

/// The network and mount namespace that the first test of this process came from.
static HOME: OnceLock<[File; 2]> = OnceLock::new();

/// The calling thread moves into namespaces of its own and stays there; everything that
/// the test starts from it does so too. When it is dropped, it checks that nothing is left.
#[derive(Debug)]
pub struct Sandbox {
    id: String,
    dir: PathBuf,
    on_disk: bool,
    binary: Option<PathBuf>,
    residue: Residue,
    _turn: MutexGuard<'static, ()>,
}

impl Sandbox {
    /// A sandbox in memory if there is enough, on disk otherwise.
    ///
    /// # Panics
    /// Without root, or when the host refuses a namespace or mount.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        Self::make(!plenty_of_memory())
    }

    /// A sandbox on the disk that `/var/tmp` is on.
    ///
    /// # Panics
    /// As [`Sandbox::new`].
    #[track_caller]
    #[must_use]
    pub fn on_disk() -> Self {
        Self::make(true)
    }

    #[track_caller]
    fn make(on_disk: bool) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes containers: run it as root"
        );
        let id = format!("t{:08x}", fastrand::u32(..));
        become_separate();
        let parent = if on_disk { "/var/tmp" } else { "/run" };
        let dir = Path::new(parent).join(format!("nsrun-test-{id}"));
        for part in ["", "images", "state"] {
            private_dir(&dir.join(part));
        }
        let scope = Scope {
            mark: id.clone(),
            dirs: vec![
                dir.join("state/run"),
                "/run/nsrun".into(),
                "/run/systemd/nspawn".into(),
                "/run/systemd/nspawn-uid".into(),
                "/dev/pts".into(),
            ],
            image_roots: vec![dir.join("images")],
        };
        Self {
            id,
            dir,
            on_disk,
            binary: None,
            residue: Residue::snapshot(scope),
            _turn: turn,
        }
    }

    /// Replaces the `nsrun` under test by another build of it.
    #[must_use]
    pub fn with_binary(mut self, binary: PathBuf) -> Self {
        self.binary = Some(binary);
        self
    }

    /// A machine name that no other test uses.
    #[must_use]
    pub fn name(&self, base: &str) -> String {
        format!("{base}-{}", self.id)
    }

    /// The sandbox's directory; everything in it goes when the test ends.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The image root, 0700.
    #[must_use]
    pub fn image_root(&self) -> PathBuf {
        self.dir.join("images")
    }

    /// The state root.
    #[must_use]
    pub fn state_root(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// `nsrun` with this sandbox's image and state root, to be given a verb.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let binary = self.binary.clone().unwrap_or_else(nsrun::binary);
        let mut command = nsrun::plain(binary);
        command
            .env("NSRUN_IMAGE_ROOT", self.image_root())
            .env("NSRUN_STATE_ROOT", self.state_root())
            .env("TERM", "dumb")
            .args(args);
        command
    }

    /// Runs `nsrun` to its end.
    ///
    /// # Panics
    /// When it has not ended after a minute.
    #[track_caller]
    #[must_use]
    pub fn nsrun<S: AsRef<OsStr>>(&self, args: &[S]) -> Done {
        run(self.command(args), patience(60))
    }

    /// What of this test is on the host now and was not before it.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        self.residue.left()
    }

    /// Fails the test if anything of it is on the host, as its end does anyway.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.residue.assert_clean();
    }

    /// Makes the host look as one with nothing but control groups of version 2, for all
    /// that is started from now on.
    ///
    /// # Panics
    /// When there is no version 2 hierarchy.
    #[track_caller]
    pub fn pure_cgroup_v2(&mut self) {
        let root = residue::v2_root().must("find the cgroup v2 root");
        if root != Path::new("/sys/fs/cgroup") {
            mount_bind(&root, "/sys/fs/cgroup").must("bind the cgroup v2 root");
            self.residue = Residue::snapshot(self.residue.scope().clone());
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let left = self.residue.left_after_settling();
        let missing = self.residue.missing();
        if !left.is_empty() {
            residue::kill_descendants();
            residue::kill_cgroups(&self.id);
        }
        if self.on_disk {
            remove_tree(&self.dir);
        }
        if std::thread::panicking() {
            eprintln!("left behind by the failed test: {left:?}; gone: {missing:?}");
        } else {
            assert!(
                left.is_empty() && missing.is_empty(),
                "left behind: {left:#?}; gone from the host: {missing:#?}"
            );
        }
    }
}

/// Moves the calling thread into new mount, network, IPC and UTS namespaces: what is left
/// in them can only be the test's own. Mounts spread as they do under systemd.
#[track_caller]
fn become_separate() {
    children::adopt_orphans();
    HOME.get_or_init(|| {
        ["net", "mnt"].map(|kind| {
            File::open(format!("/proc/thread-self/ns/{kind}")).must("open our namespaces")
        })
    });
    let all = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(all).must("make namespaces for the test");
    let recursive = MountPropagationFlags::REC;
    mount_change("/", MountPropagationFlags::PRIVATE | recursive)
        .must("cut mounts off from the host");
    mount_change("/", MountPropagationFlags::SHARED | recursive).must("share mounts");
    if !Path::new("/run/systemd/system").exists() {
        mount_fresh("tmpfs", "/run", "mode=0755");
    }
    mount_fresh(
        "devpts",
        "/dev/pts",
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
    );
    let up = run(ip(&["link", "set", "lo", "up"]), patience(10));
    up.success();
}

#[track_caller]
fn mount_fresh(fstype: &str, target: &str, options: &str) {
    let options = std::ffi::CString::new(options).must("write mount options");
    mount(fstype, target, fstype, MountFlags::empty(), &*options)
        .must(&format!("mount {fstype} on {target}"));
}

/// A command in the network and mount namespace that tests come from.
#[must_use]
pub fn outside(program: impl AsRef<OsStr>) -> Command {
    let Some([net, mnt]) = HOME.get() else {
        return Command::new(program);
    };
    let us = std::process::id();
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/proc/{us}/fd/{}", net.as_raw_fd()))
        .arg(format!("--mount=/proc/{us}/fd/{}", mnt.as_raw_fd()))
        .arg(program);
    command
}

/// `ip` with `args`, in the test's network namespace.
#[must_use]
pub fn ip(args: &[&str]) -> Command {
    let mut command = nsrun::plain("/usr/sbin/ip");
    command.args(args);
    command
}

fn private_dir(path: &Path) {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .must(&format!("make {}", path.display()));
}

fn plenty_of_memory() -> bool {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.parse::<u64>().ok());
    available.is_some_and(|kib| kib > 2 * 1024 * 1024)
}

/// Removes a tree that may hold immutable files. Nothing of another file system is touched.
pub fn remove_tree(path: &Path) {
    let mut clear = nsrun::plain("/usr/bin/chattr");
    clear.args(["-R", "-f", "-i"]).arg(path);
    // It tells of every symbolic link that it cannot have flags.
    let _ = run(clear, patience(60));
    let mut remove = nsrun::plain("/bin/rm");
    remove.args(["-rf", "--one-file-system"]).arg(path);
    let _ = run(remove, patience(60));
}

#[cfg(test)]
mod tests;
