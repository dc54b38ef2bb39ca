//! `nsrun exec`: a command in a running machine.

use std::time::Duration;

use nsrun_tests::done::{Running, run, run_with_input};
use nsrun_tests::facts::Facts;
use nsrun_tests::{Console, Machine, Must, Sandbox, patience, poll, wait_until};

const PROBE: &str = "/sbin/init";

fn up<'a>(sandbox: &'a Sandbox, base: &str) -> Machine<'a> {
    let image = sandbox.tiny(base, &["notify READY=1"]);
    sandbox.boot(&image).up()
}

#[test]
fn the_exit_status_is_the_commands() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "status");
    for status in [0, 1, 7, 125, 126, 127, 255] {
        let done = machine.exec(&[PROBE, "exit", &status.to_string()]);
        assert_eq!(done.status, status, "{done}");
    }
    assert_eq!(machine.exec(&[PROBE, "die", "9"]).status, 137);
    let _ = machine
        .exec(&["/nothing/here"])
        .expect_status(127)
        .expect_stderr("/nothing/here");
    let _ = machine.exec(&["/etc/os-release"]).expect_status(126);
    let _ = machine.stop().success();
}

#[test]
fn it_joins_every_namespace_and_the_payloads_cgroup() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("join", &["notify READY=1", "facts"]);
    let mut machine = sandbox.boot(&image).up();
    let line = wait_until(patience(20), "the facts of init", || {
        let output = machine.printed();
        let (_, rest) = output.split_once("{\"pid\"")?;
        let (rest, _) = rest.split_once('\n')?;
        Some(format!("{{\"pid\"{rest}"))
    });
    let first: Facts = serde_json::from_str(&line).must("read the facts of init");
    let joined: Facts = machine.exec(&[PROBE, "facts"]).success().json();
    assert_eq!(first.pid, 1);
    assert_eq!(joined.namespaces, first.namespaces);
    assert_eq!(joined.uid_map, first.uid_map);
    assert!(
        joined.cgroup.starts_with('/') && !joined.cgroup.contains(".."),
        "{}",
        joined.cgroup
    );
    assert_eq!(
        joined.set("CapBnd"),
        first.set("CapBnd"),
        "never more than PID 1 has"
    );
    assert_eq!(joined.status["Seccomp"], "2");
    assert_eq!(joined.fds.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(joined.root, "/");
    let _ = machine.stop().success();
}

#[test]
fn streams_and_environment_are_as_with_run() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "streams");
    let done = machine
        .exec(&[PROBE, "print", "out", ",", "complain", "err"])
        .success();
    assert_eq!(
        (done.stdout.as_str(), done.stderr.as_str()),
        ("out\n", "err\n")
    );
    let command = sandbox.command(&["exec", machine.name(), "--", PROBE, "cat"]);
    let done = run_with_input(command, b"a\0b", patience(30)).success();
    assert_eq!(done.stdout, "a\0b");
    let mut command = sandbox.command(&["exec", "-E", "A=1", machine.name(), "--"]);
    command.args([PROBE, "facts"]).env("SECRET", "host's");
    let facts: Facts = run(command, patience(30)).success().json();
    assert_eq!(facts.env.get("A").map(String::as_str), Some("1"));
    assert!(!facts.env.contains_key("SECRET"));
    assert_eq!(
        facts.env.get("container").map(String::as_str),
        Some("systemd-nspawn")
    );
    let _ = machine.stop().success();
}

#[test]
fn a_terminal_is_the_machines_own() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "tty");
    let words = [
        "exec",
        machine.name(),
        "--",
        PROBE,
        "print",
        "asks",
        ",",
        "cat",
    ];
    let mut console = Console::start(&sandbox.command(&words));
    console.expect("asks");
    console.send("typed\r\u{4}");
    console.expect("typed\\s+typed");
    assert_eq!(console.wait(patience(20)), 0);
    let _ = machine.stop().success();
}

#[test]
fn it_ends_when_the_machine_stops_and_does_not_hold_it_up() {
    let sandbox = Sandbox::new();
    let mut machine = up(&sandbox, "ends");
    let words = [
        "exec",
        machine.name(),
        "--",
        PROBE,
        "print",
        "in",
        ",",
        "sleep",
        "100000000",
    ];
    let mut joined = Running::start(sandbox.command(&words));
    wait_until(patience(20), "the command starts", || {
        joined.so_far().stdout.contains("in").then_some(())
    });
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0);
    let done = joined.finish(patience(10));
    assert_ne!(done.status, 0, "{done}");
}

#[test]
fn a_killed_exec_takes_its_command_along() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "killed");
    let words = [
        "exec",
        machine.name(),
        "--",
        PROBE,
        "print",
        "in",
        ",",
        "sleep",
        "100000000",
    ];
    let mut joined = Running::start(sandbox.command(&words));
    wait_until(patience(20), "the command starts", || {
        joined.so_far().stdout.contains("in").then_some(())
    });
    joined.signal(rustix::process::Signal::KILL);
    let alone = poll(patience(10), || {
        let facts: Facts = machine.exec(&[PROBE, "facts"]).success().json();
        // PID 1 and the one that looks.
        (facts.processes.len() == 2).then_some(())
    });
    assert!(
        alone.is_some(),
        "the command outlived the exec that started it"
    );
    let _ = machine.stop().success();
}

#[test]
fn a_name_that_does_not_run_is_told() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("off", &[]);
    for name in [&image, "missing"] {
        let done = sandbox.nsrun(&["exec", name, "--", PROBE, "facts"]);
        assert!(matches!(done.status, 3 | 125), "{done}");
        let _ = done.expect_stderr(name);
    }
}

#[test]
fn many_at_once_do_not_get_in_each_others_way() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "many");
    let mut running: Vec<_> = (0..8)
        .map(|n| {
            let text = n.to_string();
            let words = [
                "exec",
                machine.name(),
                "--",
                PROBE,
                "sleep",
                "50",
                ",",
                "print",
                &text,
            ];
            Running::start(sandbox.command(&words))
        })
        .collect();
    for (n, joined) in running.iter_mut().enumerate() {
        let done = joined
            .finish(patience(30) + Duration::from_secs(1))
            .success();
        assert_eq!(done.stdout, format!("{n}\n"));
    }
    let _ = machine.stop().success();
}

#[test]
fn it_runs_as_another_user_of_the_machine() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("user", &["trixie"]);
    let machine = sandbox.boot(&image).options(&["--network=private"]).up();
    let as_user = |user: &str, words: &[&str]| {
        let mut command = sandbox.command(&["exec", "--user", user, &image, "--"]);
        command.args(words);
        run(command, patience(20))
    };
    let shown = as_user("nobody", &["sh", "-c", "id -u; id -g; echo $USER"]).success();
    assert_eq!(shown.stdout, "65534\n65534\nnobody\n");
    let status = as_user("4711", &["grep", "CapEff", "/proc/self/status"]).success();
    assert_eq!(status.stdout, "CapEff:\t0000000000000000\n");
    let _ = as_user("nobody", &["touch", "/root/file"]).expect_status(1);
    let _ = as_user("who", &["true"])
        .expect_status(125)
        .expect_stderr("no user 'who'");
    let _ = machine.stop().success();
}
