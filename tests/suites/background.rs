//! Machines that go on when the command that started them has ended.

use std::fs;

use nsrun_tests::done::Running;
use nsrun_tests::{Console, Must, Sandbox, patience, wait_until};
use rustix::process::Signal;

const READY: &str = "notify READY=1";
const LEAVE: &str = "\u{1d}\u{1d}\u{1d}";

fn state(sandbox: &Sandbox, name: &str) -> String {
    let done = sandbox.nsrun(&["is-running", name]);
    done.stdout.trim_end().to_owned()
}

fn supervisor(sandbox: &Sandbox, name: &str) -> rustix::process::Pid {
    let status = sandbox.nsrun(&["--json", "status", name]).success();
    let status: serde_json::Value = status.json();
    let pid = status["supervisor"].as_i64().must("find the supervisor");
    let pid = i32::try_from(pid).must("read its number");
    rustix::process::Pid::from_raw(pid).must("read its number")
}

#[test]
fn it_starts_is_listed_and_stops() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("back", &[READY]);
    let started = sandbox.nsrun(&["start", "--wait=ready", &image]).success();
    assert_eq!(started.stdout, format!("{image} has started.\n"));
    assert_eq!(state(&sandbox, &image), "running");
    let again = sandbox.nsrun(&["start", &image]);
    let _ = again.expect_status(4).expect_stderr("in use by process");
    let stopped = sandbox.nsrun(&["stop", &image]).success();
    assert_eq!(stopped.stdout, format!("{image} has stopped.\n"));
    let _ = sandbox.nsrun(&["is-running", &image]).expect_status(3);
}

#[test]
fn it_leaves_the_session_directory_and_streams_of_the_command() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("alone", &[READY]);
    let _ = sandbox.nsrun(&["start", &image]).success();
    let pid = supervisor(&sandbox, &image);
    let proc = format!("/proc/{}", pid.as_raw_nonzero());
    assert_eq!(rustix::process::getsid(Some(pid)).must("ask"), pid);
    let link = |name: &str| fs::read_link(format!("{proc}/{name}")).must("look at the supervisor");
    assert_eq!(link("cwd").to_str(), Some("/"));
    assert_eq!(link("fd/0").to_str(), Some("/dev/null"));
    for stream in ["fd/1", "fd/2"] {
        assert!(link(stream).ends_with(format!("consoles/{image}.log")));
    }
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn what_fails_is_told_with_its_status_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("fails", &[READY]);
    let start = |options: &[&str]| {
        let mut words = vec!["start"];
        words.extend(options);
        sandbox.nsrun(&words)
    };
    let _ = start(&["nothing-of-that-name"])
        .expect_status(3)
        .expect_stderr("nsrun import");
    let _ = start(&["--init=/nowhere", &image])
        .expect_status(6)
        .expect_stderr("/nowhere");
    let _ = start(&["--timeout=0", &image]).expect_status(2);
    sandbox.assert_clean();
}

#[test]
fn an_init_that_is_never_ready_goes_on() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("slow", &[]);
    let words = ["start", "--wait=ready", "--timeout=1", &image];
    let _ = sandbox
        .nsrun(&words)
        .expect_status(1)
        .expect_stderr("not ready after 1 s");
    assert_eq!(state(&sandbox, &image), "running");
    let _ = sandbox.nsrun(&["terminate", &image]).success();
    sandbox.assert_clean();
}

#[test]
fn it_powers_off_reboots_and_is_waited_for() {
    let sandbox = Sandbox::new();
    // Time for the one that waits to find it there.
    let image = sandbox.tiny("verbs", &["print boot", "stop-delay 20", READY]);
    let _ = sandbox.nsrun(&["start", "--wait=ready", &image]).success();
    let before = supervisor(&sandbox, &image);
    let _ = sandbox.nsrun(&["reboot", &image]).success();
    wait_until(patience(20), "the second boot", || {
        let log = sandbox.nsrun(&["logs", &image]).success().stdout;
        (log.matches("boot").count() == 2).then_some(())
    });
    assert_eq!(supervisor(&sandbox, &image), before);
    let _ = sandbox
        .nsrun(&["wait", "--timeout=0", &image])
        .expect_status(1)
        .expect_stderr("has not ended");
    let mut waiting = Running::start(sandbox.command(&["wait", &image]));
    let _ = sandbox.nsrun(&["poweroff", &image]).success();
    let _ = waiting.finish(patience(20)).success();
    for verb in ["poweroff", "reboot", "wait", "terminate", "pause", "kill"] {
        let _ = sandbox.nsrun(&[verb, &image]).expect_status(3);
    }
}

#[test]
fn it_is_paused_and_goes_on() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("paused", &[READY]);
    let _ = sandbox.nsrun(&["start", "--wait=ready", &image]).success();
    let _ = sandbox.nsrun(&["pause", &image]).success();
    let paused = sandbox.nsrun(&["is-running", &image]).expect_status(1);
    assert_eq!(paused.stdout, "paused\n");
    let listed = sandbox.nsrun(&["list"]).success().stdout;
    assert!(listed.contains("paused"), "{listed}");
    let _ = sandbox.nsrun(&["resume", &image]).success();
    assert_eq!(state(&sandbox, &image), "running");
    let _ = sandbox.nsrun(&["pause", &image]).success();
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn signals_reach_its_init_or_all_of_it() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("signals", &[READY]);
    let _ = sandbox.nsrun(&["start", "--wait=ready", &image]).success();
    let _ = sandbox
        .nsrun(&["kill", "--signal=NONSENSE", &image])
        .expect_status(2);
    let _ = sandbox
        .nsrun(&["kill", "--signal=KILL", "--whom=all", &image])
        .success();
    let _ = sandbox.nsrun(&["wait", "--timeout=20", &image]);
    wait_until(patience(20), "its end", || {
        (state(&sandbox, &image).is_empty()).then_some(())
    });
}

#[test]
fn one_viewer_writes_and_others_look_on() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("viewed", &["print before", READY]);
    let _ = sandbox.nsrun(&["start", "--wait=ready", &image]).success();
    let attach = |options: &[&str]| {
        let mut words = vec!["attach"];
        words.extend(options);
        words.push(&image);
        Console::start(&sandbox.command(&words))
    };
    let mut first = attach(&[]);
    let _ = first.expect("before");
    first.send_line("print hello");
    let _ = first.expect("^hello$");
    let mut second = attach(&[]);
    let _ = second.expect("another viewer writes");
    second.send_line("print not-me");
    first.send_line("print me");
    let _ = first.expect("^me$");
    let _ = second.expect("^me$");
    assert!(!second.text().contains("not-me"));
    let mut third = attach(&["--take"]);
    let _ = first.expect("another viewer writes");
    third.send_line("print taken");
    let _ = second.expect("^taken$");
    let modes = first.modes();
    for viewer in [&mut first, &mut second, &mut third] {
        viewer.send(LEAVE);
        let _ = viewer.expect("left the console");
        assert_eq!(viewer.wait(patience(10)), 0);
    }
    assert_ne!(
        first.modes().local_modes,
        modes.local_modes,
        "raw mode ends"
    );
    assert_eq!(state(&sandbox, &image), "running");
    let mut last = attach(&["--read-only"]);
    let _ = last.expect("taken");
    let _ = sandbox.nsrun(&["stop", &image]).success();
    let _ = last.expect("has ended");
    assert_eq!(last.wait(patience(10)), 0);
    let _ = sandbox.nsrun(&["attach", &image]).expect_status(3);
}

#[test]
fn a_machine_in_the_foreground_has_its_console_there() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("front", &[READY]);
    let mut machine = sandbox.boot(&image).up();
    let refused = sandbox.nsrun(&["attach", &image]).expect_status(1);
    let _ = refused.expect_stderr("in the foreground");
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
}

#[test]
fn a_viewer_that_stands_still_does_not_hold_the_machine_up() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("still", &["trixie"]);
    let words = ["start", "--wait=ready", "--network=private", &image];
    let _ = sandbox.nsrun(&words).success();
    let mut viewer = Running::start(sandbox.command(&["attach", &image]));
    wait_until(patience(10), "the viewer", || {
        viewer.so_far().stderr.contains("connected").then_some(())
    });
    viewer.signal(Signal::STOP);
    let flood = "head -c 4000000 /dev/zero | tr '\\0' x >/dev/console";
    let words = ["exec", &image, "--", "sh", "-c", flood];
    let _ = sandbox.nsrun(&words).success();
    viewer.signal(Signal::CONT);
    wait_until(patience(20), "the note", || {
        let words = ["exec", &image, "--", "sh", "-c", "echo >/dev/console"];
        let _ = sandbox.nsrun(&words).success();
        let seen = viewer.so_far().stdout;
        seen.contains("bytes of console output were not taken in time")
            .then_some(())
    });
    let _ = sandbox.nsrun(&["stop", &image]).success();
    let _ = viewer.finish(patience(20)).success();
}

#[test]
fn the_log_is_kept_followed_and_cut_to_lines() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("logged", &["print one", "print two", READY]);
    let _ = sandbox
        .nsrun(&["logs", &image])
        .expect_status(3)
        .expect_stderr("no console log");
    let _ = sandbox.nsrun(&["start", "--wait=ready", &image]).success();
    let mut follower = Running::start(sandbox.command(&["logs", "--follow", &image]));
    wait_until(patience(10), "the log", || {
        follower.so_far().stdout.contains("two").then_some(())
    });
    let _ = sandbox.nsrun(&["stop", &image]).success();
    let followed = follower.finish(patience(20)).success().stdout;
    assert!(followed.contains("one\r\ntwo\r\n"), "{followed}");
    let last = sandbox.nsrun(&["logs", "-n", "1", &image]).success().stdout;
    assert_eq!(last.lines().count(), 1, "{last}");
}

#[test]
fn a_killed_supervisor_is_cleared_up_after_by_the_next_command() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("killed", &[READY]);
    let _ = sandbox.nsrun(&["start", "--wait=ready", &image]).success();
    let pid = supervisor(&sandbox, &image);
    rustix::process::kill_process(pid, Signal::KILL).must("kill the supervisor");
    wait_until(patience(20), "its end", || {
        (state(&sandbox, &image) != "running").then_some(())
    });
    let _ = sandbox.nsrun(&["start", "--wait=ready", &image]).success();
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn a_real_system_logs_in_through_the_console() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("login", &["trixie"]);
    let words = ["start", "--wait=ready", "--network=private", &image];
    let _ = sandbox.nsrun(&words).success();
    let mut console = Console::start(&sandbox.command(&["attach", &image]));
    let _ = console.expect("login: $");
    console.send_line("root");
    let _ = console.expect("Password: $");
    console.send_line("testing");
    let _ = console.expect("# $");
    console.resize(40, 100);
    console.send_line("sleep 0.3; stty size");
    let _ = console.expect("^40 100$");
    console.send_line("systemctl poweroff");
    let _ = console.expect("has ended");
    assert_eq!(console.wait(patience(30)), 0);
}

fn starts(sandbox: &Sandbox, name: &str) -> usize {
    let log = sandbox.nsrun(&["logs", name]);
    log.stdout.matches("begun").count()
}

#[test]
fn what_fails_is_started_again_until_it_is_stopped() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("again", &["print begun", READY, "exit 7"]);
    let words = ["start", "--restart=on-failure", &image];
    let _ = sandbox.nsrun(&words).success();
    wait_until(patience(20), "the third start", || {
        (starts(&sandbox, &image) >= 3).then_some(())
    });
    let _ = sandbox.nsrun(&["stop", &image]).success();
    let _ = sandbox.nsrun(&["is-running", &image]).expect_status(3);
}

#[test]
fn an_orderly_end_is_no_failure_but_always_is_always() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("end", &["print begun", READY, "poweroff"]);
    let start = |policy: &str| {
        let policy = format!("--restart={policy}");
        let _ = sandbox.nsrun(&["start", &policy, &image]).success();
    };
    start("on-failure");
    wait_until(patience(20), "its end", || {
        state(&sandbox, &image).is_empty().then_some(())
    });
    assert_eq!(starts(&sandbox, &image), 1);
    start("always");
    wait_until(patience(20), "the third start", || {
        (starts(&sandbox, &image) >= 3).then_some(())
    });
    let _ = sandbox.nsrun(&["stop", "--kill", &image]).success();
    let _ = sandbox.nsrun(&["is-running", &image]).expect_status(3);
}

#[test]
fn a_machine_that_is_terminated_stays_so() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("gone", &[READY]);
    let words = ["start", "--restart=always", "--wait=ready", &image];
    let _ = sandbox.nsrun(&words).success();
    let _ = sandbox.nsrun(&["terminate", &image]).success();
    let _ = sandbox.nsrun(&["is-running", &image]).expect_status(3);
}
