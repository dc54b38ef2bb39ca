//! What happens to the payload and below.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use rustix::io::Errno;

use super::scratch::{Process, soon};
use super::scratch_or_skip;
use crate::cgroup::tree;
use crate::device_policy::{DevicePolicy, Rule};
use crate::error::Kind;

#[test]
fn the_payload_owns_what_it_makes_cgroups_with_and_no_limit() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    scope.delegate(700_000, 700_001).unwrap();
    let payload = scope.path().join("payload");
    let owner = |file: &str| {
        let meta = std::fs::metadata(payload.join(file)).unwrap();
        (meta.uid(), meta.gid())
    };
    for file in [
        ".",
        "cgroup.procs",
        "cgroup.threads",
        "cgroup.subtree_control",
        "cgroup.stat",
    ] {
        assert_eq!(owner(file), (700_000, 700_001), "{file}");
    }
    for file in [
        "cgroup.freeze",
        "cgroup.kill",
        "cgroup.max.depth",
        "cgroup.type",
        "..",
    ] {
        assert_eq!(owner(file), (0, 0), "{file}");
    }
}

#[test]
fn devices_off_the_list_are_refused_in_the_payload_and_below() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    scope.restrict_devices(&DevicePolicy::closed()).unwrap();
    let leaf = scope.exec_leaf(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "cd '{}'; try() {{ \"$@\" 2>/dev/null && echo \"$* ok\" || echo \"$* no\"; }};
         try mknod null c 1 3; try mknod disk b 8 0; try mknod kmsg c 1 11; try mknod gap b 0 0;
         try mknod pts c 136 0; try mkfifo fifo;
         try head -c1 /dev/zero | tr '\\0' 0; echo; try head -c1 /dev/kmsg",
        dir.path().display()
    );
    for payload in ["payload", "payload/nsrun-exec-1"] {
        let seen = Process::shell(&scope.path().join(payload), &script).output();
        let expected = "mknod null c 1 3 ok\nmknod disk b 8 0 no\nmknod kmsg c 1 11 no\n\
                        mknod gap b 0 0 ok\nmknod pts c 136 0 no\nmkfifo fifo ok\n\
                        0head -c1 /dev/zero ok\n\nhead -c1 /dev/kmsg no\n";
        assert_eq!(seen, expected, "{payload}");
        for made in ["null", "gap", "fifo"] {
            std::fs::remove_file(dir.path().join(made)).unwrap();
        }
    }
    drop(leaf);
}

#[test]
fn a_rule_opens_a_device_and_programs_add_up_by_and() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "mknod '{}/tun' c 10 200 2>/dev/null; echo $?",
        dir.path().display()
    );
    let with_tun = DevicePolicy::closed().and(Rule::TUN);
    scope.restrict_devices(&with_tun).unwrap();
    let payload = scope.path().join("payload");
    assert_eq!(Process::shell(&payload, &script).output(), "0\n");
    std::fs::remove_file(dir.path().join("tun")).unwrap();
    scope.restrict_devices(&DevicePolicy::closed()).unwrap();
    assert_eq!(Process::shell(&payload, &script).output(), "1\n");
}

#[test]
fn killing_reaches_every_depth_and_the_wait_ends() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let payload = scope.path().join("payload");
    let deep = payload.join("a.slice/b.service");
    std::fs::create_dir_all(&deep).unwrap();
    let mut processes = [Process::asleep(&scope), Process::asleep_in(&deep)];
    assert!(!scope.wait_empty(Instant::now()).unwrap());
    assert_eq!(scope.processes().unwrap().len(), 2);
    scope.kill().unwrap();
    assert!(scope.wait_empty(soon()).unwrap());
    for process in &mut processes {
        process.wait();
    }
    scope.remove(soon()).unwrap();
}

#[test]
fn killing_one_by_one_does_too_and_leaves_nothing_frozen() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let payload = scope.path().join("payload");
    std::fs::create_dir(payload.join("a")).unwrap();
    let mut forking = Process::shell(&payload.join("a"), "while :; do /bin/true; done");
    let mut asleep = Process::asleep(&scope);
    let dir = crate::cgroup::dir::Dir::open(&payload).unwrap();
    tree::kill_one_by_one(&dir).unwrap();
    assert!(scope.wait_empty(soon()).unwrap());
    forking.wait();
    asleep.wait();
    assert!(!scope.frozen().unwrap());
}

#[test]
fn removal_copes_with_names_that_are_not_text() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let odd = scope
        .path()
        .join("payload")
        .join(OsStr::from_bytes(b"\xff \\x"));
    std::fs::create_dir_all(odd.join("below")).unwrap();
    scope.remove(soon()).unwrap();
    assert_eq!(scratch.children(), [""; 0]);
}

#[test]
fn removal_copes_with_a_storm_of_new_cgroups() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    // Outside, so that only what it makes is in the payload.
    let script = format!(
        "cd '{}/payload' && i=0; while mkdir -p $i/x; do i=$((i+1)); [ $i -lt 300 ] || exit; done",
        scope.path().display()
    );
    let _storm = Process::shell(scratch.path(), &script);
    scope.remove(soon()).unwrap();
}

#[test]
fn depth_and_number_of_cgroups_are_bounded() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let mut path = scope.path().join("payload");
    let mut depth = 0;
    let error = loop {
        path.push("d");
        match std::fs::create_dir(&path) {
            Ok(()) => depth += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    assert_eq!(depth, 32);
    scope.remove(soon()).unwrap();
}

#[test]
fn threaded_cgroups_do_not_hide_their_processes() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let payload = scope.path().join("payload");
    let threaded = payload.join("a/threaded");
    std::fs::create_dir_all(&threaded).unwrap();
    std::fs::write(threaded.join("cgroup.type"), "threaded").unwrap();
    let process = Process::asleep_in(&payload.join("a"));
    std::fs::write(threaded.join("cgroup.threads"), process.id().to_string()).unwrap();
    let pids: Vec<i32> = scope
        .processes()
        .unwrap()
        .iter()
        .map(|p| p.as_raw_pid())
        .collect();
    assert_eq!(pids, [process.id()]);
}

#[test]
fn freezing_stops_and_thawing_goes_on() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let mut process = Process::asleep(&scope);
    assert!(scope.freeze(soon()).unwrap());
    assert!(scope.frozen().unwrap());
    scope.thaw().unwrap();
    assert!(!process.has_ended());
    scope.freeze(soon()).unwrap();
    scope.kill().unwrap();
    assert!(scope.wait_empty(soon()).unwrap());
    process.wait();
}

#[test]
fn a_new_payload_takes_the_place_of_the_old() {
    let scratch = scratch_or_skip!();
    let mut scope = scratch.scope("web");
    std::fs::create_dir(scope.path().join("payload/init.scope")).unwrap();
    let process = Process::asleep(&scope);
    let error = scope.renew_payload(Instant::now()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    drop(process);
    scope.renew_payload(soon()).unwrap();
    assert!(!scope.path().join("payload/init.scope").exists());
    let _process = Process::asleep(&scope);
    assert!(scope.populated().unwrap());
}

#[test]
fn a_leaf_goes_with_its_command() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let path = scope.path().join("payload/nsrun-exec-7");
    let leaf = scope.exec_leaf(7).unwrap();
    assert!(path.is_dir());
    let mut process = Process::asleep_in(&path);
    assert!(scope.populated().unwrap());
    drop(leaf);
    assert!(path.is_dir(), "a process remains");
    let error = scope.exec_leaf(7).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&Errno::BUSY.to_string().to_lowercase()[..4]),
        "{error}"
    );
    scope.kill().unwrap();
    process.wait();
    assert!(scope.wait_empty(soon()).unwrap());
    drop(scope.exec_leaf(7).unwrap());
    assert!(!path.exists());
}

#[test]
fn the_use_of_processor_time_is_counted() {
    let scratch = scratch_or_skip!();
    let scope = scratch.scope("web");
    let payload = scope.path().join("payload");
    let mut busy = Process::shell(&payload, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    busy.wait();
    let stats = scope.stats();
    assert!(stats.cpu_usec.is_some_and(|usec| usec > 0), "{stats:?}");
    let counted = |name: &str| scope.controllers().iter().any(|c| c == name);
    assert_eq!(stats.memory_bytes.is_some(), counted("memory"));
    assert_eq!(stats.tasks.is_some(), counted("pids"));
}
