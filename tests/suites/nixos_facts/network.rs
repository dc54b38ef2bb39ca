//! The network as the image finds it, and the names that it gets from the host.

use std::fs;
use std::io::Write;

use nsrun_tests::done::run;
use nsrun_tests::facts::Facts;
use nsrun_tests::sandbox::ip;
use nsrun_tests::{Machine, Must, Sandbox, patience, wait_until};
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::{down, nixos, up};

/// Waits until the web server of the image answers inside, which it does long before the
/// boot is over if something waits for a network.
pub(super) fn wait_for_web(machine: &mut Machine<'_>) {
    wait_until(patience(60), "the web server answers", || {
        let curl = ["curl", "--silent", "--max-time", "2", "127.0.0.1:8888"];
        let done = machine.exec(&curl);
        done.stdout.contains("hello").then_some(())
    });
}

#[test]
fn fact_14_the_link_has_carrier_and_a_name_that_dhcp_clients_take() {
    let sandbox = Sandbox::new();
    let (image, _) = nixos(&sandbox);
    let mut machine = sandbox.boot(&image).options(&["--network=veth"]).start();
    wait_for_web(&mut machine);
    let carrier = machine.output_of(&["cat", "/sys/class/net/host0/carrier"]);
    assert_eq!(carrier, "1", "the host's end is up");
    let known = machine.status();
    let link = known["interface"].as_str().must("find the link");
    assert!(link.starts_with("ve-") && link.len() < 16, "{link}");
    let shown = run(ip(&["-o", "link", "show", "dev", link]), patience(20)).success();
    assert!(shown.stdout.contains("LOWER_UP"), "{shown}");
    // Both ends have an address before anybody has asked for one.
    let address = known["addresses"][0].as_str().must("find its address");
    let inside = machine.output_of(&["ip", "-o", "-4", "address", "show", "dev", "host0"]);
    assert!(inside.contains(&format!("inet {address}/")), "{inside}");
    let ours = run(ip(&["route", "get", address]), patience(20)).success();
    assert!(ours.stdout.contains(&format!("dev {link}")), "{ours}");
    // It may configure its own network, and a client of its own does.
    let condition = machine.property("dhcpcd.service", "ConditionResult");
    assert_eq!(condition, "yes");
    machine.wait_ready();
    machine.assert_running();
    down(machine);
    // On the host's network it may not.
    let machine = up(&sandbox, &image, &[]);
    let condition = machine.property("dhcpcd.service", "ConditionResult");
    assert_eq!(condition, "no");
    let done = machine.exec(&["ip", "link", "set", "lo", "down"]);
    let _ = done.expect_status(2).expect_stderr("not permitted");
    down(machine);
}

#[test]
fn fact_15_the_name_servers_are_the_hosts_on_its_network_and_nobodys_on_another() {
    let sandbox = Sandbox::new();
    let (image, tree) = nixos(&sandbox);
    let servers = tree.join("etc/resolv.conf");
    assert!(!servers.exists());
    // On a network of its own: none, and no file that somebody else would have to own.
    let tiny = sandbox.tiny("private", &[]);
    let done = sandbox.nsrun(&["run", &tiny, "--", super::PROBE, "facts"]);
    let facts: Facts = done.success().json();
    assert!(facts.mount("/etc/resolv.conf").is_none());
    assert!(
        !sandbox
            .image_root()
            .join(&tiny)
            .join("etc/resolv.conf")
            .exists()
    );
    // On the host's: what the image's own resolvconf makes of the host's file.
    let mut file = tempfile::NamedTempFile::new_in(sandbox.dir()).must("make a file");
    writeln!(file, "nameserver 192.0.2.53").must("write name servers");
    mount_bind(file.path(), "/etc/resolv.conf").must("replace the host's name servers");
    let machine = up(&sandbox, &image, &[]);
    let used = machine.output_of(&["cat", "/etc/resolv.conf"]);
    unmount("/etc/resolv.conf", UnmountFlags::DETACH).must("put the host's back");
    assert!(used.contains("nameserver 192.0.2.53"), "{used}");
    let mounted = machine.exec(&["findmnt", "/etc/resolv.conf"]);
    assert_eq!(mounted.status, 1, "{mounted}");
    let copy = fs::symlink_metadata(&servers).must("find the image's file");
    assert!(copy.is_file());
    down(machine);
    // Off is off.
    fs::remove_file(&servers).must("remove it");
    let machine = up(&sandbox, &image, &["--resolv-conf=off"]);
    machine.assert_running();
    assert!(
        !machine
            .exec(&["cat", "/etc/resolv.conf"])
            .stdout
            .contains("nameserver")
    );
    down(machine);
}
