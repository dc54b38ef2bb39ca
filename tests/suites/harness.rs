//! `nsrun test` and `nsrun serve`: scripts in the style of NixOS's, and what goes wrong around them.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nsrun_tests::done::{Done, Running, run};
use nsrun_tests::rng::seeded;
use nsrun_tests::{Must, Sandbox, nsrun, patience, wait_until};
use rustix::process::Signal;

fn script(name: &str) -> PathBuf {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    scripts.join(name).with_extension("py")
}

/// Runs a script of the directory, with these machines.
fn passes(sandbox: &Sandbox, name: &str, machines: &[&str]) -> Done {
    let mut command = sandbox.command(&["test"]);
    for machine in machines {
        command.args(["--machine", machine]);
    }
    command.arg(script(name));
    run(command, patience(180)).success()
}

/// Runs a script of these lines, which is expected to end so.
#[track_caller]
fn ends(sandbox: &Sandbox, options: &[&str], lines: &str, status: i32) -> Done {
    let path = sandbox.dir().join("script.py");
    fs::write(&path, lines).must("write a script");
    let mut command = sandbox.command(&["test"]);
    command.args(options).arg(path);
    run(command, patience(120)).expect_status(status)
}

fn trixie(sandbox: &Sandbox) -> String {
    sandbox.install("plain", &["trixie"])
}

#[test]
fn commands_run_in_a_strict_shell() {
    let sandbox = Sandbox::new();
    let done = passes(&sandbox, "commands", &[&trixie(&sandbox)]);
    let _ = done.expect_stderr("machine:     | err");
}

#[test]
fn machines_start_reboot_crash_and_end() {
    let sandbox = Sandbox::new();
    let _ = passes(&sandbox, "life", &[&trixie(&sandbox)]);
}

#[test]
fn units_are_waited_for() {
    let sandbox = Sandbox::new();
    let done = passes(&sandbox, "units", &[&trixie(&sandbox)]);
    let _ = done.expect_stderr("alas");
}

#[test]
fn machines_are_added_users_units_waited_for_and_all_ends() {
    let sandbox = Sandbox::new();
    let _ = passes(&sandbox, "several", &[&trixie(&sandbox)]);
}

#[test]
fn files_are_copied() {
    let sandbox = Sandbox::new();
    let _ = passes(&sandbox, "files", &[&trixie(&sandbox)]);
}

#[test]
fn commands_the_console_and_conditions_are_waited_for() {
    let sandbox = Sandbox::new();
    let _ = passes(&sandbox, "waits", &[&trixie(&sandbox)]);
}

#[test]
fn ports_files_and_sockets_are_waited_for() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("demo", &["demo", "--net=none"]);
    let _ = passes(&sandbox, "network", &[&image]);
}

#[test]
fn machines_of_a_vlan_reach_each_other_by_name() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("demo", &["demo", "--net=none"]);
    let machines = ["server", "client"].map(|name| format!("--machine={name}={image}"));
    let lines = fs::read_to_string(script("vlan")).must("read a script");
    let _ = ends(
        &sandbox,
        &["--vlan=1", &machines[0], &machines[1]],
        &lines,
        0,
    );
}

#[test]
fn reports_tell_of_each_subtest() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("told", &["print <hello>", "notify READY=1"]);
    let file = |name: &str| sandbox.dir().join(name);
    let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let (xml, tap, json) = (file("r.xml"), file("r.tap"), file("r.jsonl"));
    let options = [
        format!("--machine={image}"),
        option("junit-xml", &xml),
        option("tap", &tap),
        option("json-lines", &json),
    ];
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let lines = "with subtest('good'):\n    machine.wait_until_ready()\n\
        with subtest('bad #1'):\n    t.assertEqual(1, '<2>')\n";
    let _ = ends(&sandbox, &options, lines, 1);
    let read = |path: &Path| fs::read_to_string(path).must("read a report");
    let tap = read(&tap);
    assert!(
        tap.starts_with("TAP version 13\n1..3\nnot ok 1 - "),
        "{tap}"
    );
    assert!(
        tap.contains("\nok 2 - good\nnot ok 3 - bad \\#1\n# AssertionError: 1 != '<2>'"),
        "{tap}"
    );
    assert!(tap.contains("script.py:4: t.assertEqual"), "{tap}");
    let xml = read(&xml);
    assert!(xml.contains("tests=\"3\" failures=\"2\""), "{xml}");
    assert!(xml.contains("1 != '&lt;2&gt;'"), "{xml}");
    let events: Vec<serde_json::Value> = read(&json)
        .lines()
        .map(|line| serde_json::from_str(line).must("read a line"))
        .collect();
    assert_eq!(events.last().must("find the last")["failed"], 2);
    let has = |text: &str| {
        events
            .iter()
            .any(|event| event["text"].as_str() == Some(text))
    };
    assert!(has("machine# <hello>"), "{events:?}");
}

#[test]
fn scripts_run_on_a_nixos_system_too() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("demo", &["demo", "--net=none"]);
    let _ = passes(&sandbox, "commands", &[&image]);
    let _ = passes(&sandbox, "life", &[&image]);
}

#[test]
fn an_archive_is_imported_once_by_its_content() {
    let sandbox = Sandbox::on_disk();
    let archive = nsrun_tests::image::artefact(&["trixie"]);
    let machine = |name: &str| format!("--machine={name}={}", archive.display());
    let options = [machine("first"), machine("second-one")];
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let lines = "start_all()\n\
        first.succeed('touch /root/made')\n\
        second_one.fail('test -e /root/made')\n\
        t.assertEqual(machines, [first, second_one])\n";
    let _ = ends(&sandbox, &options, lines, 0);
    let images = fs::read_dir(sandbox.image_root()).must("list images");
    let images = images.flatten().filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("test-")
    });
    assert_eq!(images.count(), 1);
}

#[test]
fn a_failure_is_told_with_the_line_of_the_script() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("fails", &["notify READY=1"]);
    let lines = "x = 1\ndef check():\n    t.assertEqual(x, 2)\n\ncheck()\n";
    let done = ends(&sandbox, &["--machine", &image], lines, 1);
    let done = done.expect_stderr("failed: AssertionError: 1 != 2");
    let done = done.expect_stderr("script.py:5: check()");
    let done = done.expect_stderr("script.py:3: t.assertEqual(x, 2)");
    assert!(!done.stderr.contains("unittest"), "{done}");
}

#[test]
fn bad_scripts_and_machines_are_told() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("bad", &["notify READY=1"]);
    let machine = format!("--machine={image}");
    let _ = ends(&sandbox, &[&machine], "x = (\n", 6).expect_stderr("script.py:1: ");
    let done = sandbox.nsrun(&["test", &machine, "/nowhere.py"]);
    let _ = done.expect_status(6).expect_stderr("/nowhere.py");
    let _ = ends(&sandbox, &["--machine=nothing"], "", 1).expect_stderr("nsrun import");
    let _ = ends(&sandbox, &["--machine=./nothing.tar"], "", 1).expect_stderr("./nothing.tar");
    let _ = ends(&sandbox, &[&machine, &machine], "", 2).expect_stderr("--machine=NAME=IMAGE");
    let _ = ends(&sandbox, &["--machine=a_b=x"], "", 2);
    let _ = ends(&sandbox, &[], "", 2).expect_stderr("--machine");
    sandbox.assert_clean();
}

#[test]
fn a_machine_that_cannot_start_or_never_answers_is_told() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("mute", &[]);
    let machine = format!("--machine={image}");
    let lines = "machine.execute('true', timeout=0.5)\n";
    let done = ends(&sandbox, &[&machine], lines, 1);
    let _ = done
        .expect_stderr("not up in time")
        .expect_stderr("script.py:1");
    let lines = "machine.wait_until_ready(timeout=0.5)\n";
    let done = ends(&sandbox, &[&machine], lines, 1);
    let _ = done.expect_stderr("has not started in 0.5 s");
    let option = "--option=--init=/nowhere";
    let done = ends(&sandbox, &[&machine, option], "machine.connect()\n", 1);
    let _ = done.expect_stderr("/nowhere").expect_stderr("script.py:1");
    sandbox.assert_clean();
}

#[test]
fn the_time_for_all_of_it_is_limited() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("long", &["notify READY=1"]);
    let options = ["--timeout=1", "--machine", &image];
    let lines = "machine.wait_until_ready()\nimport time\ntime.sleep(600)\n";
    let done = ends(&sandbox, &options, lines, 1);
    let _ = done
        .expect_stderr("took more than")
        .expect_stderr("script.py:3");
    sandbox.assert_clean();
}

/// Waits until nothing of a killed test is on the host, its consoles included.
#[track_caller]
fn wait_until_nothing_is_left(sandbox: &Sandbox) {
    wait_until(patience(30), "the end of the machines", || {
        let listed = sandbox.nsrun(&["list"]).success().stdout;
        let consoles = fs::read_dir(sandbox.state_root().join("lib/consoles"));
        let consoles = consoles.map_or(0, Iterator::count);
        (listed.contains("No machines") && consoles == 0).then_some(())
    });
    sandbox.assert_clean();
}

#[test]
fn nothing_is_left_of_a_test_whose_driver_is_killed() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("killed", &["notify READY=1"]);
    let path = sandbox.dir().join("script.py");
    let lines =
        "machine.wait_until_ready()\nprint('up', flush=True)\nimport time\ntime.sleep(600)\n";
    fs::write(&path, lines).must("write a script");
    let start = || {
        let mut command = sandbox.command(&["test", "--machine", &image]);
        command.arg(&path);
        Running::start(command)
    };
    let mut driver = start();
    wait_until(patience(30), "the machine", || {
        driver.so_far().stdout.contains("up").then_some(())
    });
    driver.signal(Signal::KILL);
    let _ = driver.finish(patience(10)).expect_status(137);
    wait_until_nothing_is_left(&sandbox);
    let mut random = seeded("a killed driver");
    let rounds = match std::env::var_os("NSRUN_TEST_SOAK") {
        Some(_) => 100,
        None => 5,
    };
    for _ in 0..rounds {
        let mut driver = start();
        std::thread::sleep(Duration::from_millis(random.u64(0..800)));
        driver.signal(Signal::KILL);
        let _ = driver.finish(patience(10)).expect_status(137);
        wait_until_nothing_is_left(&sandbox);
    }
}

/// A server on a socket, and our end of it.
fn serve(sandbox: &Sandbox) -> (Running, UnixStream) {
    let (ours, theirs) = UnixStream::pair().must("make a socket pair");
    let mut command = sandbox.command(&["serve", "--stdio"]);
    let server = Running::start_with_input(
        &mut command,
        Stdio::from(std::os::fd::OwnedFd::from(theirs)),
    );
    (server, ours)
}

#[test]
fn the_server_answers_nonsense_and_ends_with_its_input() {
    use std::io::Write;
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("served", &["notify READY=1"]);
    let (mut server, mut socket) = serve(&sandbox);
    let create = format!(r#"{{"id":2,"op":"create","machine":"a","source":"{image}"}}"#);
    for line in [
        "nonsense",
        r#"{"id":1,"op":"explode"}"#,
        &create,
        r#"{"id":3,"op":"start","machine":"b"}"#,
        r#"{"id":4,"op":"start","machine":"a"}"#,
        r#"{"id":5,"op":"wait-ready","machine":"a"}"#,
    ] {
        writeln!(socket, "{line}").must("send a request");
        // Requests are carried out at once, and each of these needs the one before it.
        let number = line.get(6..7).filter(|n| n.chars().all(char::is_numeric));
        let answer = number.map_or("\"id\":null".to_owned(), |n| format!("\"id\":{n}"));
        wait_until(patience(30), &answer, || {
            server.so_far().stdout.contains(&answer).then_some(())
        });
    }
    let so_far = server.so_far().stdout;
    let answer = |number: u32| {
        let part = format!("\"id\":{number}");
        let line = so_far.lines().find(|line| line.contains(&part));
        line.must("find an answer").to_owned()
    };
    assert!(answer(1).contains("explode"), "{so_far}");
    assert!(answer(3).contains("not-found"), "{so_far}");
    assert!(answer(5).contains("\"phase\":\"ready\""), "{so_far}");
    drop(socket);
    let done = server.finish(patience(30)).success();
    assert!(done.stdout.contains("\"phase\":\"down\""), "{done}");
    sandbox.assert_clean();
}

#[test]
fn the_server_wants_a_stream_and_says_so() {
    let sandbox = Sandbox::new();
    let done = sandbox.nsrun(&["serve", "--stdio"]);
    let _ = done
        .expect_status(2)
        .expect_stderr("neither a pipe nor a socket");
}

#[test]
fn the_drivers_own_tests_pass() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/python");
    let mut command = nsrun::plain("/usr/bin/python3");
    command
        .args(["-B", "-m", "unittest", "discover", "-s", "tests"])
        .current_dir(package);
    let _ = run(command, patience(60)).success();
}
