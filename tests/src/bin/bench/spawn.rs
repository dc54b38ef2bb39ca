//! A whole command, from its start to its end, of a static program that only ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nsrun_tests::image::copy_tree;
use nsrun_tests::{Must, nsrun};
use serde_json::json;

use crate::host::{Host, peer};
use crate::report::{Race, Report};

const TRUE: &str = "/usr/local/bin/true-static";

pub(crate) fn measure(host: &Host, rounds: usize, report: &mut Report) {
    let image = host.sandbox.install("spawn", &["trixie"]);
    let tree = host.open_dir.join("tree");
    copy_tree(&["trixie"], &tree);
    let bundle = bundle(host, &tree);
    let bwrap = peer("bwrap");
    let crun = peer("crun");
    let nspawn = peer("systemd-nspawn");
    let mut race = Race::new("static true in a trixie tree");
    for round in 0..rounds {
        let network = "--network=private";
        let mut ours = host.sandbox.command(&["run", network, &image, "--", TRUE]);
        race.add("nsrun", host.cost(&mut ours).wall);
        if let Some(program) = &bwrap {
            race.add("bwrap", host.cost(&mut bubblewrap(program, &tree)).wall);
        }
        if let Some(program) = &crun {
            let name = format!("bench{round}");
            let mut command = nsrun::plain(program);
            command.args(["run", "--bundle"]).arg(&bundle).arg(name);
            race.add("crun", host.cost(&mut command).wall);
        }
        if let Some(program) = &nspawn {
            let mut command = nsrun::plain(program);
            command.args(["--quiet", "-U", "--private-network", "--register=no"]);
            command.args(["--keep-unit", "--console=pipe", "-D"]);
            command.arg(&tree).arg(TRUE);
            race.add("systemd-nspawn", host.cost(&mut command).wall);
        }
    }
    report.race(&race);
    report.target(&race, "bwrap", 1.0, Duration::ZERO);
    report.target(&race, "crun", 1.0, Duration::ZERO);
    report.target(&race, "systemd-nspawn", 0.1, Duration::ZERO);
}

fn bubblewrap(program: &Path, tree: &Path) -> Command {
    let mut command = nsrun::plain(program);
    command.args(["--unshare-all", "--bind"]).arg(tree).arg("/");
    command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run", TRUE]);
    command
}

/// An OCI bundle with the namespaces and mounts that nsrun makes.
fn bundle(host: &Host, tree: &Path) -> PathBuf {
    let bundle = host.sandbox.dir().join("bundle");
    fs::create_dir(&bundle).must("make a bundle");
    let mount = |kind: &str, to: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": kind, "options": options});
    let map = json!([{"containerID": 0, "hostID": 524_288, "size": 65536}]);
    let kinds = ["user", "mount", "pid", "ipc", "uts", "cgroup", "network"];
    let namespaces = kinds.map(|kind| json!({"type": kind}));
    let config = json!({
        "ociVersion": "1.0.0",
        "process": {"cwd": "/", "args": [TRUE], "user": {"uid": 0, "gid": 0}, "env": []},
        "root": {"path": tree},
        "mounts": [
            mount("proc", "/proc", &[]),
            mount("tmpfs", "/dev", &["nosuid", "mode=755"]),
            mount("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666"]),
            mount("tmpfs", "/dev/shm", &["nosuid", "nodev", "mode=1777"]),
            mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
            mount("sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
            mount("cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev"]),
            mount("tmpfs", "/run", &["nosuid", "nodev", "mode=755"]),
            mount("tmpfs", "/tmp", &["nosuid", "nodev", "mode=1777"]),
        ],
        "linux": {
            "uidMappings": map, "gidMappings": map,
            "namespaces": namespaces,
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"],
        },
    });
    fs::write(bundle.join("config.json"), config.to_string()).must("write a bundle");
    bundle
}
