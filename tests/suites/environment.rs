//! What a command that joins a machine finds in its environment.

use std::collections::BTreeMap;

use nsrun_tests::done::{run, run_with_input};
use nsrun_tests::{Done, Machine, Sandbox, patience};

fn exec(machine: &Machine<'_>, options: &[&str], words: &[&str]) -> Done {
    let mut command = machine.sandbox().command(&["exec"]);
    command
        .args(options)
        .args([machine.name(), "--"])
        .args(words);
    run(command.env("HOSTS_OWN", "1"), patience(60))
}

fn env(machine: &Machine<'_>, options: &[&str]) -> BTreeMap<String, String> {
    let printed = exec(machine, options, &["env", "-0"]).success().stdout;
    let entries = printed.split_terminator('\0');
    entries
        .filter_map(|entry| entry.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Puts a script of the test's in the place of the system's.
fn set_environment(machine: &Machine<'_>, script: &str) {
    let write = "rm -f /etc/set-environment; cat >/etc/set-environment";
    let words = [
        "exec",
        "--no-set-environment",
        machine.name(),
        "--",
        "sh",
        "-c",
        write,
    ];
    let command = machine.sandbox().command(&words);
    let _ = run_with_input(command, script.as_bytes(), patience(60)).success();
}

#[test]
fn in_nixos_it_is_that_of_a_login() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("nixos", &["demo", "--net=none"]);
    let machine = sandbox.boot(&image).options(&["--network=private"]).up();
    let login = exec(
        &machine,
        &["--no-set-environment"],
        &["sh", "-lc", "echo $PATH"],
    );
    let ours = env(&machine, &[]);
    assert_eq!(ours["PATH"], login.success().stdout.trim_end());
    assert_eq!((&*ours["NIX_REMOTE"], &*ours["PAGER"]), ("daemon", "less"));
    assert_eq!((&*ours["HOME"], &*ours["USER"]), ("/root", "root"));
    for name in ["SHLVL", "PWD", "OLDPWD", "_", "HOSTS_OWN"] {
        assert!(!ours.contains_key(name), "{name} in {ours:?}");
    }
    let given = env(&machine, &["-E", "NIX_REMOTE=mine", "-E", "NEW=1"]);
    assert_eq!((&*given["NIX_REMOTE"], &*given["NEW"]), ("mine", "1"));
    let without = env(&machine, &["--no-set-environment"]);
    assert!(!without.contains_key("NIX_REMOTE"), "{without:?}");
    assert!(
        without["PATH"].starts_with("/run/wrappers/bin:"),
        "{without:?}"
    );
    let _ = machine.stop().success();
}

#[test]
fn the_script_is_sourced_for_the_user_and_touches_nothing_but_variables() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("script", &["demo", "--net=none"]);
    let machine = sandbox.boot(&image).options(&["--network=private"]).up();
    set_environment(
        &machine,
        "echo noise; echo noise >&2; read line || true\n\
         export WHO=\"$USER at $HOME\" LINES2='one\ntwo' PATH=/own:$PATH\n",
    );
    assert_eq!(env(&machine, &[])["WHO"], "root at /root");
    assert_eq!(
        env(&machine, &["--user=nobody"])["WHO"].split(' ').next(),
        Some("nobody")
    );
    assert_eq!(env(&machine, &[])["LINES2"], "one\ntwo");
    let words = ["exec", machine.name(), "--", "cat"];
    let done = run_with_input(sandbox.command(&words), b"first\0", patience(60)).success();
    assert_eq!((&*done.stdout, &*done.stderr), ("first\0", ""));
    let odd = ["printf", "%s|", "-n", "", "a b", "$HOME", "'", "\n"];
    assert_eq!(
        exec(&machine, &[], &odd).success().stdout,
        "-n||a b|$HOME|'|\n|"
    );
    assert_eq!(exec(&machine, &[], &["sh", "-c", "exit 77"]).status, 77);
    let _ = exec(&machine, &[], &["no-such-command"])
        .expect_status(127)
        .expect_stderr("no such command");
    for broken in ["exit 3\n", "export A='\n", "exec cat /etc/os-release\n"] {
        set_environment(&machine, broken);
        let _ = exec(&machine, &[], &["true"])
            .expect_status(125)
            .expect_stderr("cannot source /etc/set-environment")
            .expect_stderr("--no-set-environment");
        let _ = exec(&machine, &["--no-set-environment"], &["true"]).success();
    }
    let _ = machine.stop().success();
}

#[test]
fn in_debian_it_is_small_and_has_debians_paths() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("debian", &["trixie"]);
    let machine = sandbox.boot(&image).options(&["--network=private"]).up();
    let ours = env(&machine, &[]);
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(ours["PATH"], path);
    let names: Vec<&str> = ours.keys().map(String::as_str).collect();
    let wanted = [
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "TERM",
        "USER",
        "container",
    ];
    assert_eq!(names, wanted);
    let _ = machine.stop().success();
}
