//! On a host whose init is systemd, with its real units: as root from a session, and once
//! more with `systemd-run --scope -p Delegate=yes`.

use std::process::Command;
use std::time::Instant;

use super::scratch::{Process, name, own_path, soon};
use crate::cgroup::{Host, Placement, Scope, ScopeOptions, Stats};
use crate::device_policy::DevicePolicy;

fn threads() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("Threads:"));
    line.unwrap().to_owned()
}

/// The unit that systemd sees this process in.
fn unit() -> String {
    let mut command = Command::new("systemctl");
    let id = std::process::id().to_string();
    let output = command.args(["whoami", &id]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_machine_is_within_a_unit_with_controllers_and_limits() {
    let host = Host::probe().unwrap();
    if !host.systemd || !rustix::process::geteuid().is_root() {
        eprintln!("SKIP: not root on a systemd host");
        return;
    }
    let before = (threads(), own_path(), unit());
    let machine = format!("unit-test-{}", std::process::id());
    let foretold = host
        .scope_path(&name(&machine), &ScopeOptions::default())
        .unwrap();
    let scope = Scope::create(&name(&machine), &host, &ScopeOptions::default()).unwrap();
    assert_eq!(scope.path(), foretold);
    assert_eq!(threads(), before.0);
    assert_eq!(own_path(), scope.path().join("supervisor"));
    for controller in ["cpu", "io", "memory", "pids"] {
        assert!(
            scope.controllers().iter().any(|c| c == controller),
            "{controller}"
        );
    }
    scope.delegate(700_000, 700_000).unwrap();
    scope.restrict_devices(&DevicePolicy::closed()).unwrap();

    match host.placement().unwrap() {
        Placement::Unit(path) => {
            assert_eq!(unit(), before.2);
            assert!(scope.path().starts_with(path));
        }
        Placement::Transient(_) => {
            assert_eq!(unit(), format!("nsrun-{machine}.scope"));
            let slice = scope.path().parent().unwrap();
            assert!(slice.ends_with("machine.slice"));
            let max = std::fs::read_to_string(scope.path().join("pids.max")).unwrap();
            assert_eq!(max, "16384\n");
        }
        place @ Placement::Top(_) => panic!("{place:?} is outside of any unit"),
    }

    let mut process = Process::shell(
        &scope.path().join("payload"),
        "x=$(seq 99999); while :; do :; done",
    );
    let deadline = soon();
    let counted = |stats: Stats| stats.tasks == Some(1) && stats.memory_bytes > Some(0);
    while !counted(scope.stats()) {
        assert!(Instant::now() < deadline, "{:?}", scope.stats());
        std::thread::yield_now();
    }
    scope.kill().unwrap();
    assert!(scope.wait_empty(soon()).unwrap());
    process.wait();
    let (path, unit_placed) = (scope.path().to_owned(), host.delegated.is_some());
    scope.remove(soon()).unwrap();
    if unit_placed {
        assert_eq!(own_path(), before.1);
        assert!(!path.exists());
    } else {
        assert!(!path.join("payload").exists());
    }
}
