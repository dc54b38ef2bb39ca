//! On a host whose PID 1 is systemd: machines as units that start with the host, their limits, and
//! what machined knows of them. Elsewhere there is nothing to show.

use std::fs;
use std::path::{Path, PathBuf};

use nsrun_tests::done::{Done, Running, run};
use nsrun_tests::{Must, Sandbox, nsrun, patience, skip, wait_until};

const READY: &str = "notify READY=1";
const UNITS: &str = "/etc/systemd/system";

/// Whether PID 1 of this host is systemd.
fn is_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn host(words: &[&str]) -> Done {
    let mut command = nsrun::plain(words[0]);
    command.args(&words[1..]);
    run(command, patience(30))
}

/// A property of a unit of the host.
fn property(unit: &str, name: &str) -> String {
    let done = host(&["systemctl", "show", "--value", "-p", name, unit]).success();
    done.stdout.trim_end().to_owned()
}

fn cgroup(unit: &str) -> PathBuf {
    let group = property(unit, "ControlGroup");
    Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'))
}

fn console_log(sandbox: &Sandbox, image: &str) -> String {
    let log = sandbox
        .state_root()
        .join(format!("lib/consoles/{image}.log"));
    fs::read_to_string(log).unwrap_or_default()
}

/// An enabled machine; the host's units are as before when this is dropped.
struct Enabled<'a> {
    sandbox: &'a Sandbox,
    image: &'a str,
    unit: String,
    had_template: bool,
}

impl<'a> Enabled<'a> {
    fn new(sandbox: &'a Sandbox, image: &'a str, words: &[&str]) -> Self {
        let had_template = Path::new(UNITS).join("nsrun@.service").exists();
        let enabled = Self {
            sandbox,
            image,
            unit: format!("nsrun@{image}.service"),
            had_template,
        };
        let mut all = vec!["enable", image];
        all.extend(words);
        let _ = sandbox.nsrun(&all).success();
        enabled
    }
}

impl Drop for Enabled<'_> {
    fn drop(&mut self) {
        let _ = self.sandbox.nsrun(&["disable", "--now", self.image]);
        let _ = host(&["systemctl", "reset-failed", &self.unit]);
        if !self.had_template {
            let _ = fs::remove_file(Path::new(UNITS).join("nsrun@.service"));
        }
        let _ = host(&["systemctl", "daemon-reload"]);
    }
}

#[test]
fn an_enabled_machine_is_a_unit_that_systemctl_stops() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("enabled", &[READY, "notify STATUS=all is well"]);
    let enabled = Enabled::new(&sandbox, &image, &["--now"]);
    let unit = enabled.unit.as_str();
    for (name, value) in [
        ("ActiveState", "active"),
        ("UnitFileState", "enabled"),
        ("Type", "notify"),
        ("Slice", "machine.slice"),
        ("Delegate", "yes"),
        ("WatchdogUSec", "3min"),
    ] {
        assert_eq!(property(unit, name), value, "{name}");
    }
    assert!(
        cgroup(unit)
            .join(format!("nsrun-{image}.scope/payload"))
            .is_dir()
    );
    let shown = sandbox.nsrun(&["show", "-P", "Unit,UnitFileState", &image]);
    assert_eq!(shown.success().stdout, format!("{unit}\nenabled\n"));
    wait_until(patience(20), "systemd is told the status", || {
        property(unit, "StatusText")
            .contains("all is well")
            .then_some(())
    });
    let status = host(&["systemctl", "--no-pager", "status", unit]).success();
    assert!(status.stdout.contains("payload"), "{status}");
    let again = sandbox.nsrun(&["start", "--all-enabled"]).success();
    assert_eq!(again.stdout, format!("{image} runs already.\n"));
    let _ = host(&["systemctl", "stop", unit]).success();
    assert_eq!(property(unit, "Result"), "success");
    let _ = sandbox.nsrun(&["is-running", &image]).expect_status(3);
    let log = console_log(&sandbox, &image);
    assert!(log.contains("asked to Halt"), "{log}");
    let started = sandbox.nsrun(&["start", "--all-enabled"]).success();
    assert_eq!(started.stdout, format!("{image} has started.\n"));
    assert_eq!(property(unit, "ActiveState"), "active");
    let _ = sandbox.nsrun(&["stop", &image]).success();
    wait_until(patience(20), "the unit ends with its machine", || {
        (property(unit, "ActiveState") == "inactive").then_some(())
    });
    assert_eq!(property(unit, "Result"), "success");
}

#[test]
fn a_machine_of_a_unit_reboots_in_it() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("again", &["print up", READY]);
    let words = ["--now", "--", "--property=TasksMax=77", "--hostname=told"];
    let enabled = Enabled::new(&sandbox, &image, &words);
    let scope = cgroup(&enabled.unit).join(format!("nsrun-{image}.scope"));
    let limit = fs::read_to_string(scope.join("pids.max")).must("read the limit");
    assert_eq!(limit, "77\n", "options are the machine's");
    let before = property(&enabled.unit, "MainPID");
    let _ = sandbox.nsrun(&["reboot", &image]).success();
    wait_until(patience(30), "the second boot", || {
        let log = console_log(&sandbox, &image);
        (log.matches("up").count() == 2).then_some(())
    });
    assert_eq!(property(&enabled.unit, "ActiveState"), "active");
    assert_eq!(property(&enabled.unit, "MainPID"), before);
}

#[test]
fn the_watchdog_is_fed_and_ends_a_supervisor_that_hangs() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("dog", &[READY]);
    let own = Path::new(UNITS).join(format!("nsrun@{image}.service.d"));
    fs::create_dir_all(&own).must("make a directory for drop-ins");
    let drop_in = own.join("watchdog.conf");
    fs::write(&drop_in, "[Service]\nWatchdogSec=6\n").must("write a drop-in");
    let enabled = Enabled::new(&sandbox, &image, &["--now"]);
    let unit = enabled.unit.as_str();
    let fed = || property(unit, "WatchdogTimestampMonotonic");
    let first = fed();
    wait_until(patience(20), "the watchdog is fed again", || {
        (fed() != first).then_some(())
    });
    let pid = property(unit, "MainPID");
    let _ = host(&["kill", "-STOP", &pid]).success();
    wait_until(patience(30), "systemd ends the unit", || {
        (property(unit, "ActiveState") == "failed").then_some(())
    });
    assert_eq!(property(unit, "Result"), "watchdog");
    let _ = sandbox.nsrun(&["is-running", &image]).expect_status(3);
    let _ = sandbox.nsrun(&["clean"]);
    drop(enabled);
    fs::remove_dir_all(own).must("remove the drop-in");
    // What the supervisor could not take away, the next start does.
    let _ = sandbox.nsrun(&["start", &image]).success();
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn limits_are_properties_of_the_scope() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("limits", &[READY]);
    let limits = [
        "--property=MemoryMax=64M",
        "--property=MemoryHigh=infinity",
        "--property=CPUQuota=150%",
        "--property=CPUWeight=20",
        "--property=IOWeight=30",
        "--property=TasksMax=50",
        "--property=AllowedCPUs=0",
        "--slice=machine-test",
    ];
    let mut words = vec!["start", "--wait=ready", &image];
    words.extend(limits);
    let _ = sandbox.nsrun(&words).success();
    let unit = format!("nsrun-{image}.scope");
    for (name, value) in [
        ("Slice", "machine-test.slice"),
        ("MemoryMax", "67108864"),
        ("MemoryHigh", "infinity"),
        ("CPUQuotaPerSecUSec", "1.500000s"),
        ("CPUWeight", "20"),
        ("IOWeight", "30"),
        ("TasksMax", "50"),
        ("AllowedCPUs", "0"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    let read = |file: &str| fs::read_to_string(cgroup(&unit).join(file)).must("read a limit");
    assert_eq!(read("memory.max"), "67108864\n");
    assert_eq!(read("cpu.max"), "150000 100000\n");
    assert_eq!(read("cpuset.cpus.effective"), "0\n");
    let _ = sandbox.nsrun(&["stop", &image]).success();
}

#[test]
fn limits_are_the_cgroups_in_a_delegated_unit() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("files", &[READY]);
    let unit = format!("{image}-service");
    let within = |words: &[&str]| {
        let nsrun = sandbox.command(words);
        let mut command = nsrun::plain("/usr/bin/systemd-run");
        command.args(["--quiet", "--service-type=notify", "-p", "Delegate=yes"]);
        command.args(["-p", "NotifyAccess=main", "--unit", &unit]);
        for (key, value) in nsrun
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?)))
        {
            let setting = format!("{}={}", key.to_string_lossy(), value.to_string_lossy());
            command.arg(format!("--setenv={setting}"));
        }
        command.arg(nsrun.get_program()).args(nsrun.get_args());
        run(command, patience(60))
    };
    let _ = within(&[
        "boot",
        "--property=MemoryMax=32M",
        "--property=CPUQuota=50%",
        "--property=TasksMax=40",
        "--property=AllowedCPUs=0",
        &image,
    ])
    .success();
    let scope = cgroup(&unit).join(format!("nsrun-{image}.scope"));
    for (file, value) in [
        ("memory.max", "33554432\n"),
        ("cpu.max", "50000 100000\n"),
        ("pids.max", "40\n"),
        ("cpuset.cpus", "0\n"),
    ] {
        let found = fs::read_to_string(scope.join(file)).must("read a limit");
        assert_eq!(found, value, "{file}");
    }
    let _ = host(&["systemctl", "stop", &unit]).success();
    let refused = within(&["boot", "--slice=other", &image]);
    assert_ne!(refused.status, 0, "a unit is in the slice that it is in");
    let _ = host(&["systemctl", "reset-failed", &unit]);
}

#[test]
fn machined_knows_a_registered_machine_until_it_ends() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    if nsrun::installed("machinectl").is_none() {
        skip!("machinectl is not installed");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("known", &["print up", READY]);
    let show = |name: &str| {
        let done = host(&["machinectl", "show", "--value", "-p", name, &image]);
        done.stdout.trim_end().to_owned()
    };
    let words = ["start", "--wait=ready", "--register", &image];
    let _ = sandbox.nsrun(&words).success();
    let list = host(&["machinectl", "--no-legend", "--no-pager", "list"]).success();
    let row: Vec<&str> = list.stdout.split_whitespace().collect();
    assert_eq!(
        row.get(..3),
        Some(&[image.as_str(), "container", "nsrun"][..]),
        "{list}"
    );
    assert_eq!(show("Unit"), format!("nsrun-{image}.scope"));
    let leader = || {
        let shown = sandbox.nsrun(&["show", "-P", "Leader", &image]).success();
        shown.stdout.trim_end().to_owned()
    };
    assert_eq!(show("Leader"), leader());
    let root = sandbox.image_root().join(&image);
    assert_eq!(show("RootDirectory"), root.display().to_string());
    let first = leader();
    let _ = sandbox.nsrun(&["reboot", &image]).success();
    wait_until(patience(30), "machined knows the second boot", || {
        let known = show("Leader");
        (known != first && !known.is_empty()).then_some(())
    });
    assert_eq!(show("Leader"), leader());
    let refused = sandbox.nsrun(&["start", "--register", "--machine", &image, &image]);
    let _ = refused.expect_status(4);
    let _ = host(&["machinectl", "terminate", &image]).success();
    wait_until(patience(30), "it has ended", || {
        let done = sandbox.nsrun(&["is-running", &image]);
        (done.status == 3).then_some(())
    });
    let list = host(&["machinectl", "--no-legend", "--no-pager", "list"]).success();
    assert_eq!(list.stdout, "");
}

#[test]
fn a_name_that_machined_has_is_not_taken() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let Some(nspawn) = nsrun::installed("systemd-nspawn") else {
        skip!("systemd-nspawn is not installed");
    };
    let sandbox = Sandbox::new();
    let (theirs, ours) = (
        sandbox.tiny("theirs", &[READY]),
        sandbox.tiny("ours", &[READY]),
    );
    let mut command = nsrun::plain(nspawn);
    command.args(["--quiet", "--console=pipe", "-D"]);
    command.arg(sandbox.image_root().join(&theirs));
    command.args(["/sbin/init", "print", "up", ",", "sleep", "1000000"]);
    let mut other = Running::start(command);
    wait_until(patience(30), "nspawn runs", || {
        other.so_far().stdout.contains("up").then_some(())
    });
    let words = ["start", "--machine", &theirs, &ours];
    let with = |register: &str| {
        let mut words = words.to_vec();
        words.push(register);
        sandbox.nsrun(&words)
    };
    let _ = with("--register=yes")
        .expect_status(4)
        .expect_stderr("machined knows a machine");
    other.signal(rustix::process::Signal::TERM);
    let _ = other.finish(patience(20));
}

#[test]
fn a_running_image_is_removed_by_neither() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let Some(nspawn) = nsrun::installed("systemd-nspawn") else {
        skip!("systemd-nspawn is not installed");
    };
    let sandbox = Sandbox::new();
    let name = sandbox.name("kept");
    let tree = Path::new("/var/lib/machines").join(&name);
    nsrun_tests::tiny::build(&tree, &[READY]);
    let ours = |words: &[&str]| {
        let mut command = sandbox.command(words);
        command.env_remove("NSRUN_IMAGE_ROOT");
        run(command, patience(60))
    };
    let _ = ours(&["start", "--wait=ready", &name]).success();
    let refused = host(&["machinectl", "remove", &name]);
    assert_ne!(refused.status, 0, "{refused}");
    let refused = host(&["machinectl", "rename", &name, "other"]);
    assert_ne!(refused.status, 0, "{refused}");
    assert!(tree.join("sbin/init").exists());
    let _ = ours(&["stop", &name]).success();

    let mut command = nsrun::plain(nspawn);
    command.args(["--quiet", "--console=pipe", "-M", &name]);
    command.args(["/sbin/init", "print", "up", ",", "sleep", "1000000"]);
    let mut other = Running::start(command);
    wait_until(patience(30), "nspawn runs the image", || {
        other.so_far().stdout.contains("up").then_some(())
    });
    for words in [&["remove", &name][..], &["rename", &name, "other"]] {
        let _ = ours(words).expect_status(4);
    }
    assert!(tree.join("sbin/init").exists());
    other.signal(rustix::process::Signal::TERM);
    let _ = other.finish(patience(20));
    let _ = host(&["machinectl", "remove", &name]).success();
    assert!(!tree.exists());
}
