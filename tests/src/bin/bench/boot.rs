//! From the start of the command to the system's own message that it is up.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nsrun_tests::{Console, Notify, nsrun, patience};
use rustix::process::Signal;

use crate::host::{Host, peer};
use crate::report::{Race, Report};

pub(crate) fn measure(host: &Host, rounds: usize, report: &mut Report) {
    let rounds = rounds.div_ceil(4);
    let program = peer("systemd-nspawn");
    // The demo's DHCP client finds no server on a link of its own, and would be what is measured.
    for (image, network) in [("trixie", "veth"), ("demo", "host")] {
        let name = host.sandbox.install(image, &[image]);
        let mut race = Race::new(&format!("boot of {image} to READY=1, network {network}"));
        for round in 0..=rounds {
            let network = format!("--network={network}");
            let ours = host.sandbox.command(&["boot", &network, &name]);
            let time = until_ready(host, ours);
            let theirs = program.as_deref().map(|program| {
                let tree = host.sandbox.image_root().join(&name);
                until_ready(host, nspawn(program, &tree, &network))
            });
            // The first boots of a tree write its machine id and caches.
            if round > 0 {
                race.add("nsrun", time);
                if let Some(time) = theirs {
                    race.add("systemd-nspawn", time);
                }
            }
        }
        report.race(&race);
        report.target(&race, "systemd-nspawn", 1.0, Duration::from_millis(30));
    }
}

fn nspawn(program: &Path, tree: &Path, network: &str) -> Command {
    let mut command = nsrun::plain(program);
    command.args([
        "--quiet",
        "-b",
        "-U",
        "--register=no",
        "--keep-unit",
        "--notify-ready=yes",
    ]);
    if network == "--network=veth" {
        command.arg("--network-veth");
    }
    command.arg("-D").arg(tree);
    command
}

/// Boots on a terminal, takes the time, and stops.
fn until_ready(host: &Host, mut command: Command) -> Duration {
    host.fresh_cgroup();
    let socket = host.sandbox.dir().join("ready");
    let _ = fs::remove_file(&socket);
    let mut notify = Notify::bind(&socket);
    command
        .env("NOTIFY_SOCKET", notify.path())
        .env("TERM", "dumb");
    let start = Instant::now();
    let mut console = Console::start(&command);
    let came = notify.wait_for("READY=1", patience(90), || console.try_status().is_some());
    let time = start.elapsed();
    assert!(came, "{command:?} is not ready:\n{}", console.text());
    console.signal(Signal::TERM);
    let _ = console.wait(patience(90));
    time
}
