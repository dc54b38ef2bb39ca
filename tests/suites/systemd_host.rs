//! On a host whose PID 1 is systemd, machines are units of it, and images are those that
//! machinectl knows. Elsewhere there is nothing to show.

use std::fs;
use std::path::Path;

use nsrun_tests::done::{Done, Running, run};
use nsrun_tests::{Must, Sandbox, nsrun, patience, skip, wait_until};

const READY: &str = "notify READY=1";

/// Whether PID 1 of this host is systemd.
fn is_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn host(words: &[&str]) -> Done {
    let mut command = nsrun::plain(words[0]);
    command.args(&words[1..]);
    run(command, patience(20))
}

/// A property of a unit of the host.
fn property(unit: &str, name: &str) -> String {
    let done = host(&["systemctl", "show", "--value", "-p", name, unit]).success();
    done.stdout.trim_end().to_owned()
}

#[test]
fn a_machine_is_a_transient_scope_with_delegation() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("scope", &[READY]);
    let mut machine = sandbox.boot(&image).up();
    let unit = format!("nsrun-{image}.scope");
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!(property(&unit, "Delegate"), "yes");
    assert_eq!(property(&unit, "Slice"), "machine.slice");
    let group = property(&unit, "ControlGroup");
    let tree = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
    for part in ["supervisor", "payload"] {
        let procs = fs::read_to_string(tree.join(part).join("cgroup.procs"));
        assert!(!procs.must("read a cgroup").is_empty(), "{part}");
    }
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0, "{}", machine.output());
    drop(machine);
    wait_until(patience(20), "the scope is gone", || {
        (property(&unit, "ActiveState") == "inactive").then_some(())
    });
}

#[test]
fn controllers_reach_the_payload() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("controllers", &[READY]);
    let mut machine = sandbox.boot(&image).up();
    let words = [
        "/sbin/init",
        "try",
        "read /sys/fs/cgroup/cgroup.controllers",
    ];
    let done = machine.exec(&words).success();
    for controller in ["memory", "pids"] {
        assert!(done.stdout.contains(controller), "{done}");
    }
    // The machine's own limits are the host's to set.
    let words = [
        "/sbin/init",
        "try",
        "write /sys/fs/cgroup/memory.max 1000000",
    ];
    let done = machine.exec(&words).success();
    let refused = ["EACCES", "EPERM", "ENOENT", "EROFS"];
    assert!(
        refused.iter().any(|errno| done.stdout.contains(errno)),
        "{done}"
    );
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0, "{}", machine.output());
}

#[test]
fn a_start_that_fails_leaves_nothing_for_the_next_command() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("failing", &[READY]);
    let done = sandbox
        .nsrun(&["run", &image, "--", "/nowhere"])
        .expect_status(127);
    let machines = fs::read_dir(sandbox.state_root().join("run/machines"));
    assert_eq!(machines.must("list machines").count(), 0, "{done}");
}

#[test]
fn a_stop_of_the_unit_stops_the_machine() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("unit", &[READY]);
    let mut machine = sandbox.boot(&image).up();
    // A process that would end by SIGTERM: the machine's own init is to end it.
    let mut joined = Running::start(sandbox.command(&[
        "exec",
        &image,
        "--",
        "/sbin/init",
        "print",
        "joined",
        ",",
        "sleep",
        "1000000",
    ]));
    wait_until(patience(20), "the command has joined", || {
        joined.so_far().stdout.contains("joined").then_some(())
    });
    let unit = format!("nsrun-{image}.scope");
    assert_eq!(property(&unit, "KillSignal"), "23");
    host(&["systemctl", "stop", &unit]).success();
    assert_eq!(machine.finish(patience(30)), 0, "{}", machine.output());
    let joined = joined.finish(patience(20));
    assert_ne!(joined.status, 143, "SIGTERM reached the payload: {joined}");
}

#[test]
fn in_a_delegated_unit_of_its_own_no_other_is_made() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("service", &[READY]);
    let unit = format!("{image}-service");
    let nsrun = sandbox.command(&["boot", &image]);
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
    // It returns when the service has said that it is ready.
    run(command, patience(60)).success();
    let group = property(&unit, "ControlGroup");
    let tree = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
    let payload = tree.join(format!("nsrun-{image}.scope/payload"));
    let inside = payload.is_dir();
    let scope = property(&format!("nsrun-{image}.scope"), "ActiveState");
    host(&["systemctl", "stop", &unit]).success();
    assert!(inside, "{} is missing", payload.display());
    assert_ne!(scope, "active", "no other unit is made");
    assert_eq!(property(&unit, "Result"), "success");
}

#[test]
fn an_image_in_use_by_nspawn_is_refused() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let Some(nspawn) = nsrun::installed("systemd-nspawn") else {
        skip!("systemd-nspawn is not installed");
    };
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("shared", &[READY]);
    let mut command = nsrun::plain(nspawn);
    command.args(["--quiet", "--register=no", "--console=pipe", "-D"]);
    command.arg(sandbox.image_root().join(&image));
    command.args(["/sbin/init", "print", "up", ",", "sleep", "1000000"]);
    let mut other = Running::start(command);
    wait_until(patience(30), "nspawn runs the image", || {
        other.so_far().stdout.contains("up").then_some(())
    });
    let _ = sandbox
        .nsrun(&["boot", &image])
        .expect_status(4)
        .expect_stderr(&image);
    other.signal(rustix::process::Signal::TERM);
    let _ = other.finish(patience(20));
}

#[test]
fn an_image_in_use_by_nsrun_is_refused_by_nspawn() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    let Some(nspawn) = nsrun::installed("systemd-nspawn") else {
        skip!("systemd-nspawn is not installed");
    };
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("taken", &[READY]);
    let mut machine = sandbox.boot(&image).up();
    let mut command = nsrun::plain(nspawn);
    command.args(["--quiet", "--register=no", "--console=pipe", "-D"]);
    command
        .arg(sandbox.image_root().join(&image))
        .arg("/sbin/init");
    let done = run(command, patience(30));
    assert_ne!(done.status, 0);
    let done = done.expect_stderr("busy");
    assert!(!done.stderr.is_empty());
    let _ = machine.stop().success();
    assert_eq!(machine.finish(patience(20)), 0, "{}", machine.output());
}

#[test]
fn an_imported_image_is_one_that_machinectl_lists() {
    if !is_systemd() {
        skip!("PID 1 of this host is not systemd");
    }
    if nsrun::installed("machinectl").is_none() {
        skip!("machinectl is not installed");
    }
    let sandbox = Sandbox::new();
    let name = sandbox.name("listed");
    let archive = sandbox.dir().join("a.tar");
    fs::write(&archive, nsrun_tests::archive::Archive::image().end()).must("write an archive");
    let mut command = sandbox.command(&["import"]);
    command
        .env_remove("NSRUN_IMAGE_ROOT")
        .arg(&archive)
        .arg(&name);
    run(command, patience(30)).success();
    let list = host(&["machinectl", "--no-legend", "--no-pager", "list-images"]);
    nsrun_tests::sandbox::remove_tree(&Path::new("/var/lib/machines").join(&name));
    assert!(list.clone().success().stdout.contains(&name), "{list}");
}
