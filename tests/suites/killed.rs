//! Verbs about machines that are killed at random points: the next command finds a machine that runs or
//! none, and whatever was left is cleared away.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nsrun_tests::done::Running;
use nsrun_tests::{Must, Sandbox, patience, rng, wait_until};
use rustix::process::Signal;

/// Statuses of `docs/exit-status.md`.
const NOT_FOUND: i32 = 3;
const BUSY: i32 = 4;

/// The verbs, with what they are given after the machine's name, and whether it runs before.
const VERBS: [(&str, &[&str], bool); 8] = [
    ("start", &["--wait=ready"], false),
    ("run", &["--", "/sbin/init", "try", "exists /"], false),
    ("stop", &[], true),
    ("exec", &["--", "/sbin/init", "try", "exists /"], true),
    ("bind", &["SHARED", "/srv"], true),
    ("unbind", &["/srv"], true),
    ("pause", &[], true),
    ("reboot", &[], true),
];

/// Starts the machine. A start that was killed may have handed it over to its supervisor, which goes on:
/// then that one is brought to an end before.
fn start(sandbox: &Sandbox, image: &str) {
    wait_until(patience(60), "the machine to start", || {
        let done = sandbox.nsrun(&["start", "--wait=ready", image]);
        match done.status {
            0 => Some(()),
            BUSY => {
                settle(sandbox, image);
                None
            }
            _ => panic!("a start after a killed command: {done}"),
        }
    });
}

/// Brings the machine to an end, whatever it is doing.
fn settle(sandbox: &Sandbox, image: &str) {
    wait_until(patience(60), "the machine to be gone", || {
        let done = sandbox.nsrun(&["stop", image]);
        assert!(
            matches!(done.status, 0 | NOT_FOUND | BUSY),
            "a stop after a killed command: {done}"
        );
        (sandbox.nsrun(&["--json", "list"]).success().stdout == "[]\n").then_some(())
    });
}

#[test]
fn after_a_verb_that_is_killed_anywhere_the_next_ones_work() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("killed", &["notify READY=1"]);
    let shared = sandbox.dir().join("shared");
    fs::create_dir(&shared).must("make a directory");
    fs::create_dir_all(sandbox.image_root().join(&image).join("srv")).must("make a place");
    let shared = shared.to_string_lossy().into_owned();
    let mut random = rng::seeded("killed");
    let soak = std::env::var_os("NSRUN_TEST_SOAK").is_some();
    for round in 0..if soak { 500 } else { 2 * VERBS.len() } {
        let (verb, rest, runs) = VERBS[round % VERBS.len()];
        if runs {
            start(&sandbox, &image);
        }
        if verb == "unbind" {
            let _ = sandbox.nsrun(&["bind", &image, &shared, "/srv"]).success();
        }
        let rest = rest.iter().map(|word| match *word {
            "SHARED" => shared.as_str(),
            word => word,
        });
        let words: Vec<&str> = [verb, image.as_str()].into_iter().chain(rest).collect();
        let mut running = Running::start(sandbox.command(&words));
        sleep(Duration::from_micros(random.u64(..60_000)));
        running.signal(Signal::KILL);
        let _ = running.finish(patience(20));
        settle(&sandbox, &image);
        start(&sandbox, &image);
        let _ = sandbox
            .nsrun(&["exec", &image, "--", "/sbin/init", "try", "exists /"])
            .success();
        let _ = sandbox.nsrun(&["stop", &image]).success();
        sandbox.assert_clean();
    }
}
