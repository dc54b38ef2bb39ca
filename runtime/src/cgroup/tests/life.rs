//! Making and taking away.

use std::path::Path;
use std::time::Instant;

use super::scratch::{Process, name, own_path, soon};
use super::scratch_or_skip;
use crate::cgroup::{
    Host, Layout, MachineCgroup, Placement, Scope, ScopeOptions, controllers, sweep, sweep_own,
};
use crate::error::Kind;

#[test]
fn a_scope_has_an_empty_payload_within_limits() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let expected = scratch.path().join("machine.slice/nsrun-web.scope");
    assert_eq!(scope.path(), expected);
    let foretold = scratch
        .host("/")
        .scope_path(&name("web"), &ScopeOptions::default())
        .unwrap();
    assert_eq!(foretold, expected);
    assert!(!scope.populated().unwrap());
    assert!(scope.processes().unwrap().is_empty());
    let read = |file| std::fs::read_to_string(expected.join(file)).unwrap();
    assert_eq!(read("cgroup.max.depth"), "33\n");
    assert_eq!(read("cgroup.max.descendants"), "4096\n");
    scope.remove(soon()).unwrap();
    assert_eq!(scratch.children(), [""; 0]);
}

#[test]
fn controllers_of_the_top_reach_the_payload() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let mut available = scratch.dir().words("cgroup.controllers");
    available.retain(|c| ["cpu", "cpuset", "io", "memory", "hugetlb", "pids"].contains(&&**c));
    assert_eq!(scope.controllers(), available);
}

#[test]
fn the_slice_goes_with_its_last_machine() {
    let scratch = scratch_or_skip!();
    let (one, two) = (scratch.scope("one"), scratch.scope("two"));
    one.remove(soon()).unwrap();
    assert_eq!(scratch.children(), ["machine.slice"]);
    two.remove(soon()).unwrap();
    assert_eq!(scratch.children(), [""; 0]);
}

#[test]
fn dropping_a_scope_kills_and_removes() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let mut process = Process::asleep(&scope);
    drop(scope);
    process.wait();
    assert_eq!(scratch.children(), [""; 0]);
}

#[test]
fn removing_names_the_processes_that_remain() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let process = Process::asleep(&scope);
    let error = scope.remove(Instant::now()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    let expected = format!("processes still: {}", process.id());
    assert!(error.to_string().ends_with(&expected), "{error}");
}

#[test]
fn the_supervisor_moves_in_and_goes_home() {
    let scratch = scratch_or_skip!();
    let home = scratch.dir().make("home").unwrap();
    home.write("cgroup.procs", "0").unwrap();
    let mut scope = Scope::create(
        &name("web"),
        &scratch.host("/home"),
        &ScopeOptions::default(),
    )
    .unwrap();
    assert_eq!(own_path(), scratch.path().join("home"));
    scope.enter_supervisor().unwrap();
    scope.enter_supervisor().unwrap();
    assert_eq!(own_path(), scope.path().join("supervisor"));
    scope.remove(soon()).unwrap();
    assert_eq!(own_path(), scratch.path().join("home"));
    assert_eq!(scratch.children(), ["home"]);
}

#[test]
fn a_supervisor_whose_home_is_gone_goes_to_the_top() {
    let scratch = scratch_or_skip!();
    let home = scratch.dir().make("home").unwrap();
    home.write("cgroup.procs", "0").unwrap();
    let mut scope = Scope::create(
        &name("web"),
        &scratch.host("/home"),
        &ScopeOptions::default(),
    )
    .unwrap();
    scope.enter_supervisor().unwrap();
    scratch.dir().remove("home").unwrap();
    // Only the real top takes processes while it offers controllers.
    let slice = scratch.dir().child("machine.slice").unwrap();
    let dirs = [
        slice.child("nsrun-web.scope").unwrap(),
        slice,
        scratch.dir(),
    ];
    dirs.iter().for_each(controllers::disable);
    scope.remove(soon()).unwrap();
    assert_eq!(own_path(), scratch.path());
}

#[test]
fn in_a_delegated_unit_the_scope_is_below_it_and_the_supervisor_returns() {
    let scratch = scratch_or_skip!();
    let unit = scratch.dir().make("web.service").unwrap();
    unit.write("cgroup.procs", "0").unwrap();
    let host = Host {
        systemd: true,
        delegated: Some(scratch.path().join("web.service")),
        ..scratch.host("/web.service")
    };
    assert!(matches!(host.placement().unwrap(), Placement::Unit(_)));
    let scope = Scope::create(&name("web"), &host, &ScopeOptions::default()).unwrap();
    let expected = scratch.path().join("web.service/nsrun-web.scope");
    assert_eq!(scope.path(), expected);
    assert_eq!(own_path(), expected.join("supervisor"));
    scope.remove(soon()).unwrap();
    assert_eq!(own_path(), scratch.path().join("web.service"));
    assert!(unit.children().unwrap().is_empty());
}

#[test]
fn what_a_killed_supervisor_left_is_replaced_unless_it_lives() {
    let scratch = scratch_or_skip!();
    let slice = scratch.dir().make("machine.slice").unwrap();
    let left = slice.make("nsrun-web.scope").unwrap();
    left.make("payload").unwrap().make("system.slice").unwrap();
    scratch.scope("web").remove(soon()).unwrap();

    let scope = scratch.scope("web");
    let process = Process::asleep(&scope);
    let error =
        Scope::create(&name("web"), &scratch.host("/"), &ScopeOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(
        error.advice().is_some_and(|hint| hint == "nsrun stop web"),
        "{error}"
    );
    drop(process);
}

#[test]
fn another_process_finds_the_scope_by_its_path() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let found = MachineCgroup::open(scope.path()).unwrap().unwrap();
    let process = Process::asleep(&scope);
    assert!(found.populated().unwrap());
    let pids: Vec<i32> = found
        .processes()
        .unwrap()
        .iter()
        .map(|p| p.as_raw_pid())
        .collect();
    assert_eq!(pids, [process.id()]);
    drop(found);
    assert!(scope.populated().unwrap());
    let path = scope.path().to_owned();
    drop(scope);
    assert!(MachineCgroup::open(&path).unwrap().is_none());
}

#[test]
fn sweeping_ends_orphans_and_removes_all() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let mut process = Process::asleep(&scope);
    let path = scope.path().to_owned();
    let host = scratch.host("/");
    std::mem::forget(scope); // as a supervisor that was killed would
    sweep(&path, &host, soon()).unwrap();
    process.wait();
    assert_eq!(scratch.children(), [""; 0]);
    sweep(&path, &host, soon()).unwrap();
}

#[test]
fn sweeping_spares_a_supervisor_that_lives() {
    let scratch = scratch_or_skip!();
    let mut scope = scratch.scope("web");
    scope.enter_supervisor().unwrap();
    let error = sweep(scope.path(), &scratch.host("/"), Instant::now()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(
        error.to_string().ends_with("its supervisor is alive"),
        "{error}"
    );
}

#[test]
fn a_scope_of_systemds_is_done_with_when_only_its_supervisor_is_in_it() {
    let scratch = scratch_or_skip!();
    let mut scope = scratch.scope("web");
    scope.enter_supervisor().unwrap();
    let mut process = Process::asleep(&scope);
    let systemd = Host {
        systemd: true,
        ..scratch.host("/")
    };
    sweep_own(scope.path(), &systemd, soon()).unwrap();
    process.wait();
    assert!(!scope.path().join("payload").exists());
    assert_eq!(own_path(), scope.path().join("supervisor"));

    let other = Process::asleep_in(&scope.path().join("supervisor"));
    let error = sweep_own(scope.path(), &systemd, Instant::now()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    drop(other);
    // Nobody removes one that nsrun made.
    let error = sweep_own(scope.path(), &scratch.host("/"), Instant::now()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
}

#[test]
fn sweeping_touches_scopes_only() {
    let host = Host {
        layout: Layout::Absent,
        own: "/".into(),
        delegated: None,
        systemd: false,
    };
    for path in [
        "/",
        "/sys/fs/cgroup/machine.slice",
        "/x/nsrun-.scope",
        "/x/nsrun-a.scope/..",
    ] {
        for sweep in [sweep, sweep_own] {
            let error = sweep(Path::new(path), &host, soon()).unwrap_err();
            assert_eq!(error.kind(), Kind::BadInput, "{path}");
        }
    }
}
