//! Booting, listing, stopping and crashing, with an init that takes milliseconds.

use std::fs;

use nsrun_tests::done::Running;
use nsrun_tests::{Must, Sandbox, patience, wait_until};
use rustix::process::Signal;
use serde_json::Value;

const READY: &str = "notify READY=1";

/// The machine's row of `nsrun list --json`.
fn listed(sandbox: &Sandbox, name: &str) -> Option<Value> {
    let list: Value = sandbox.nsrun(&["--json", "list"]).success().json();
    let rows = list.as_array().must("read the list").clone();
    rows.into_iter().find(|row| row["name"] == name)
}

#[test]
fn a_machine_is_listed_while_it_runs() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("listed", &[READY, "notify STATUS=at work"]);
    assert!(listed(&sandbox, &image).is_none());
    let mut machine = sandbox.boot(&image).up();
    machine.wait_notice("STATUS=Container running: at work");
    let row = listed(&sandbox, &image).must("find the machine in the list");
    assert_eq!(row["state"], "running");
    let status: Value = sandbox
        .nsrun(&["--json", "status", &image])
        .success()
        .json();
    assert_eq!(status["status"], "at work");
    let text = sandbox.nsrun(&["status", &image]).success().stdout;
    assert!(
        text.contains("running") && text.contains("at work"),
        "{text}"
    );
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
    assert!(listed(&sandbox, &image).is_none());
    let _ = sandbox
        .nsrun(&["status", &image])
        .expect_status(3)
        .expect_stderr(&image);
    let _ = sandbox
        .nsrun(&["stop", &image])
        .expect_status(3)
        .expect_stderr(&image);
}

#[test]
fn power_off_reboot_and_exit_from_inside() {
    let sandbox = Sandbox::new();
    for (verb, status) in [("poweroff", 0), ("halt", 0), ("exit 0", 0), ("exit 7", 7)] {
        let image = sandbox.tiny(&verb.replace(' ', "-"), &[READY, verb]);
        let mut machine = sandbox.boot(&image).start();
        assert_eq!(
            machine.finish(patience(30)),
            status,
            "{verb}: {}",
            machine.output()
        );
        sandbox.assert_clean();
    }
}

#[test]
fn a_reboot_boots_again_in_place() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("again", &[READY]);
    let mut machine = sandbox.boot(&image).start_on_console();
    let supervisor = machine.pid();
    for round in 1..=3 {
        machine.console().send_line("reboot");
        wait_until(patience(30), "another READY=1", || {
            let ready = machine.notices().iter().filter(|line| *line == "READY=1");
            (ready.count() > round).then_some(())
        });
    }
    assert_eq!(machine.pid(), supervisor);
    machine.console().send_line("poweroff");
    assert_eq!(machine.finish(patience(30)), 0);
}

#[test]
fn the_console_is_interactive_on_a_terminal_and_left_by_its_keys() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("console", &[READY]);
    let mut machine = sandbox.boot(&image).start_on_console();
    machine.wait_ready();
    let console = machine.console();
    console.send_line("print hello");
    console.expect("^hello$");
    // Too slow for the keys to mean anything.
    console.send("\u{1d}");
    std::thread::sleep(std::time::Duration::from_millis(1200));
    console.send("\u{1d}\u{1d}");
    std::thread::sleep(std::time::Duration::from_millis(1200));
    console.send("\r");
    console.send_line("print still");
    console.expect("^still$");
    let before = console.modes();
    console.send("\u{1d}\u{1d}\u{1d}");
    let _ = machine.finish(patience(30));
    let after = machine.console().modes();
    assert_ne!(after.local_modes, before.local_modes, "raw mode ends");
}

#[test]
fn the_terminal_is_restored_however_it_ends() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("restored", &[READY]);
    for (what, signal) in [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
    ] {
        let mut machine = sandbox.boot(&image).start_on_console();
        let before = machine.console().modes();
        machine.wait_ready();
        machine.signal(signal);
        let _ = machine.finish(patience(30));
        let after = machine.console().modes();
        assert_eq!(after.local_modes, before.local_modes, "{what}");
        assert_eq!(after.input_modes, before.input_modes, "{what}");
        drop(machine);
        sandbox.assert_clean();
    }
}

#[test]
fn a_closed_terminal_stops_the_machine() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("hangup", &[READY]);
    let mut machine = sandbox.boot(&image).start_on_console();
    machine.wait_ready();
    machine.console().hang_up();
    let _ = machine.finish(patience(30));
    drop(machine);
    sandbox.assert_clean();
}

#[test]
fn without_a_terminal_the_console_is_read_only() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("pipe", &[READY, "print from inside"]);
    let mut machine = sandbox.boot(&image).up();
    wait_until(patience(20), "the console's output", || {
        machine.output().contains("from inside").then_some(())
    });
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
}

#[test]
fn a_second_start_of_a_running_machine_is_refused() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("twice", &[READY]);
    let mut machine = sandbox.boot(&image).up();
    let _ = sandbox
        .nsrun(&["boot", &image])
        .expect_status(4)
        .expect_stderr(&image);
    assert_eq!(listed(&sandbox, &image).must("find it")["state"], "running");
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
}

#[test]
fn of_many_starts_at_once_one_wins() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("race", &["print up", READY]);
    let start = || Running::start(sandbox.command(&["boot", &image]));
    let mut all: Vec<_> = (0..6).map(|_| start()).collect();
    let mut statuses = Vec::new();
    wait_until(patience(30), "all but one are refused", || {
        statuses = all.iter_mut().filter_map(Running::try_status).collect();
        (statuses.len() == 5).then_some(())
    });
    assert_eq!(statuses, [4; 5]);
    let _ = sandbox.nsrun(&["stop", &image]).success();
    let ended = |running: &mut Running| running.finish(patience(20)).status;
    assert_eq!(
        all.iter_mut()
            .map(ended)
            .filter(|status| *status == 0)
            .count(),
        1
    );
}

#[test]
fn a_payload_that_ignores_the_request_is_killed_after_the_time_it_gets() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("deaf", &["ignore-stop", READY]);
    let mut machine = sandbox.boot(&image).up();
    let done = sandbox.nsrun(&["stop", "--timeout=1", &image]).success();
    assert!(done.stdout.contains("killed"), "{done}");
    let _ = machine.finish(patience(20));
    sandbox.assert_clean();
    let mut machine = sandbox.boot(&image).up();
    let _ = sandbox.nsrun(&["stop", "--kill", &image]).success();
    let _ = machine.finish(patience(20));
}

#[test]
fn a_second_signal_kills() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("second", &["ignore-stop", READY]);
    for signal in [Signal::TERM, Signal::INT] {
        let mut machine = sandbox.boot(&image).up();
        machine.signal(signal);
        wait_until(patience(20), "the payload is asked", || {
            machine.output().contains("asked to").then_some(())
        });
        machine.signal(signal);
        let _ = machine.finish(patience(20));
        sandbox.assert_clean();
    }
}

#[test]
fn the_payload_dies_with_a_killed_supervisor() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("orphan", &["fork 3", READY]);
    let mut machine = sandbox.boot(&image).up();
    machine.signal(Signal::KILL);
    let _ = machine.finish(patience(10));
    wait_until(patience(10), "the payload dies", || {
        let left = sandbox.left();
        (!left.iter().any(|thing| thing.starts_with("process"))).then_some(())
    });
    // The next command finds what the dead one left.
    assert!(listed(&sandbox, &image).is_none());
    let mut machine = sandbox.boot(&image).up();
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
}

#[test]
fn a_payload_that_outlives_its_supervisor_is_shown_as_orphaned_and_ended() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("outlives", &["outlive", "fork 3", READY]);
    let mut machine = sandbox.boot(&image).up();
    machine.signal(Signal::KILL);
    let _ = machine.finish(patience(10));
    let row = listed(&sandbox, &image).must("find the orphan in the list");
    assert_eq!(row["state"], "orphaned");
    let _ = sandbox.nsrun(&["stop", &image]).success();
    sandbox.assert_clean();
    let mut machine = sandbox.boot(&image).up();
    machine.signal(Signal::KILL);
    let _ = machine.finish(patience(10));
    // A start of the same name ends it, too.
    let mut machine = sandbox.boot(&image).up();
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
}

#[test]
fn a_stopped_supervisor_holds_up_neither_status_nor_kill() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("frozen", &[READY]);
    let mut machine = sandbox.boot(&image).up();
    machine.signal(Signal::STOP);
    assert_eq!(listed(&sandbox, &image).must("find it")["state"], "running");
    let _ = sandbox.nsrun(&["status", &image]).success();
    let mut stop = Running::start(sandbox.command(&["stop", "--kill", &image]));
    wait_until(patience(20), "the payload is dead", || {
        let pid = machine.pid().as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let alive = children.unwrap_or_default();
        alive.split_whitespace().all(zombie).then_some(())
    });
    machine.signal(Signal::CONT);
    let _ = stop.finish(patience(30)).success();
    let _ = machine.finish(patience(20));
}

fn zombie(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with('Z'))
}

#[test]
fn two_machines_have_names_ranges_and_links_of_their_own() {
    let sandbox = Sandbox::new();
    // The first characters are the same: links have short names.
    let (a, b) = (
        sandbox.tiny("machine-one", &[READY]),
        sandbox.tiny("machine-two", &[READY]),
    );
    let (mut first, mut second) = (sandbox.boot(&a).up(), sandbox.boot(&b).up());
    let facts = |machine: &nsrun_tests::Machine<'_>| -> nsrun_tests::facts::Facts {
        machine.exec(&["/sbin/init", "facts"]).success().json()
    };
    assert_ne!(facts(&first).uid_map, facts(&second).uid_map);
    let links = |left: &[String]| left.iter().filter(|l| l.starts_with("link ")).count();
    assert_eq!(links(&sandbox.left()), 2, "{:?}", sandbox.left());
    for machine in [&mut first, &mut second] {
        let _ = machine.stop().success();
        assert_eq!(machine.finish(patience(20)), 0);
    }
}

#[test]
fn notices_are_forwarded_and_forged_ones_are_not() {
    let sandbox = Sandbox::new();
    let conf = [
        "exec /sbin/init notify READY=1\nSTATUS=one , notify X_EXTRA=1 , notify READY=1 , sleep 100000000",
    ];
    let image = sandbox.tiny("notices", &conf);
    let mut machine = sandbox.boot(&image).start();
    machine.wait_ready();
    // A process that is not PID 1 may say what it likes.
    let _ = machine.exec(&["/sbin/init", "notify", "STATUS=forged"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let notices = machine.notices().to_vec();
    assert!(
        !notices.iter().any(|line| line.contains("forged")),
        "{notices:?}"
    );
    assert_eq!(
        notices.iter().filter(|line| *line == "READY=1").count(),
        1,
        "{notices:?}"
    );
    machine.signal(Signal::TERM);
    machine.signal(Signal::TERM);
    let _ = machine.finish(patience(20));
}

#[test]
fn a_dry_run_does_nothing_and_is_stable() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("dry", &[READY]);
    let explain = || {
        sandbox
            .nsrun(&["boot", "--dry-run", &image])
            .success()
            .stdout
    };
    let text = explain();
    assert!(text.contains("/sbin/init"), "{text}");
    assert_eq!(explain(), text);
    let _: Value = sandbox
        .nsrun(&["--json", "boot", "--dry-run", &image])
        .success()
        .json();
    sandbox.assert_clean();
    assert!(
        !sandbox
            .state_root()
            .join("run/machines")
            .join(&image)
            .exists()
    );
}

#[test]
fn pure_cgroup_v2_will_do() {
    let mut sandbox = Sandbox::new();
    sandbox.pure_cgroup_v2();
    let image = sandbox.tiny("pure", &[READY]);
    let mut machine = sandbox.boot(&image).up();
    let done = machine
        .exec(&["/sbin/init", "try", "mkdir /sys/fs/cgroup/own"])
        .success();
    assert_eq!(done.stdout, "mkdir /sys/fs/cgroup/own: ok\n");
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
}

#[test]
fn a_payload_that_makes_cgroups_leaves_none() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("cgroups", &[READY]);
    let mut machine = sandbox.boot(&image).up();
    let dirs: Vec<String> = (0..40)
        .map(|n| {
            format!(
                "mkdir /sys/fs/cgroup{}",
                "/d".repeat(n % 8) + &format!("/n{n}")
            )
        })
        .collect();
    let mut words = vec![
        "/sbin/init",
        "try",
        "mkdir /sys/fs/cgroup/d",
        "mkdir /sys/fs/cgroup/d/d",
    ];
    words.extend(dirs.iter().map(String::as_str));
    let _ = machine.exec(&words).success();
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
}
