//! All or nothing: killed, interrupted, twice at once, without space.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nsrun_tests::archive::Archive;
use nsrun_tests::done::{Running, run};
use nsrun_tests::{Must, Sandbox, image, patience, rng, wait_until};
use rustix::process::Signal;

use super::{archive, import, sandbox_remove};

/// Starts an import of the demo image that takes a second or two.
fn start(sandbox: &Sandbox, name: &str) -> Running {
    let demo = image::artefact(&["demo"]);
    Running::start(sandbox.command(&["import".as_ref(), demo.as_os_str(), name.as_ref()]))
}

fn visible(sandbox: &Sandbox) -> Vec<String> {
    fs::read_dir(sandbox.image_root())
        .must("list the image root")
        .map(|entry| {
            entry
                .must("list the image root")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with('.'))
        .collect()
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_that_the_next_command_does_not_sweep() {
    let sandbox = Sandbox::new();
    let mut rng = rng::seeded("import killed");
    let rounds = if std::env::var_os("NSRUN_TEST_SOAK").is_some() {
        50
    } else {
        6
    };
    for round in 0..rounds {
        let mut import = start(&sandbox, "killed");
        sleep(Duration::from_millis(rng.u64(1..1500)));
        import.signal(Signal::KILL);
        let status = import.finish(patience(10)).status;
        if status == 0 {
            sandbox_remove(&sandbox, "killed");
        }
        // What it started dies with it, a moment later; until then its lock is held.
        wait_until(patience(10), "the processes of a killed import die", || {
            let left = sandbox.left();
            let dead = !left.iter().any(|thing| thing.starts_with("process"));
            dead.then_some(())
        });
        assert_eq!(visible(&sandbox), Vec::<String>::new(), "round {round}");
    }
    // Another import is a next command, too.
    let bytes = Archive::image().end();
    let _ = import(&sandbox, &archive(&sandbox, "a.tar", &bytes), "other");
    sandbox.assert_clean();
}

#[test]
fn interrupted_it_cleans_up_and_says_so() {
    let sandbox = Sandbox::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut import = start(&sandbox, "interrupted");
        sleep(Duration::from_millis(300));
        import.signal(signal);
        let done = import.finish(patience(20));
        assert_ne!(done.status, 0, "{done}");
        assert!(done.stderr.contains("interrupted"), "{done}");
        sandbox.assert_clean();
        assert_eq!(visible(&sandbox), Vec::<String>::new());
    }
}

#[test]
fn two_imports_of_one_name_do_not_meet() {
    let sandbox = Sandbox::new();
    let mut first = start(&sandbox, "same");
    let mut second = start(&sandbox, "same");
    let mut statuses = [
        first.finish(patience(120)).status,
        second.finish(patience(120)).status,
    ];
    statuses.sort_unstable();
    assert_eq!(statuses, [0, 4]);
    assert_eq!(visible(&sandbox), ["same"]);
}

#[test]
fn a_full_disk_is_told_before_or_after_and_nothing_stays() {
    let sandbox = Sandbox::new();
    let small = sandbox.dir().join("small");
    fs::create_dir(&small).must("make a mount point");
    let demo = image::artefact(&["demo"]);
    for options in [
        "size=8m,mode=0700",
        "size=90m,mode=0700",
        "nr_inodes=100,mode=0700",
    ] {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&small);
        run(mount, patience(10)).success();
        let mut command = sandbox.command(&["import", "--image-root"]);
        command.arg(&small).arg(&demo).arg("big");
        let done = run(command, patience(120));
        assert!(matches!(done.status, 1 | 6), "{options}: {done}");
        let told = ["free", "space"]
            .iter()
            .any(|word| done.stderr.contains(word));
        assert!(told, "{options}: {done}");
        assert_eq!(fs::read_dir(&small).must("list").count(), 0, "{options}");
        let mut umount = Command::new("umount");
        umount.arg(&small);
        run(umount, patience(10)).success();
    }
}
