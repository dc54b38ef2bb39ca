//! `nsrun logs`: the console with its times, and the journal.

use nsrun_tests::done::Running;
use nsrun_tests::{Console, Done, Sandbox, patience, wait_until};
use rustix::process::Signal;

const READY: &str = "notify READY=1";

fn start(sandbox: &Sandbox, image: &str) {
    let words = ["start", "--wait=ready", "--network=private", image];
    let _ = sandbox.nsrun(&words).success();
}

fn logs(sandbox: &Sandbox, words: &[&str]) -> Done {
    let all: Vec<&str> = ["logs"].into_iter().chain(words.iter().copied()).collect();
    sandbox.nsrun(&all)
}

fn shown(sandbox: &Sandbox, words: &[&str]) -> String {
    logs(sandbox, words).success().stdout
}

/// Has the machine write a line to its journal, under a name of the test's.
fn tell(sandbox: &Sandbox, image: &str, options: &[&str], text: &str) {
    let mut words = vec!["exec", image, "--", "systemd-cat", "-t", "teller"];
    words.extend(options);
    words.extend(["echo", text]);
    let _ = sandbox.nsrun(&words).success();
    wait_until(patience(20), "the entry", || {
        let journal = shown(sandbox, &["--journal", "-o", "cat", image]);
        journal.contains(text).then_some(())
    });
}

#[test]
fn the_console_is_cut_by_time() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("times", &["print early", "sleep 2500", "print late", READY]);
    start(&sandbox, &image);
    let later = shown(&sandbox, &["--since=1.2s ago", &image]);
    assert!(later.contains("late"), "{later}");
    // The clock of the test and the time of the line are the host's both.
    let times = sandbox
        .state_root()
        .join(format!("lib/consoles/{image}.log.times"));
    let times = std::fs::read_to_string(times).unwrap_or_default();
    let noted: Vec<u64> = times
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.parse().ok())
        .collect();
    let [first, .., last] = noted[..] else {
        panic!("there are two times in {times:?}");
    };
    let at = |usec: u64| format!("@{}.{:06}", usec / 1_000_000, usec % 1_000_000);
    let since = shown(&sandbox, &["--since", &at(last), &image]);
    assert!(
        since.contains("late") && !since.contains("early"),
        "{since}"
    );
    let until = shown(&sandbox, &["--until", &at(first), &image]);
    assert!(
        until.contains("early") && !until.contains("late"),
        "{until}"
    );
    assert_eq!(shown(&sandbox, &["--until=2001-02-03 04:05", &image]), "");
    let _ = sandbox.nsrun(&["stop", &image]).success();
    start(&sandbox, &image);
    let both = shown(&sandbox, &["--since=today", "--until=tomorrow", &image]);
    assert_eq!(
        both.matches("early").count(),
        2,
        "the run before counts: {both}"
    );
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn words_that_make_no_sense_are_refused() {
    let sandbox = Sandbox::new();
    for words in [
        &["--since=soon", "x"][..],
        &["--since=9999 years ago", "x"],
        &["--until=now", "--follow", "x"],
        &["--console", "--unit=nginx", "x"],
        &["--console", "--journal", "x"],
    ] {
        let _ = logs(&sandbox, words).expect_status(2);
    }
    let _ = logs(&sandbox, &["--journal", "missing"])
        .expect_status(3)
        .expect_stderr("missing");
}

#[test]
fn an_image_without_a_journal_is_told() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("without", &[READY]);
    let refused = |what: &str| {
        let _ = logs(&sandbox, &["--journal", &image])
            .expect_status(3)
            .expect_stderr(what)
            .expect_stderr("logs --console");
    };
    refused("no journalctl");
    start(&sandbox, &image);
    refused("no journalctl");
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

fn the_journal_is_read(sandbox: &Sandbox, image: &str) {
    start(sandbox, image);
    tell(sandbox, image, &["-p", "info"], "of-little-weight");
    tell(sandbox, image, &["-p", "err"], "grave-indeed");
    let grave = shown(sandbox, &["--priority=err", "-o", "cat", image]);
    assert!(grave.contains("grave-indeed"), "{grave}");
    assert!(!grave.contains("of-little-weight"), "{grave}");
    let unit = shown(sandbox, &["-u", "systemd-journald", image]);
    assert!(unit.contains("systemd-journald["), "{unit}");
    assert!(!unit.contains("grave-indeed"), "{unit}");
    let last = shown(sandbox, &["-j", "-n1", "-o", "json", image]);
    let entry: serde_json::Value = serde_json::from_str(&last).unwrap_or_default();
    assert!(entry["MESSAGE"].is_string(), "{last}");
    let none = shown(sandbox, &["-j", "--until=2001-02-03", "-o", "cat", image]);
    assert!(!none.contains("grave-indeed"), "{none}");
    let some = shown(sandbox, &["-j", "--since=-10min", "-o", "cat", image]);
    assert!(some.contains("grave-indeed"), "{some}");
    let _ = logs(sandbox, &["-o", "nonsense", image])
        .expect_status(1)
        .expect_stderr("cannot read the journal");
    let mut follower = Running::start(sandbox.command(&["logs", "-f", "-o", "cat", image]));
    tell(sandbox, image, &[], "said-meanwhile");
    wait_until(patience(20), "what was said", || {
        let seen = follower.so_far().stdout;
        (seen.contains("grave-indeed") && seen.contains("said-meanwhile")).then_some(())
    });
    let _ = sandbox.nsrun(&["pause", image]).success();
    let _ = logs(sandbox, &["-j", image])
        .expect_status(4)
        .expect_stderr("paused");
    let _ = sandbox.nsrun(&["resume", image]).success();
    let _ = sandbox.nsrun(&["stop", image]).success();
    let _ = follower.finish(patience(30)).success();
    let _ = sandbox.nsrun(&["is-running", image]).expect_status(3);
    let kept = shown(sandbox, &["--priority=err", "-o", "cat", image]);
    assert!(kept.contains("grave-indeed"), "{kept}");
    let follow = shown(sandbox, &["--journal", "--follow", "-n1", image]);
    assert!(follow.lines().count() <= 2, "it ends at once: {follow}");
}

#[test]
fn the_journal_of_debian_is_read_while_it_runs_and_afterwards() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("debian", &["trixie"]);
    the_journal_is_read(&sandbox, &image);
}

#[test]
fn the_journal_of_nixos_is_read_while_it_runs_and_afterwards() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("nixos", &["demo", "--net=none"]);
    the_journal_is_read(&sandbox, &image);
}

#[test]
fn on_a_terminal_it_is_coloured_and_an_interrupt_ends_it() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("colours", &["trixie"]);
    start(&sandbox, &image);
    tell(&sandbox, &image, &["-p", "err"], "grave-indeed");
    let mut command = sandbox.command(&["logs", "-f", "-p", "err", &image]);
    command.env("TERM", "xterm");
    let mut console = Console::start(&command);
    let _ = console.expect("grave-indeed");
    let raw = String::from_utf8_lossy(&console.raw()).into_owned();
    assert!(raw.contains("\u{1b}["), "{raw:?}");
    console.signal(Signal::INT);
    assert_ne!(console.wait(patience(20)), 0);
    let _ = sandbox.nsrun(&["stop", &image]).success();
}
