//! `nsrun run`: one command, its streams and its exit status.

use std::io::Write;
use std::process::Stdio;

use nsrun_tests::done::{Running, run_with_input};
use nsrun_tests::facts::Facts;
use nsrun_tests::{Console, Done, Must, Sandbox, patience, wait_until};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use rustix::process::Signal;

const PROBE: &str = "/sbin/init";

/// Runs the fixture in the image.
fn probe(sandbox: &Sandbox, options: &[&str], image: &str, words: &[&str]) -> Done {
    let args = [&["run"], options, &[image, "--", PROBE], words].concat();
    sandbox.nsrun(&args)
}

fn facts(sandbox: &Sandbox, options: &[&str], image: &str) -> Facts {
    probe(sandbox, options, image, &["facts"]).success().json()
}

#[test]
fn the_exit_status_is_the_commands() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("status", &[]);
    for status in [0, 1, 7, 124, 125, 126, 127, 128, 255] {
        let done = probe(&sandbox, &[], &image, &["exit", &status.to_string()]);
        assert_eq!(done.status, status, "{done}");
        assert_eq!(done.stderr, "", "a command's status is no error of nsrun's");
    }
}

#[test]
fn a_death_by_signal_counts_from_128_as_in_a_shell() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("signal", &[]);
    for signal in [6, 9, 15] {
        let done = probe(&sandbox, &[], &image, &["die", &signal.to_string()]);
        assert_eq!(done.status, 128 + signal, "{done}");
    }
}

#[test]
fn what_cannot_be_executed_has_the_shells_statuses_and_is_named() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("exec", &[]);
    for (program, status) in [
        ("/nothing/here", 127),
        ("nothing-in-path", 127),
        ("/etc/os-release", 126),
        ("/etc", 126),
    ] {
        let done = sandbox
            .nsrun(&["run", &image, "--", program])
            .expect_status(status);
        let _ = done.expect_stderr(program);
    }
}

#[test]
fn own_failures_are_125() {
    let sandbox = Sandbox::new();
    for image in ["missing", "/nothing/here"] {
        let done = sandbox
            .nsrun(&["run", image, "--", "true"])
            .expect_status(125);
        let _ = done.expect_stderr(image);
    }
}

#[test]
fn streams_are_passed_through_unmixed() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("streams", &[]);
    let words = ["print", "out", ",", "complain", "err"];
    let done = probe(&sandbox, &[], &image, &words).success();
    assert_eq!(
        (done.stdout.as_str(), done.stderr.as_str()),
        ("out\n", "err\n")
    );
    let command = sandbox.command(&["run", &image, "--", PROBE, "cat"]);
    let done = run_with_input(command, b"a\0b\xff\n", patience(30)).success();
    assert_eq!(done.stdout, "a\0b\u{fffd}\n");
    let done = probe(&sandbox, &[], &image, &["spew", "5000000"]).success();
    assert_eq!(done.stdout.len(), 5_000_001);
}

#[test]
fn input_may_come_slowly_and_end_early() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("slow", &[]);
    let (reader, mut writer) = std::io::pipe().must("make a pipe");
    let mut command = sandbox.command(&["run", &image, "--", PROBE, "cat"]);
    let mut running = Running::start_with_input(&mut command, Stdio::from(reader));
    drop(command);
    for word in ["one ", "two "] {
        writer.write_all(word.as_bytes()).must("write");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drop(writer);
    assert_eq!(running.finish(patience(30)).success().stdout, "one two ");
}

#[test]
fn it_is_process_2_of_a_small_init_or_process_1() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("pid", &[]);
    let second = facts(&sandbox, &[], &image);
    assert_eq!((second.pid, second.parent), (2, 1));
    assert_eq!(second.processes, [1, 2]);
    let first = facts(&sandbox, &["--pid1"], &image);
    assert_eq!((first.pid, first.parent), (1, 0));
}

#[test]
fn the_environment_is_the_containers_and_what_was_asked_for() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("env", &[]);
    let mut command = sandbox.command(&["run", "-E", "A=1", "--setenv=PASSED", &image, "--"]);
    command.args([PROBE, "facts"]);
    command.env("PASSED", "on").env("SECRET", "host's");
    let done = nsrun_tests::done::run(command, patience(30)).success();
    let facts: Facts = done.json();
    let value = |key: &str| facts.env.get(key).map(String::as_str);
    assert_eq!(value("A"), Some("1"));
    assert_eq!(value("PASSED"), Some("on"));
    assert_eq!(value("container"), Some("systemd-nspawn"));
    assert_eq!(value("SECRET"), None);
    assert!(
        !facts.env.keys().any(|key| key.starts_with("NSRUN")),
        "{:?}",
        facts.env
    );
}

#[test]
fn the_working_directory_can_be_chosen() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("workdir", &[]);
    assert_eq!(facts(&sandbox, &["--workdir=/tmp"], &image).cwd, "/tmp");
    let done = probe(&sandbox, &["--workdir=/nowhere"], &image, &["facts"]);
    let _ = done.expect_status(125).expect_stderr("/nowhere");
}

#[test]
fn programs_are_found_by_the_images_path() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("path", &[]);
    let done = sandbox
        .nsrun(&["run", &image, "--", "init", "print", "found"])
        .success();
    assert_eq!(done.stdout, "found\n");
}

#[test]
fn what_is_written_to_the_root_stays_unless_it_is_read_only() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("root", &[]);
    let create = ["try", "create /root/made"];
    let done = probe(&sandbox, &["--read-only"], &image, &create).success();
    assert_eq!(done.stdout, "create /root/made: EROFS\n");
    let done = probe(&sandbox, &[], &image, &create).success();
    assert_eq!(done.stdout, "create /root/made: ok\n");
    let made = sandbox.image_root().join(&image).join("root/made");
    let meta = std::fs::metadata(made).must("find what was made");
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&meta),
        0,
        "the tree is not shifted"
    );
}

#[test]
fn a_tree_on_a_read_only_file_system_is_read_only_without_being_told() {
    let sandbox = Sandbox::new();
    let disk = sandbox.dir().join("disk");
    std::fs::create_dir(&disk).must("make a mount point");
    mount("tmpfs", &disk, "tmpfs", MountFlags::empty(), None).must("mount a tmpfs");
    let tree = disk.join(sandbox.name("tree"));
    nsrun_tests::tiny::build(&tree, &[]);
    mount_remount(&disk, MountFlags::RDONLY, "").must("make the tmpfs read-only");
    let tree = tree.to_str().must("name a tree");
    let create = ["try", "create /root/made"];
    let shown = probe(&sandbox, &[], tree, &create);
    let told = probe(&sandbox, &["--read-only"], tree, &["exit", "0"]);
    unmount(&disk, UnmountFlags::empty()).must("unmount the tmpfs");
    assert_eq!(shown.success().stdout, "create /root/made: EROFS\n");
    let _ = told.success();
}

#[test]
fn a_path_will_do_for_an_image() {
    let sandbox = Sandbox::new();
    let tree = sandbox.dir().join("tree");
    nsrun_tests::tiny::build(&tree, &[]);
    let name = sandbox.name("path");
    let tree = tree.to_str().must("name a tree");
    let done = probe(&sandbox, &["--machine", &name], tree, &["print", "here"]);
    assert_eq!(done.success().stdout, "here\n");
}

#[test]
fn on_a_terminal_it_has_a_terminal_of_its_own() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("tty", &[]);
    let words = ["run", &image, "--", PROBE, "print", "asks", ",", "cat"];
    let mut console = Console::start(&sandbox.command(&words));
    console.expect("asks");
    console.send("typed\r\u{4}");
    // Once as the echo, once as the answer.
    console.expect("typed\\s+typed");
    assert_eq!(console.wait(patience(20)), 0);
    let mut console = Console::start(&sandbox.command(&["run", &image, "--", PROBE, "facts"]));
    assert_eq!(console.wait(patience(20)), 0);
    let facts = console.text();
    assert!(!facts.contains("\"terminal\":0"), "{facts}");
}

#[test]
fn the_interrupt_key_reaches_the_command_and_not_nsrun() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("interrupt", &[]);
    let words = [
        "run", &image, "--", PROBE, "print", "sleeps", ",", "sleep", "1000000",
    ];
    let mut console = Console::start(&sandbox.command(&words));
    let before = console.modes();
    console.expect("sleeps");
    console.send("\u{3}");
    assert_eq!(console.wait(patience(20)), 130);
    let after = console.modes();
    assert_eq!(
        after.local_modes, before.local_modes,
        "the terminal is as it was"
    );
    assert_eq!(after.input_modes, before.input_modes);
    assert_eq!(after.output_modes, before.output_modes);
}

#[test]
fn the_windows_size_goes_along() {
    let sandbox = Sandbox::new();
    let image = sandbox.install("size", &["trixie"]);
    let script = "read x; stty size; trap 'stty size; exit 0' WINCH; echo waits; sleep 1000 & wait";
    let words = ["run", &image, "--", "sh", "-c", script];
    let mut console = Console::start(&sandbox.command(&words));
    console.resize(41, 131);
    console.send("\r");
    console.expect("41 131");
    console.expect("waits");
    console.resize(42, 132);
    console.expect("42 132");
    assert_eq!(console.wait(patience(20)), 0);
}

#[test]
fn children_that_the_command_leaves_end_with_it() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("orphans", &[]);
    for options in [&[][..], &["--pid1"]] {
        let _ = probe(&sandbox, options, &image, &["fork", "5", ",", "exit", "3"]).expect_status(3);
        sandbox.assert_clean();
    }
}

#[test]
fn a_stop_signal_ends_it() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("stop", &[]);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let words = [
            "run", &image, "--", PROBE, "print", "up", ",", "sleep", "1000000",
        ];
        let mut running = Running::start(sandbox.command(&words));
        wait_until(patience(20), "the command starts", || {
            running.so_far().stdout.contains("up").then_some(())
        });
        running.signal(signal);
        // The command gets it, and ends of it.
        let status = 128 + signal.as_raw();
        let _ = running.finish(patience(20)).expect_status(status);
        sandbox.assert_clean();
    }
}

#[test]
fn the_payload_dies_with_a_killed_supervisor_and_the_next_command_clears_up() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("killed", &[]);
    let words = [
        "run", &image, "--", PROBE, "print", "up", ",", "sleep", "1000000",
    ];
    let mut running = Running::start(sandbox.command(&words));
    wait_until(patience(20), "the command starts", || {
        running.so_far().stdout.contains("up").then_some(())
    });
    running.signal(Signal::KILL);
    assert_eq!(running.finish(patience(10)).status, 137);
    wait_until(patience(10), "the payload dies", || {
        let left = sandbox.left();
        (!left.iter().any(|thing| thing.starts_with("process"))).then_some(())
    });
    assert_eq!(
        probe(&sandbox, &[], &image, &["print", "again"])
            .success()
            .stdout,
        "again\n"
    );
}

#[test]
fn the_same_image_is_not_run_twice_at_once() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("busy", &[]);
    let words = [
        "run", &image, "--", PROBE, "print", "up", ",", "sleep", "1000000",
    ];
    let mut running = Running::start(sandbox.command(&words));
    wait_until(patience(20), "the command starts", || {
        running.so_far().stdout.contains("up").then_some(())
    });
    let other = sandbox.name("other");
    let done = probe(&sandbox, &["--machine", &other], &image, &["facts"]).expect_status(125);
    let _ = done.expect_stderr(&image);
    running.signal(Signal::TERM);
    let _ = running.finish(patience(20));
}
