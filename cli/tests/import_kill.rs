//! Killed and interrupted imports: whole or not there at all, and what is left is swept.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nsrun_runtime::Dirs;
use nsrun_runtime::image::sweep;

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Directories in the archive, and files in each.
const SHAPE: (usize, usize) = (7, 400);

/// An image root and an archive that takes a while to unpack, in memory: ext4 is slow
/// where many files were removed a moment ago.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        for d in 0..SHAPE.0 {
            let path = dir.path().join(format!("tree/d{d}"));
            fs::create_dir_all(&path).unwrap();
            for f in 0..SHAPE.1 {
                fs::write(path.join(format!("f{f}")), "content ".repeat(90)).unwrap();
            }
        }
        let packed = Command::new("tar")
            .args(["-C", "tree", "-cf", "archive.tar", "."])
            .current_dir(dir.path())
            .status();
        assert!(packed.unwrap().success());
        Self { dir }
    }

    fn image_root(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    fn dirs(&self) -> Dirs {
        Dirs::new(
            Some(&self.image_root()),
            Some(&self.dir.path().join("state")),
        )
    }

    fn image(&self) -> PathBuf {
        self.image_root().join("web")
    }

    fn command(&self) -> Command {
        self.command_for("archive.tar")
    }

    fn command_for(&self, archive: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nsrun"));
        command
            .args(["import", archive, "web", "--no-sync", "--quiet"])
            .args(["--image-root", "images", "--state-root", "state"])
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stderr(fs::File::create(self.dir.path().join("stderr")).unwrap());
        command
    }

    fn start(&self) -> Importer {
        Importer {
            process: self.command().spawn().unwrap(),
        }
    }

    /// An import that waits for the second half of its archive, confined already.
    fn start_held(&self) -> Held {
        let archive = fs::read(self.dir.path().join("archive.tar")).unwrap();
        let mut command = self.command_for("-");
        let mut process = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = process.stdin.take().unwrap();
        let (first, second) = archive.split_at(archive.len() / 2);
        input.write_all(first).unwrap();
        let importer = Importer { process };
        let unpacker = importer.unpacker().unwrap();
        wait_for(|| {
            let status = fs::read_to_string(format!("/proc/{unpacker}/status")).unwrap();
            status.contains("Seccomp:\t2").then_some(())
        });
        Held {
            importer,
            unpacker,
            input,
            rest: second.to_vec(),
        }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }

    /// Names in the image root.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.image_root()).into_iter().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn assert_whole(&self) {
        assert_eq!(self.left(), ["web"]);
        for d in 0..SHAPE.0 {
            let dir = self.image().join(format!("d{d}"));
            assert_eq!(fs::read_dir(dir).unwrap().count(), SHAPE.1);
        }
    }

    fn remove_image(&self) {
        fs::remove_dir_all(self.image()).unwrap();
    }

    /// After a kill: the next command finds all that is left, and a new import succeeds.
    fn assert_recovers(&self) {
        // The unpacker dies with its parent, but not in the same instant.
        wait_for(|| {
            sweep(&self.dirs()).unwrap();
            let left = self.left();
            (left.is_empty() || left == ["web"]).then_some(())
        });
        if !self.image().exists() {
            assert!(
                self.command().status().unwrap().success(),
                "{}",
                self.stderr()
            );
        }
        self.assert_whole();
    }
}

/// A running import, killed if the test fails.
struct Importer {
    process: Child,
}

impl Importer {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// The process that unpacks; `None` if the import ended before it was seen.
    fn unpacker(&self) -> Option<Pid> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        wait_for(|| {
            let children = fs::read_to_string(&path).unwrap_or_default();
            match children.split_whitespace().next() {
                Some(child) => Some(Some(Pid::from_raw(child.parse().unwrap()))),
                None => self.ended().then_some(None),
            }
        })
    }

    fn ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        stat.is_ok_and(|stat| stat.contains(") Z "))
    }

    fn wait(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An import that waits for the rest of its archive.
struct Held {
    importer: Importer,
    unpacker: Pid,
    input: ChildStdin,
    rest: Vec<u8>,
}

impl Held {
    fn release(mut self) -> ExitStatus {
        self.input.write_all(&self.rest).unwrap();
        drop(self.input);
        self.importer.wait()
    }
}

/// What `ready` gives once it gives something.
fn wait_for<T>(ready: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Numbers below `limit` that look random and are the same every time.
fn random(seed: u64, limit: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    })
}

#[test]
fn killed_at_random_points_it_leaves_what_the_next_command_sweeps() {
    let place = Place::new();
    let mut interrupted = 0;
    for wait in random(1, 200).take(30) {
        let mut importer = place.start();
        std::thread::sleep(Duration::from_millis(wait));
        importer.process.kill().unwrap();
        importer.process.wait().unwrap();
        interrupted += usize::from(!place.image().exists());
        place.assert_recovers();
        place.remove_image();
    }
    assert!(interrupted > 0);
}

#[test]
fn an_unpacker_that_is_killed_is_an_error_that_leaves_nothing() {
    let place = Place::new();
    let mut killed = 0;
    for wait in random(2, 60).take(30) {
        let importer = place.start();
        if let Some(unpacker) = importer.unpacker() {
            std::thread::sleep(Duration::from_millis(wait));
            // At worst a zombie: its parent reaps it when it has read all it said.
            let _ = kill(unpacker, Signal::SIGKILL);
        }
        let status = importer.wait();
        if status.success() {
            place.assert_whole();
            place.remove_image();
            continue;
        }
        killed += 1;
        assert_eq!(status.code(), Some(1));
        let text = place.stderr();
        assert!(
            text.ends_with("the process that unpacks was killed by SIGKILL\n"),
            "{text}"
        );
        assert_eq!(place.left(), Vec::<String>::new());
    }
    assert!(killed > 0);
}

#[test]
fn signals_that_ask_to_stop_clean_up() {
    let place = Place::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let held = place.start_held();
        kill(held.importer.pid(), signal).unwrap();
        assert_eq!(held.importer.wait().code(), Some(1));
        let text = place.stderr();
        assert!(
            text.ends_with(&format!("interrupted by {signal}\n")),
            "{text}"
        );
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[test]
fn one_of_two_imports_of_a_name_wins() {
    let place = Place::new();
    let held = place.start_held();
    let second = place.command().status().unwrap();
    assert_eq!(second.code(), Some(4));
    let text = place.stderr();
    assert!(
        text.contains("image web is in use or being imported"),
        "{text}"
    );
    assert!(held.release().success());
    place.assert_whole();
    let third = place.command().status().unwrap();
    assert_eq!(third.code(), Some(4));
    assert!(
        place.stderr().contains("exists already"),
        "{}",
        place.stderr()
    );
}

#[test]
fn sweeping_leaves_an_import_that_is_under_way_alone() {
    let place = Place::new();
    let held = place.start_held();
    assert_eq!(sweep(&place.dirs()).unwrap(), Vec::<String>::new());
    assert!(held.release().success());
    place.assert_whole();
}

#[test]
fn an_orphaned_unpacker_dies_and_frees_its_lock() {
    let place = Place::new();
    let mut held = place.start_held();
    held.importer.process.kill().unwrap();
    let status = held.importer.process.wait().unwrap();
    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
    place.assert_recovers();
    let gone = format!("/proc/{}", held.unpacker);
    wait_for(|| (!Path::new(&gone).exists()).then_some(()));
}

#[test]
fn the_unpacker_sees_nothing_of_the_host() {
    let place = Place::new();
    let held = place.start_held();
    let proc = PathBuf::from(format!("/proc/{}", held.unpacker));
    let status = fs::read_to_string(proc.join("status")).unwrap();
    for line in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapEff:\t000000008000001b",
        "CapPrm:\t000000008000001b",
        "CapBnd:\t000000008000001b",
        "CapInh:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line} in {status}");
    }
    let mounts = fs::read_to_string(proc.join("mountinfo")).unwrap();
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    for namespace in ["ns/net", "ns/mnt", "ns/ipc"] {
        let own = fs::read_link(Path::new("/proc/self").join(namespace)).unwrap();
        assert_ne!(fs::read_link(proc.join(namespace)).unwrap(), own);
    }
    let files = fs::read_dir(proc.join("fd")).unwrap().count();
    assert!(files < 12, "{files} open files");
    assert!(held.release().success());
}
