//! `nsrun login` and `nsrun shell`: terminals and sessions in a machine.

use nsrun_tests::done::run;
use nsrun_tests::{Console, Machine, Sandbox, patience, wait_until};

const LEAVE: &str = "\u{1d}\u{1d}\u{1d}";

fn up<'a>(sandbox: &'a Sandbox, suite: &str) -> Machine<'a> {
    let image = sandbox.install("login", &[suite]);
    let network = ["--network=private"];
    sandbox.boot(&image).options(&network).up()
}

fn logs_in_and_leaves(sandbox: &Sandbox, machine: &Machine<'_>) {
    let mut console = Console::start(&sandbox.command(&["login", machine.name()]));
    let _ = console.expect("login: $");
    console.send_line("root");
    let _ = console.expect("Password: $");
    console.send_line("wrong");
    let _ = console.expect("incorrect");
    let _ = console.expect("login: $");
    console.send_line("root");
    let _ = console.expect("Password: $");
    console.send_line("testing");
    let _ = console.expect("# $");
    console.resize(40, 100);
    console.send_line("sleep 0.3; tty; stty size");
    let _ = console.expect("^/dev/pts/[1-9]$");
    let _ = console.expect("^40 100$");
    let modes = console.modes();
    console.send(LEAVE);
    assert_eq!(console.wait(patience(20)), 0);
    assert_ne!(
        console.modes().local_modes,
        modes.local_modes,
        "raw mode ends"
    );
    let units = ["systemctl", "--no-legend", "--plain", "list-units"];
    let gettys = [&units[..], &["container-getty@*"]].concat();
    wait_until(patience(20), "the end of the getty", || {
        machine.output_of(&gettys).is_empty().then_some(())
    });
}

#[test]
fn debian_shows_a_login_prompt() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "trixie");
    logs_in_and_leaves(&sandbox, &machine);
    logs_in_and_leaves(&sandbox, &machine);
    let _ = machine.stop().success();
}

#[test]
fn nixos_shows_a_login_prompt() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "demo");
    logs_in_and_leaves(&sandbox, &machine);
    let _ = machine.stop().success();
}

#[test]
fn without_a_getty_the_machines_login_is_run() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "trixie");
    let _ = machine.output_of(&["systemctl", "mask", "--runtime", "container-getty@.service"]);
    let mut console = Console::start(&sandbox.command(&["login", machine.name()]));
    let _ = console.expect("login: $");
    console.send_line("root");
    let _ = console.expect("Password: $");
    console.send_line("testing");
    let _ = console.expect("# $");
    console.send_line("exit");
    assert_eq!(console.wait(patience(20)), 0);
    let _ = machine.stop().success();
}

#[test]
fn a_login_needs_a_terminal_and_a_machine() {
    let sandbox = Sandbox::new();
    let _ = sandbox
        .nsrun(&["login", "nobody-of-that-name"])
        .expect_status(2);
    let console = &mut Console::start(&sandbox.command(&["login", "nobody-of-that-name"]));
    assert_eq!(console.wait(patience(20)), 3);
}

#[test]
fn the_end_of_the_machine_ends_a_login() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "trixie");
    let mut console = Console::start(&sandbox.command(&["login", machine.name()]));
    let _ = console.expect("login: $");
    let _ = machine.stop().success();
    let _ = console.expect("has ended");
    assert_eq!(console.wait(patience(20)), 0);
}

#[test]
fn a_shell_is_a_session_with_the_commands_status() {
    let sandbox = Sandbox::new();
    let machine = up(&sandbox, "demo");
    let shell = |words: &[&str]| run(sandbox.command(&[&["shell"], words].concat()), patience(60));
    let name = machine.name();
    let done = shell(&[name, "/bin/sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((done.status, done.stdout.as_str()), (7, "out\n"));
    assert!(done.stderr.contains("err"), "{done}");
    let other = format!("nobody@{name}");
    let done = shell(&[
        "--setenv=WHAT=x",
        &other,
        "/bin/sh",
        "-c",
        "id -un; echo $WHAT",
    ])
    .success();
    assert_eq!(done.stdout, "nobody\nx\n");
    let _ = shell(&["--user=root", &other, "/bin/true"]).expect_status(125);
    let mut console = Console::start(&sandbox.command(&["shell", name]));
    let _ = console.expect("# $");
    console.send_line("echo \"path: $PATH\"; loginctl --no-legend list-sessions; echo list''ed");
    let shown = console.expect("(?s).*^listed\r?$");
    assert!(shown.contains("/run/current-system/sw/bin"), "{shown}");
    assert!(shown.contains("root"), "{shown}");
    console.send_line("exit 9");
    assert_eq!(console.wait(patience(20)), 9);
    let _ = machine.stop().success();
}

#[test]
fn without_systemd_a_shell_is_the_command_alone() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("bare", &["notify READY=1"]);
    let machine = sandbox.boot(&image).up();
    let done = sandbox.nsrun(&["shell", &image, "/sbin/init", "exit", "5"]);
    assert_eq!(done.status, 5, "{done}");
    let _ = machine.stop().success();
}
