//! What is there before the image's first program runs: API file systems, devices, the
//! console, the environment.

use std::fs;

use nsrun_tests::done::run;
use nsrun_tests::facts::Facts;
use nsrun_tests::{Must, Sandbox, nsrun, patience};

use super::{PROBE, down, nixos, up};

/// What the first process of a tiny image sees.
fn facts(sandbox: &Sandbox, image: &str, options: &[&str]) -> Facts {
    let args = [&["run", "--pid1"], options, &[image, "--", PROBE, "facts"]];
    sandbox.nsrun(&args.concat()).success().json()
}

#[test]
fn fact_04_proc_sys_and_dev_are_there_before_init() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("api", &[]);
    for options in [
        &["--network=host"][..],
        &["--network=private"],
        &["--network=host", "--private-users=no"],
    ] {
        let facts = facts(&sandbox, &image, options);
        for (point, fstype) in [
            ("/proc", "proc"),
            ("/sys", "tmpfs"),
            ("/sys/class", "sysfs"),
            ("/sys/fs/cgroup", "cgroup2"),
            ("/dev", "tmpfs"),
            ("/dev/pts", "devpts"),
            ("/dev/shm", "tmpfs"),
            ("/dev/mqueue", "mqueue"),
            ("/run", "tmpfs"),
            ("/tmp", "tmpfs"),
        ] {
            let mount = facts.mount(point).must(point);
            assert_eq!(mount.fstype, fstype, "{point} with {options:?}");
        }
        for (name, number) in [
            ("null", (1, 3)),
            ("zero", (1, 5)),
            ("full", (1, 7)),
            ("random", (1, 8)),
            ("urandom", (1, 9)),
            ("tty", (5, 0)),
        ] {
            let device = &facts.devices[name];
            assert_eq!(device.number, number, "{name} with {options:?}");
            assert_eq!(device.mode & 0o666, 0o666, "{name} with {options:?}");
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ] {
            assert_eq!(facts.devices[name].link.as_deref(), Some(target), "{name}");
        }
    }
    // What stage 2 does with them: process substitution and an own terminal.
    let (image, _) = nixos(&sandbox);
    let mut machine = up(&sandbox, &image, &[]);
    let output = machine.output();
    for complaint in ["No such file", "Failed to mount", "API filesystems"] {
        assert!(!output.contains(complaint), "{output}");
    }
    down(machine);
}

#[test]
fn fact_05_the_console_is_a_terminal_of_the_containers_root() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    let boot = sandbox.boot(&image).options(&["--network=host"]);
    let mut machine = boot.env("TERM", "vt220").start_on_console();
    machine.wait_ready();
    let stat = ["stat", "--dereference", "--format=%F %u", "/dev/console"];
    assert_eq!(machine.output_of(&stat), "character special file 0");
    let getty = machine.property("console-getty.service", "ActiveState");
    assert_eq!(getty, "active");
    let pid = machine.property("console-getty.service", "MainPID");
    let command = machine.output_of(&["cat", &format!("/proc/{pid}/cmdline")]);
    assert!(command.contains("agetty"), "{command}");
    for pid in ["1", &pid] {
        let environment = machine.output_of(&["cat", &format!("/proc/{pid}/environ")]);
        let term = environment.split('\0').find(|v| v.starts_with("TERM="));
        assert_eq!(term, Some("TERM=vt220"), "process {pid}");
    }
    machine.console().expect("nixos login: $");
    down(machine);
}

#[test]
fn fact_06_the_hosts_kernel_log_is_out_of_reach() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    let mark = sandbox.name("mark");
    let machine = up(&sandbox, &image, &[]);
    let write = format!("echo '<4>{mark}' >/dev/kmsg");
    let _ = machine.exec(&["sh", "-c", &write]);
    let read = "timeout 1 head -c 1 /proc/kmsg | wc -c; test -c /dev/kmsg && echo node";
    assert_eq!(machine.exec(&["sh", "-c", read]).stdout, "0\n");
    let read = machine.exec(&["dmesg"]);
    assert_ne!(read.status, 0, "{read}");
    let log = run(nsrun::plain("/usr/bin/dmesg"), patience(20)).success();
    for line in [
        mark.as_str(),
        "stage-2-init",
        "booting system configuration",
    ] {
        assert!(!log.stdout.contains(line), "{line} is in the host's log");
    }
    down(machine);
}

#[test]
fn fact_07_the_environment_says_that_it_is_a_container_and_which() {
    let sandbox = Sandbox::new();
    let (image, tree) = nixos(&sandbox);
    assert!(!tree.join("etc/machine-id").exists());
    let mut machine = up(&sandbox, &image, &[]);
    let environment = machine.output_of(&["cat", "/proc/1/environ"]);
    let value = |key: &str| {
        let mut variables = environment.split('\0').filter_map(|v| v.split_once('='));
        variables.find(|(k, _)| *k == key).map(|(_, value)| value)
    };
    assert_eq!(value("container"), Some("systemd-nspawn"));
    let uuid = value("container_uuid").must("find container_uuid");
    let id = machine.output_of(&["cat", "/etc/machine-id"]);
    assert_eq!(id, uuid.replace('-', ""));
    assert_eq!(
        fs::read_to_string(tree.join("etc/machine-id"))
            .must("read")
            .trim_end(),
        id,
        "it is the image's from now on"
    );
    let mounted = machine.exec(&["findmnt", "/etc/machine-id"]);
    assert_eq!(mounted.status, 1, "{mounted}");
    assert_eq!(
        machine.output_of(&["systemd-detect-virt"]),
        "systemd-nspawn"
    );
    for (unit, condition) in [
        ("hardware-only.service", "no"),
        ("nspawn-only.service", "yes"),
    ] {
        assert_eq!(
            machine.property(unit, "ConditionResult"),
            condition,
            "{unit}"
        );
    }
    assert!(
        machine.output().contains("Welcome to"),
        "{}",
        machine.output()
    );
    down(machine);
}

#[test]
fn fact_08_run_is_writable_and_wrappers_may_be_set_user_id() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    let machine = up(&sandbox, &image, &[]);
    for link in ["/run/current-system", "/run/booted-system"] {
        let target = machine.output_of(&["readlink", "--canonicalize-existing", link]);
        assert!(target.starts_with("/nix/store/"), "{link}: {target}");
    }
    for point in ["/run/keys", "/run/wrappers"] {
        let _ = machine.exec(&["mountpoint", point]).success();
    }
    let options = machine.output_of(&["findmnt", "-nro", "OPTIONS", "/run/wrappers"]);
    assert!(!options.contains("nosuid"), "{options}");
    // A service of an unprivileged user that runs one with set-user-id and one with file capabilities.
    assert_eq!(
        machine.property("wrappers.service", "ActiveState"),
        "active"
    );
    // Nothing that the payload mounted there is locked.
    let _ = machine.exec(&["umount", "/run/keys"]).success();
    down(machine);
}

#[test]
fn fact_09_activation_may_remount_what_it_finds_mounted() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    for options in [&[][..], &["--private-users=no"]] {
        let mut machine = up(&sandbox, &image, options);
        let output = machine.output();
        assert!(!output.contains("permission denied"), "{output}");
        assert!(!output.contains("snippet"), "{output}");
        let options = machine.output_of(&["findmnt", "-nro", "OPTIONS", "/dev/pts"]);
        let gid = options.split(',').find_map(|o| o.strip_prefix("gid="));
        let group = gid.and_then(|gid| gid.parse::<u32>().ok()).must("find gid");
        let map = machine.output_of(&["cat", "/proc/1/gid_map"]);
        let base = map.split_whitespace().nth(1).must("read the map");
        // The kernel tells the group as the host counts it.
        assert_eq!(Some(group), base.parse().ok().map(|base: u32| base + 3));
        down(machine);
    }
}

#[test]
fn fact_20_the_hosts_command_line_and_disks_are_not_there() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    let mut machine = up(&sandbox, &image, &[]);
    assert_eq!(machine.output_of(&["cat", "/proc/cmdline"]), "");
    let nodes = machine.output_of(&["find", "/dev", "-type", "b", "-o", "-name", "rtc*"]);
    assert_eq!(nodes, "");
    let make = ["mknod", "/dev/disk", "b", "8", "0"];
    let _ = machine.exec(&make).expect_status(1);
    assert!(!machine.output().contains("+ "), "nothing asks for a trace");
    down(machine);
    // The line that the user gives is the one that the image obeys.
    let line = "--kernel-cmdline=boot.debugtrace quiet";
    let mut machine = up(&sandbox, &image, &[line]);
    let shown = machine.output_of(&["cat", "/proc/cmdline"]);
    assert_eq!(shown, "boot.debugtrace quiet");
    assert!(machine.output().contains("+ "), "{}", machine.output());
    down(machine);
    // With the host's users, too, the device policy keeps the disks away.
    let machine = up(&sandbox, &image, &["--private-users=no"]);
    let script = "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk >/dev/null";
    let done = machine.exec(&["sh", "-c", script]);
    assert_ne!(done.status, 0, "{done}");
    down(machine);
}
