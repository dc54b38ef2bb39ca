//! Copies that are interrupted, killed, or made while somebody changes the tree.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nsrun_tests::done::Running;
use nsrun_tests::{Must, Sandbox, patience, poll, wait_until};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;

use super::{attempts, up};

const HIDDEN: &str = ".#nsrun-copy-";

/// Hidden directories in `dir`.
fn hidden(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).must("list a directory");
    entries
        .map(|entry| entry.must("read an entry").path())
        .filter(|path| path.to_string_lossy().contains(HIDDEN))
        .collect()
}

/// A copy from an archive of which no more comes, and what keeps its input open.
fn held_up(sandbox: &Sandbox, to: &str, place: &Path) -> (Running, std::io::PipeWriter) {
    let (input, held) = std::io::pipe().must("make a pipe");
    let mut command = sandbox.command(&["cp", "-", to]);
    let running = Running::start_with_input(&mut command, input);
    wait_until(patience(20), "the copy to begin", || {
        (!hidden(place).is_empty()).then_some(())
    });
    (running, held)
}

#[test]
fn an_interrupted_copy_cleans_up() {
    for signal in [Signal::INT, Signal::TERM] {
        let sandbox = Sandbox::on_disk();
        let machine = up(&sandbox, "interrupt", &[]);
        let place = sandbox.image_root().join(machine.name()).join("root");
        let (mut copy, held) = held_up(&sandbox, &format!("{}:/root", machine.name()), &place);
        copy.signal(signal);
        let done = copy.finish(patience(20)).expect_status(1);
        let _ = done.expect_stderr("interrupted");
        assert_eq!(hidden(&place), Vec::<PathBuf>::new());
        drop(held);
        let _ = machine.stop().success();
    }
}

#[test]
fn what_a_killed_copy_leaves_goes_with_the_next() {
    let sandbox = Sandbox::on_disk();
    let machine = up(&sandbox, "killed", &[]);
    let to = format!("{}:/root", machine.name());
    let place = sandbox.image_root().join(machine.name()).join("root");
    let (mut copy, held) = held_up(&sandbox, &to, &place);
    // One that is under way is left alone by others.
    let _ = sandbox.nsrun(&["cp", "/etc/hostname", &to]).success();
    assert_eq!(hidden(&place).len(), 1);
    copy.signal(Signal::KILL);
    assert_eq!(copy.finish(patience(20)).status, 137);
    let _ = sandbox.nsrun(&["cp", "/etc/hostname", &to]).success();
    assert_eq!(attempts(&machine, &["list /root"]), ["hostname"]);
    drop(held);
    let _ = machine.stop().success();
}

#[test]
fn a_copy_ends_with_its_machine_and_does_not_hold_it_up() {
    let sandbox = Sandbox::on_disk();
    let machine = up(&sandbox, "ends", &[]);
    let to = format!("{}:/root", machine.name());
    let place = sandbox.image_root().join(machine.name()).join("root");
    let (mut copy, held) = held_up(&sandbox, &to, &place);
    let _ = machine.stop().success();
    let done = copy.finish(patience(20)).expect_status(1);
    let _ = done.expect_stderr("was killed").expect_stderr("machine");
    // The image does not run any more: the next copy is into that.
    let _ = sandbox.nsrun(&["cp", "/etc/hostname", &to]).success();
    let left: Vec<_> = fs::read_dir(&place).must("list a directory").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    drop(held);
}

#[test]
fn killed_at_random_points_a_copy_is_there_or_not_and_the_next_one_works() {
    let sandbox = Sandbox::on_disk();
    let source = sandbox.dir().join("source");
    for number in 0..40 {
        let dir = source.join(format!("dir{number}"));
        fs::create_dir_all(&dir).must("make directories");
        fs::write(dir.join("file"), vec![b'x'; 20_000]).must("write a file");
    }
    let machine = up(&sandbox, "random", &[]);
    let place = sandbox.image_root().join(machine.name()).join("root");
    let to = format!("{}:/root", machine.name());
    let words = ["cp", source.to_str().must("a path as text"), &to];
    let (mut killed, mut whole) = (0, 0);
    let rounds = if std::env::var_os("NSRUN_TEST_SOAK").is_some() {
        500
    } else {
        25
    };
    for round in 0..rounds {
        let mut copy = Running::start(sandbox.command(&words));
        std::thread::sleep(std::time::Duration::from_micros(fastrand::u64(..60_000)));
        copy.signal(Signal::KILL);
        let status = copy.finish(patience(20)).status;
        assert!([0, 137].contains(&status), "round {round}: {status}");
        killed += u32::from(status == 137);
        if place.join("source").exists() {
            // It is seen whole or not at all.
            let there = fs::read_dir(place.join("source")).must("list the copy");
            assert_eq!(there.count(), 40, "round {round}");
            whole += 1;
            fs::remove_dir_all(place.join("source")).must("remove the copy");
        }
    }
    assert!(killed > 0, "{whole} of {rounds} were quicker");
    // The last one's processes may still be dying, and hold what they made.
    let clean = poll(patience(20), || {
        let _ = sandbox.nsrun(&words).success();
        hidden(&place).is_empty().then_some(())
    });
    assert!(clean.is_some(), "{:?}", hidden(&place));
    assert_eq!(attempts(&machine, &["list /root"]), ["source"]);
    let _ = machine.stop().success();
}

#[test]
fn a_bind_that_is_killed_is_there_or_not_and_leaves_nothing_else() {
    let sandbox = Sandbox::on_disk();
    let machine = up(&sandbox, "bind", &[]);
    let name = machine.name();
    let words = ["bind", name, "/etc", "/root"];
    let rounds = if std::env::var_os("NSRUN_TEST_SOAK").is_some() {
        500
    } else {
        25
    };
    for round in 0..rounds {
        let mut bind = Running::start(sandbox.command(&words));
        std::thread::sleep(std::time::Duration::from_micros(fastrand::u64(..40_000)));
        bind.signal(Signal::KILL);
        let status = bind.finish(patience(20)).status;
        assert!([0, 137].contains(&status), "round {round}: {status}");
        let told = sandbox.nsrun(&["status", "--json", name]).success();
        let told = told.json::<serde_json::Value>()["binds"].clone();
        let count = told.as_array().map_or(0, Vec::len);
        assert!(count <= 1, "{told}");
        let is_there = attempts(&machine, &["list /root"])[0] != "empty";
        // Between the two looks one that was killed cannot have gone on: what is told is there.
        assert!(is_there || count == 0, "round {round}: {told}");
        if is_there {
            let _ = sandbox.nsrun(&["unbind", name, "/root"]).success();
        }
    }
    let _ = sandbox.nsrun(&words).success();
    let _ = sandbox.nsrun(&["unbind", name, "/root"]).success();
    assert_eq!(attempts(&machine, &["list /root"]), ["empty"]);
    let _ = machine.stop().success();
}

/// Says that it is over.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Changes `one` for `other` and back for as long as this runs.
fn swapping<T>(one: &Path, other: &Path, act: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).must("swap");
            }
        });
        // Also after a failure, or the thread would be waited for.
        let _end = End(&done);
        act()
    })
}

#[test]
fn directories_that_become_links_to_the_host_lead_no_copy_there() {
    for runs in [false, true] {
        let sandbox = Sandbox::on_disk();
        let image = sandbox.tiny("swap", &["notify READY=1"]);
        let tree = sandbox.image_root().join(&image);
        let outside = sandbox.dir().join("outside");
        fs::create_dir_all(outside.join("sub")).must("make directories");
        fs::write(outside.join("sub/secret"), "host's").must("write a file");
        let dir = tree.join("srv/tree/dir");
        fs::create_dir_all(dir.join("sub")).must("make directories");
        fs::write(dir.join("sub/own"), "machine's").must("write a file");
        let link = tree.join("srv/link");
        symlink(&outside, &link).must("make a link");
        let source = sandbox.dir().join("source");
        fs::create_dir_all(source.join("dir/sub/new")).must("make directories");
        fs::write(source.join("dir/sub/planted"), "").must("write a file");
        let machine = runs.then(|| sandbox.boot(&image).up());
        let from = format!("{image}:/srv/tree");
        let merged = format!("{}/.", source.display());
        let (mut out, mut into) = (0, 0);
        swapping(&dir, &link, || {
            for round in 0..30 {
                let target = sandbox.dir().join(format!("out{round}"));
                let words = ["cp", &from, target.to_str().must("a path as text")];
                out += u32::from(sandbox.nsrun(&words).status == 0);
                // The link itself may have been copied, and leads there.
                let dir = fs::symlink_metadata(target.join("dir"));
                let secret = target.join("dir/sub/secret");
                let leaked = dir.is_ok_and(|dir| dir.is_dir()) && secret.exists();
                assert!(!leaked, "{}", secret.display());
                into += u32::from(sandbox.nsrun(&["cp", &merged, &from]).status == 0);
                let deep = format!("{from}/dir");
                let _ = sandbox.nsrun(&["cp", &merged, &deep]);
            }
        });
        let left = fs::read_dir(outside.join("sub")).must("list a directory");
        assert_eq!(left.count(), 1, "something was put on the host");
        let left = fs::read_dir(&outside).must("list a directory");
        assert_eq!(left.count(), 1, "something was put on the host");
        assert!(out > 0, "no copy succeeded: {out} {into}");
        if let Some(machine) = machine {
            let _ = machine.stop().success();
        }
    }
}
