//! Namespaces, control groups, ids and capabilities.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nsrun_tests::facts::Facts;
use nsrun_tests::{Must, Sandbox};

use super::{PROBE, down, nixos, up};

#[test]
fn fact_11_the_control_group_is_delegated() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    for options in [&[][..], &["--private-users=no"]] {
        let machine = up(&sandbox, &image, options);
        let group = machine.output_of(&["cat", "/proc/1/cgroup"]);
        let v2 = group.lines().find(|line| line.starts_with("0::"));
        assert_eq!(v2, Some("0::/init.scope"), "{group}");
        let root = "/sys/fs/cgroup";
        for file in [
            "",
            "/cgroup.procs",
            "/cgroup.subtree_control",
            "/cgroup.threads",
        ] {
            let owner = machine.output_of(&["stat", "--format=%u", &format!("{root}{file}")]);
            assert_eq!(owner, "0", "{root}{file}");
        }
        // A service that divides its own group further.
        assert_eq!(
            machine.property("delegate.service", "ActiveState"),
            "active"
        );
        // What limits the container stays out of its hands.
        let write = "echo 1 >/sys/fs/cgroup/cgroup.freeze";
        if options.is_empty() {
            let done = machine.exec(&["sh", "-c", write]);
            assert_ne!(done.status, 0, "{done}");
        }
        down(machine);
    }
}

#[test]
fn fact_12_there_are_65536_ids_and_the_disk_has_them_unshifted() {
    let sandbox = Sandbox::new();
    let (image, tree) = nixos(&sandbox);
    let machine = up(&sandbox, &image, &[]);
    for map in ["uid_map", "gid_map"] {
        let map = machine.output_of(&["cat", &format!("/proc/1/{map}")]);
        let fields: Vec<u32> = map
            .split_whitespace()
            .map(|n| n.parse().must("read"))
            .collect();
        let [inside, base, count] = fields[..] else {
            panic!("{map}");
        };
        assert_eq!((inside, count, base % 65536), (0, 65536, 0));
        assert!((524_288..=1_878_982_656).contains(&base), "{base}");
    }
    assert_eq!(
        machine.property("dynamic-user.service", "ActiveState"),
        "active"
    );
    let user = machine.output_of(&["stat", "--format=%u", "/run/dynamic-user"]);
    let user: u32 = user.parse().must("read a user");
    assert!((61_184..=65_519).contains(&user), "{user}");
    let script = "cd /var && for id in 60 30000 65534; do touch of-$id; chown $id:$id of-$id; done";
    let _ = machine.exec(&["sh", "-ec", script]).success();
    for id in [60, 30000, 65534] {
        let file = fs::metadata(tree.join(format!("var/of-{id}"))).must("find the file");
        assert_eq!((file.uid(), file.gid()), (id, id));
    }
    let nginx = fs::metadata(tree.join("var/log/nginx")).must("find nginx's directory");
    assert_eq!(nginx.uid(), 60);
    // As a process it has the shifted id, and nobody of the host's.
    let shift = machine.status()["shift"].as_u64().must("find the shift");
    let leader = machine.status()["leader"]["pid"].to_string();
    let process = fs::metadata(format!("/proc/{leader}")).must("look at the leader");
    assert_eq!(u64::from(process.uid()), shift);
    down(machine);
}

#[test]
fn fact_13_the_image_names_itself_and_the_host_keeps_its_name() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    let host = || rustix::system::uname().nodename().to_owned();
    let before = host();
    let machine = up(&sandbox, &image, &["--hostname=given"]);
    assert_eq!(
        machine.output_of(&["cat", "/proc/sys/kernel/hostname"]),
        "nixos"
    );
    let _ = machine.exec(&["hostname", "renamed"]).success();
    assert_eq!(host(), before);
    down(machine);
    // Until it does, it has the name that it was given.
    let tiny = sandbox.tiny("named", &[]);
    let name = |options: &[&str]| {
        let args = [&["run"], options, &[&tiny, "--", PROBE, "facts"]].concat();
        let facts: Facts = sandbox.nsrun(&args).success().json();
        facts.host_name
    };
    assert_eq!(name(&["--hostname=given"]), "given");
    assert_eq!(name(&[]), tiny);
}

#[test]
fn fact_17_no_unit_fails_for_a_capability_too_many() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    for network in ["host", "private"] {
        let option = format!("--network={network}");
        let boot = sandbox.boot(&image).options(&[&option]);
        let mut machine = boot.start();
        // A network without anybody in it keeps NixOS waiting, not its other units.
        super::network::wait_for_web(&mut machine);
        let failed = [
            "systemctl",
            "list-units",
            "--failed",
            "--plain",
            "--no-legend",
        ];
        assert_eq!(machine.output_of(&failed), "", "{network}");
        let caps = machine.output_of(&["grep", "CapBnd", "/proc/1/status"]);
        let caps = caps.split_whitespace().nth(1).must("read capabilities");
        let caps = u64::from_str_radix(caps, 16).must("read capabilities");
        // By number: sys_module, sys_rawio, sys_time, mac_override, mac_admin, syslog,
        // wake_alarm, block_suspend, audit_read, bpf.
        for number in [16, 17, 25, 32, 33, 34, 35, 36, 37, 39] {
            assert_eq!(caps & (1 << number), 0, "capability {number}: {caps:x}");
        }
        let debug = machine.exec(&["ls", "-A", "/sys/kernel/debug", "/sys/kernel/tracing"]);
        assert!(!debug.stdout.contains("events"), "{debug}");
        assert_eq!(
            machine.property("sys-kernel-debug.mount", "ConditionResult"),
            "no"
        );
        down(machine);
    }
}
