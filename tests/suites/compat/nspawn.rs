//! Command lines of systemd-nspawn as mkosi, makefiles and scripts have them. With
//! `NSRUN_TEST_NSPAWN=PATH` they go to that program, so that a wrong expectation shows.

use std::fs;

use nsrun_tests::done::{Running, run, run_with_input};
use nsrun_tests::facts::Facts;
use nsrun_tests::peers::real_nspawn;
use nsrun_tests::{Console, Done, Must, Sandbox, image, patience, wait_until};
use rustix::process::Signal;

const PROBE: &str = "/sbin/init";

/// Runs the fixture in the tree, without the status lines.
fn probe(sandbox: &Sandbox, options: &[&str], tree: &str, words: &[&str]) -> Done {
    sandbox.run_nspawn(&[options, &["--quiet", "-D", tree, PROBE], words].concat())
}

fn facts(sandbox: &Sandbox, options: &[&str], tree: &str) -> Facts {
    probe(sandbox, &[&["--pipe"], options].concat(), tree, &["facts"])
        .success()
        .json()
}

#[test]
fn the_exit_status_is_the_commands() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("status", &[]);
    for status in [0, 1, 7, 125, 255] {
        let done = probe(&sandbox, &[], &tree, &["exit", &status.to_string()]);
        assert_eq!(done.status, status, "{done}");
    }
    let done = probe(&sandbox, &["--as-pid2"], &tree, &["exit", "9"]);
    assert_eq!(done.status, 9, "{done}");
}

#[test]
fn whatever_else_fails_has_status_1() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("fails", &[]);
    let _ = sandbox
        .run_nspawn(&["-q", "-D", &tree, "/nothing/here"])
        .expect_status(1);
    let _ = sandbox
        .run_nspawn(&["-q", "-D", "/nothing/here", PROBE])
        .expect_status(1);
    let _ = sandbox
        .run_nspawn(&["--nonsense", "-D", &tree, PROBE])
        .expect_status(1);
    let _ = sandbox
        .run_nspawn(&["-D", &tree, "--network-zone=a", "--network-bridge=b", PROBE])
        .expect_status(1);
    let _ = sandbox.run_nspawn(&["-abD", &tree]).expect_status(1);
}

#[test]
fn a_command_is_process_1_with_the_hosts_ids_and_network() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("defaults", &[]);
    let first = facts(&sandbox, &[], &tree);
    assert_eq!((first.pid, first.parent), (1, 0));
    assert_eq!(first.uid_map, "0 0 4294967295");
    let own = fs::read_link("/proc/thread-self/ns/net").must("read a namespace");
    assert_eq!(
        first.namespaces.get("net").map(String::as_str),
        own.to_str()
    );
    let second = facts(&sandbox, &["-a"], &tree);
    assert_eq!((second.pid, second.parent), (2, 1));
    let apart = facts(&sandbox, &["--private-network"], &tree);
    assert_eq!(apart.links, ["lo"]);
    assert_ne!(
        apart.namespaces.get("net").map(String::as_str),
        own.to_str()
    );
}

#[test]
fn ids_of_its_own_are_an_option() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("ids", &[]);
    let map = "0 1114112000 65536";
    let users = [
        "--private-users=1114112000",
        "--private-users-ownership=map",
        "--private-network",
    ];
    assert_eq!(facts(&sandbox, &users, &tree).uid_map, map);
    let last = [
        &users[..],
        &["--private-users=no", "--private-users-ownership=off"],
    ]
    .concat();
    assert_eq!(facts(&sandbox, &last, &tree).uid_map, "0 0 4294967295");
}

#[test]
fn output_goes_through_a_terminal_unless_it_is_piped() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("streams", &[]);
    let words = ["print", "out", ",", "complain", "err"];
    let done = probe(&sandbox, &[], &tree, &words).success();
    assert_eq!(done.stdout, "out\r\nerr\r\n");
    let done = probe(&sandbox, &["--pipe"], &tree, &words).success();
    assert_eq!(done.stdout, "out\n");
    assert!(done.stderr.ends_with("err\n"), "{done}");
    let command = sandbox.nspawn(&["-qPD", &tree, PROBE, "cat"]);
    let done = run_with_input(command, b"a\0b\xff\n", patience(30)).success();
    sandbox.forget_nspawn();
    assert_eq!(done.stdout, "a\0b\u{fffd}\n");
}

#[test]
fn it_says_what_it_does_unless_it_is_quiet() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("says", &[]);
    let done = sandbox.run_nspawn(&["-D", &tree, "-M", "says", PROBE, "exit", "3"]);
    let done = done
        .expect_status(3)
        .expect_stderr(&format!("Spawning container says on {tree}."))
        .expect_stderr("Container says failed with error code 3.");
    assert_eq!(done.stdout.trim(), "");
    let done = sandbox
        .run_nspawn(&["-D", &tree, "-M", "says", PROBE, "exit", "0"])
        .success();
    let _ = done.expect_stderr("Container says exited successfully.");
    assert_eq!(probe(&sandbox, &["-P"], &tree, &["exit", "3"]).stderr, "");
}

#[test]
fn a_death_by_signal_is_status_1() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("dies", &[]);
    let words = [
        "-D", &tree, "-M", "dies", PROBE, "print", "up", ",", "sleep", "1000000",
    ];
    let mut running = Running::start(sandbox.nspawn(&words));
    wait_until(patience(20), "the command starts", || {
        running.so_far().stdout.contains("up").then_some(())
    });
    // Without --kill-signal there is nothing to ask PID 1 by.
    running.signal(Signal::TERM);
    let done = running.finish(patience(20));
    sandbox.forget_nspawn();
    let _ = done
        .expect_status(1)
        .expect_stderr("terminated by signal KILL");
}

#[test]
fn a_build_runs_as_it_does_from_a_makefile() {
    let sandbox = Sandbox::new();
    let work = sandbox.dir().join("work");
    fs::create_dir_all(work.join("src")).must("make a directory");
    fs::write(work.join("src/input"), "from the host\n").must("write a file");
    image::copy_tree(&["trixie"], &work.join("rootfs"));
    let script = "set -e; pwd; echo $WHAT $HOME; id -un; cat /src/input; cat /src/input > result; \
                  touch /src/new 2>/dev/null || echo read-only; test $$ = 1 && exit 4";
    let mut command = sandbox.nspawn(&[
        "-D",
        "rootfs",
        "--quiet",
        "--pipe",
        "--bind-ro=./src:/src",
        "--setenv=WHAT=built",
        "--chdir=/var/tmp",
        "sh",
        "-c",
        script,
    ]);
    command.current_dir(&work);
    let done = run(command, patience(60)).expect_status(4);
    sandbox.forget_nspawn();
    let lines = [
        "/var/tmp",
        "built /root",
        "root",
        "from the host",
        "read-only",
    ];
    assert_eq!(done.stdout.lines().collect::<Vec<_>>(), lines);
    let result = fs::read_to_string(work.join("rootfs/var/tmp/result"));
    assert_eq!(result.must("read what was made"), "from the host\n");
    let mut command = sandbox.nspawn(&["-qPu", "nobody", "-Drootfs", "id", "-un"]);
    command.current_dir(&work);
    let done = run(command, patience(60)).success();
    sandbox.forget_nspawn();
    assert_eq!(done.stdout, "nobody\n");
}

#[test]
fn mkosi_runs_commands_in_a_tree() {
    let sandbox = Sandbox::new();
    let tree = sandbox.dir().join(sandbox.name("mkosi"));
    image::copy_tree(&["trixie"], &tree);
    let directory = format!("--directory={}", tree.display());
    let machine = format!("--machine=mkosi-{}", sandbox.name("x"));
    let shared = sandbox.dir().join("var-tmp");
    fs::create_dir(&shared).must("make a directory");
    let bind = format!("--bind={}:/var/tmp", shared.display());
    let options = [
        "--quiet",
        &directory,
        &machine,
        "--as-pid2",
        "--link-journal=no",
        "--register=no",
        &bind,
        "--setenv=SYSTEMD_OFFLINE=1",
        "--rlimit=RLIMIT_CORE=0:infinity",
    ];
    let script = "echo $SYSTEMD_OFFLINE $$; touch /var/tmp/made";
    let command = ["--", "sh", "-c", script];
    let offline = [&["--private-network"], &["--console=pipe"][..], &command].concat();
    let done = sandbox
        .run_nspawn(&[&options[..], &offline].concat())
        .success();
    assert_eq!(done.stdout, "1 2\n");
    assert!(shared.join("made").exists());
    let online = [&["--bind-ro=/etc/resolv.conf"][..], &command].concat();
    let done = sandbox
        .run_nspawn(&[&options[..], &online].concat())
        .success();
    assert_eq!(done.stdout, "1 2\r\n");
}

/// An option is given with others that do not go together, and what is said then tells whether it
/// is known.
#[test]
fn scripts_learn_which_options_there_are() {
    let sandbox = Sandbox::new();
    let says = |option: &str| {
        let words = [option, "--directory", "/dev/null", "--image", "/dev/null"];
        let done = sandbox.run_nspawn(&words).expect_status(1);
        done.stderr
            .contains(&format!("unrecognized option '{option}'"))
    };
    assert!(!says("--as-pid2"));
    assert!(says("--no-such-option"));
}

#[test]
fn without_a_command_there_is_a_login_shell() {
    let sandbox = Sandbox::new();
    let tree = sandbox.dir().join(sandbox.name("shell"));
    image::copy_tree(&["trixie"], &tree);
    let mut command = sandbox.nspawn(&["-q"]);
    command.current_dir(&tree);
    let mut console = Console::start(&command);
    console.send_line("echo pid $$ in $PWD; exit 6");
    let _ = console.expect("^pid 1 in /root$");
    assert_eq!(console.wait(patience(30)), 6);
    sandbox.forget_nspawn();
}

#[test]
fn a_system_boots_and_its_status_is_that_of_its_init() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("boots", &["print booted", "exit 5"]);
    let done = sandbox.run_nspawn(&["-bD", &tree]).expect_status(5);
    assert!(done.stdout.contains("booted"), "{done}");
    let off = sandbox.tiny_tree("off", &["print booted", "poweroff"]);
    let done = sandbox
        .run_nspawn(&["--boot", "--directory", &off])
        .success();
    let _ = done.expect_stderr("has been shut down");
}

#[test]
fn a_file_beside_the_tree_says_what_the_command_line_does_not() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("settings", &["print booted", "exit 0"]);
    let file = format!("{tree}.nspawn");
    fs::write(file, "[Exec]\nBoot=yes\n").must("write settings");
    let done = sandbox.run_nspawn(&["-qD", &tree]).success();
    assert!(done.stdout.contains("booted"), "{done}");
    // A command is a start mode too, and takes the place of the file's.
    let done = sandbox
        .run_nspawn(&["-qD", &tree, PROBE, "print", "command"])
        .success();
    assert_eq!(done.stdout, "command\r\n");
}

#[test]
fn a_group_of_settings_gives_way_as_a_whole() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("groups", &[]);
    let file = format!("{tree}.nspawn");
    fs::write(file, "[Files]\nTemporaryFileSystem=/root:mode=0700\n").must("write settings");
    let is_mounted = |options: &[&str]| {
        let facts = facts(
            &sandbox,
            &[&["--settings=trusted"], options].concat(),
            &tree,
        );
        facts.mounts.iter().any(|mount| mount.point == "/root")
    };
    assert!(is_mounted(&[]));
    // Mounts of all kinds are one group.
    assert!(!is_mounted(&["--bind-ro=/etc:/tmp"]));
}

#[test]
fn an_ephemeral_machine_leaves_the_tree_as_it_was() {
    let sandbox = Sandbox::on_disk();
    let tree = sandbox.tiny_tree("ephemeral", &[]);
    let create = ["try", "create /root/made"];
    let done = probe(&sandbox, &["-x"], &tree, &create).success();
    assert!(done.stdout.contains("create /root/made: ok"), "{done}");
    assert!(!std::path::Path::new(&tree).join("root/made").exists());
}

#[test]
fn what_nsrun_does_not_do_it_refuses_by_name() {
    if real_nspawn().is_some() {
        return;
    }
    let sandbox = Sandbox::new();
    let tree = sandbox.tiny_tree("refuses", &[]);
    for option in ["--oci-bundle=/x", "--selinux-context=x", "--mstack=/x"] {
        let done = sandbox
            .run_nspawn(&["-D", &tree, option, PROBE])
            .expect_status(1);
        let name = option.split('=').next().must("name an option");
        let _ = done.expect_stderr(&format!("{name} is not supported by nsrun"));
    }
}
