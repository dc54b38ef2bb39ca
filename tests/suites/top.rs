//! `nsrun top`: what machines use, as it changes.

use nsrun_tests::done::Running;
use nsrun_tests::{Console, Must, Sandbox, patience, wait_until};
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use rustix::termios::LocalModes;
use serde_json::Value;

const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

fn start(sandbox: &Sandbox, base: &str, conf: &[&str], network: &str) -> String {
    let image = sandbox.tiny(base, conf);
    let network = format!("--network={network}");
    let words = ["start", "--wait=ready", &network, &image];
    let _ = sandbox.nsrun(&words).success();
    image
}

fn stop(sandbox: &Sandbox, image: &str) {
    let _ = sandbox.nsrun(&["stop", "--kill", image]).success();
}

fn top(sandbox: &Sandbox, options: &[&str]) -> Console {
    let words: Vec<&str> = ["top"].iter().chain(options).copied().collect();
    let mut command = sandbox.command(&words);
    command.env("TERM", "xterm");
    Console::start(&command)
}

fn raw(console: &Console) -> String {
    String::from_utf8_lossy(&console.raw()).into_owned()
}

fn is_cooked(console: &Console) -> bool {
    let modes = console.modes().local_modes;
    modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

/// What is on the screen. Only what has changed is written otherwise.
fn anew(console: &mut Console) -> String {
    let before = console.raw().len();
    console.send("\u{c}");
    wait_until(patience(20), "the whole screen", || {
        let shown = console.raw().split_off(before);
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let (_, screen) = shown.split_once("\u{1b}[2J")?;
        screen.contains("quit: q").then(|| screen.to_owned())
    })
}

/// What the terminal has got is read a moment after it was written.
#[track_caller]
fn assert_restored(console: &Console) {
    wait_until(patience(10), "the screen from before", || {
        let raw = raw(console);
        let left = raw.rfind(LEAVE)?;
        let shown = raw.rfind("\u{1b}[?25h")?;
        (is_cooked(console) && raw.rfind(ENTER)? < left && raw.rfind("\u{1b}[?25l")? < shown)
            .then_some(())
    });
}

#[test]
fn without_a_terminal_it_prints_a_table_once() {
    let sandbox = Sandbox::new();
    let none = sandbox.nsrun(&["top"]).success().stdout;
    assert!(none.contains("0 machines, 0 tasks"), "{none}");
    let image = start(&sandbox, "plain", &["fork 2", "notify READY=1"], "veth");
    let status: Value = sandbox
        .nsrun(&["--json", "status", &image])
        .success()
        .json();
    let text = sandbox.nsrun(&["top"]).success().stdout;
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].contains("1 machine, 3 tasks, CPU "), "{text}");
    assert!(lines[2].starts_with("MACHINE "), "{text}");
    let words: Vec<&str> = lines[3].split_whitespace().collect();
    let leader = status["leader"]["pid"].to_string();
    assert_eq!(words[..4], [&image, "running", &leader, "3"]);
    let addresses = status["addresses"].as_array().must("list the addresses");
    let addresses: Vec<&str> = addresses.iter().filter_map(Value::as_str).collect();
    assert!(words.ends_with(&addresses), "{words:?} {addresses:?}");
    stop(&sandbox, &image);
}

#[test]
fn each_look_is_a_line_of_json() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("json", &["trixie"]);
    let words = ["start", "--wait=ready", "--network=private", &image];
    let _ = sandbox.nsrun(&words).success();
    let words = [
        "exec",
        &image,
        "--",
        "sh",
        "-c",
        "echo spins; while :; do :; done",
    ];
    let mut busy = Running::start(sandbox.command(&words));
    wait_until(patience(20), "the loop", || {
        busy.so_far().stdout.contains("spins").then_some(())
    });
    let words = ["--json", "top", "-n", "3", "-d", "0.5"];
    let printed = sandbox.nsrun(&words).success().stdout;
    let looks: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).must("read a line"))
        .collect();
    assert_eq!(looks.len(), 3);
    let last = &looks[2]["machines"][0];
    assert_eq!(last["name"], *image);
    assert!(
        last["cpu_percent"].as_f64().is_some_and(|cpu| cpu > 1.0),
        "it spins: {last}"
    );
    let used = |look: &Value| look["machines"][0]["cpu_usec"].as_u64();
    assert!(used(&looks[2]) > used(&looks[0]), "{printed}");
    busy.signal(Signal::KILL);
    stop(&sandbox, &image);
}

#[test]
fn rows_are_in_the_order_that_is_asked_for() {
    let sandbox = Sandbox::new();
    let few = start(&sandbox, "a", &["notify READY=1"], "private");
    let many = start(&sandbox, "b", &["fork 5", "notify READY=1"], "private");
    let order = |options: &[&str]| {
        let words: Vec<&str> = ["top"].iter().chain(options).copied().collect();
        let text = sandbox.nsrun(&words).success().stdout;
        let at = |image: &str| text.find(image).must("find the machine");
        at(&few) < at(&many)
    };
    assert!(order(&["--sort=name"]));
    assert!(!order(&["--sort=name", "--reverse"]));
    assert!(!order(&["--sort=tasks"]));
    assert!(order(&["--sort=uptime"]));
    for words in [
        &["top", "-d", "0"][..],
        &["top", "-s", "colour"],
        &["top", "-n", "x"],
    ] {
        let _ = sandbox.nsrun(words).expect_status(2);
    }
    stop(&sandbox, &few);
    stop(&sandbox, &many);
}

#[test]
fn it_follows_machines_on_the_screen_and_leaves_that_as_it_was() {
    let sandbox = Sandbox::new();
    let first = start(&sandbox, "first", &["notify READY=1"], "private");
    let mut console = top(&sandbox, &["-d", "0.2"]);
    let _ = console.expect("1 machine, ");
    let _ = console.expect(&first);
    assert!(!is_cooked(&console));
    let second = start(&sandbox, "second", &["notify READY=1"], "private");
    wait_until(patience(20), "both", || {
        let shown = anew(&mut console);
        (shown.contains(&first) && shown.contains(&second)).then_some(())
    });
    stop(&sandbox, &first);
    wait_until(patience(20), "the other one alone", || {
        let shown = anew(&mut console);
        (!shown.contains(&first) && shown.contains(&second)).then_some(())
    });
    console.resize(30, 100);
    let _ = console.expect("1 machine, .*");
    for key in ["n", "r", "m", "\u{1b}[B", "\u{1b}[5~", " "] {
        console.send(key);
    }
    console.send("q");
    assert_eq!(console.wait(patience(20)), 0, "{}", console.text());
    assert_restored(&console);
    stop(&sandbox, &second);
}

#[test]
fn it_ends_by_itself_after_a_number_of_looks() {
    let sandbox = Sandbox::new();
    let mut console = top(&sandbox, &["-d", "0.1", "-n", "2"]);
    assert_eq!(console.wait(patience(20)), 0);
    assert_restored(&console);
}

#[test]
fn signals_end_it_and_leave_the_terminal_as_it_was() {
    let sandbox = Sandbox::new();
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP] {
        let mut console = top(&sandbox, &[]);
        let _ = console.expect("0 machines");
        console.signal(signal);
        assert_eq!(console.wait(patience(20)), 128 + signal.as_raw());
        assert_restored(&console);
    }
    let mut console = top(&sandbox, &[]);
    let _ = console.expect("0 machines");
    console.send("\u{3}");
    assert_eq!(console.wait(patience(20)), 0);
    assert_restored(&console);
    let mut console = top(&sandbox, &[]);
    let _ = console.expect("0 machines");
    console.hang_up();
    assert_eq!(console.wait(patience(20)), 128 + Signal::HUP.as_raw());
}

#[test]
fn stopped_it_gives_the_terminal_back_and_takes_it_again() {
    let sandbox = Sandbox::new();
    let mut console = top(&sandbox, &["-d", "0.2"]);
    let _ = console.expect("0 machines");
    for by_key in [true, false] {
        match by_key {
            true => console.send("\u{1a}"),
            false => console.signal(Signal::TSTP),
        }
        let id = WaitId::Pid(console.pid());
        let stopped = waitid(id, WaitIdOptions::STOPPED).must("wait for the stop");
        assert!(stopped.is_some_and(|status| status.stopped()));
        assert_restored(&console);
        console.signal(Signal::CONT);
        wait_until(patience(20), "the screen", || {
            let shown = raw(&console);
            let (_, again) = shown.rsplit_once(ENTER)?;
            (again.contains("machines") && !is_cooked(&console)).then_some(())
        });
    }
    console.send("q");
    assert_eq!(console.wait(patience(20)), 0);
    assert_restored(&console);
}

#[test]
fn whoever_closes_the_pipe_has_had_enough() {
    let sandbox = Sandbox::new();
    let mut command = nsrun_tests::nsrun::plain("/bin/sh");
    let program = sandbox.command(&["top", "-n", "0", "-d", "0.05"]);
    let words: Vec<String> = std::iter::once(program.get_program())
        .chain(program.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    command.args(["-c", "\"$@\" | head -n 5", "sh"]).args(words);
    let mut piped = Running::start(command);
    let done = piped.finish(patience(20)).success();
    assert_eq!(done.stdout.lines().count(), 5);
}
