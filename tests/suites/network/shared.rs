//! Bridges, and machines that reach each other.

use nsrun_tests::done::run;
use nsrun_tests::nsrun::plain;
use nsrun_tests::sandbox::ip;
use nsrun_tests::{Machine, Must, Sandbox, patience, wait_until};

use super::inside::{addresses, host, inside, reaches};

fn is_there(link: &str) -> bool {
    run(ip(&["link", "show", "dev", link]), patience(20)).status == 0
}

fn bare(address: &str) -> &str {
    address.split('/').next().unwrap_or(address)
}

fn up<'a>(sandbox: &'a Sandbox, name: &str, options: &[&str]) -> Machine<'a> {
    let image = sandbox.tiny(name, &["notify READY=1"]);
    sandbox.boot(&image).options(options).up()
}

#[test]
fn machines_of_a_zone_reach_each_other_and_the_last_takes_it_away() {
    let sandbox = Sandbox::new();
    let zone = ["--network-zone=lan"];
    let machines = ["one", "two", "three"].map(|name| up(&sandbox, name, &zone));
    let all: Vec<Vec<String>> = machines.iter().map(|m| addresses(m, "host0")).collect();
    assert!(host("-o link show master vz-lan").lines().count() == 3);
    for machine in &machines {
        for address in all.iter().flatten() {
            assert!(
                reaches(machine, bare(address)),
                "{} {address}",
                machine.name()
            );
        }
    }
    for machine in machines {
        assert!(is_there("vz-lan"));
        machine.stop().success();
        drop(machine);
    }
    assert!(!is_there("vz-lan"));
    sandbox.assert_clean();
}

#[test]
fn a_zone_survives_each_of_its_supervisors() {
    let sandbox = Sandbox::new();
    let zone = ["--network-zone=lan"];
    let mut machines = vec![up(&sandbox, "one", &zone), up(&sandbox, "two", &zone)];
    let kept = addresses(&machines[1], "host0");
    machines[0].signal(rustix::process::Signal::KILL);
    let _ = machines[0].finish(patience(20));
    assert_eq!(addresses(&machines[1], "host0"), kept);
    let third = up(&sandbox, "three", &zone);
    assert!(reaches(&third, bare(&kept[0])));
    third.stop().success();
    drop(third);
    machines[1].signal(rustix::process::Signal::KILL);
    let _ = machines[1].finish(patience(20));
    drop(machines);
    // The next start clears up, the bridge too.
    let last = up(&sandbox, "four", &[]);
    assert!(!is_there("vz-lan"));
    last.stop().success();
    drop(last);
    sandbox.assert_clean();
}

#[test]
fn a_bridge_of_the_host_stays_and_must_be_there() {
    let sandbox = Sandbox::new();
    let image = sandbox.tiny("port", &["notify READY=1"]);
    let bridge = [
        "--network-bridge=br-test",
        "--ip=10.80.0.2/24",
        "--gateway=10.80.0.1",
    ];
    let done = sandbox.nsrun(&["boot", bridge[0], &image]).expect_status(3);
    let _ = done
        .expect_stderr("br-test")
        .expect_stderr("no such device");
    host("link add br-test type bridge");
    host("address add 10.80.0.1/24 dev br-test");
    host("link set br-test up");
    let machine = sandbox.boot(&image).options(&bridge).up();
    assert!(reaches(&machine, "10.80.0.1"));
    let port = machine.status()["interface"].to_string();
    assert!(port.starts_with("\"vb-"), "{port}");
    machine.stop().success();
    drop(machine);
    assert!(is_there("br-test"));
    host("link del br-test");
    sandbox.assert_clean();
}

#[test]
fn machines_of_a_vlan_reach_each_other_by_their_numbers_and_nobody_else() {
    let sandbox = Sandbox::new();
    let one = up(&sandbox, "one", &["--network=private", "--vlan=7:1"]);
    let two = up(
        &sandbox,
        "two",
        &["--network=private", "--vlan=7:2", "--vlan=8:2"],
    );
    let far = up(&sandbox, "far", &["--network=private", "--vlan=8:3"]);
    assert_eq!(
        addresses(&one, "eth1"),
        ["192.168.7.1/24", "2001:db8:7::1/64"]
    );
    assert!(reaches(&one, "192.168.7.2") && reaches(&one, "2001:db8:7::2"));
    assert!(reaches(&far, "192.168.8.2"));
    assert!(!reaches(&one, "192.168.8.3"));
    for machine in [one, two, far] {
        machine.stop().success();
        drop(machine);
    }
    assert!(!is_there("nsrun-vlan7") && !is_there("nsrun-vlan8"));
    sandbox.assert_clean();
}

/// Tells the neighbour of the second argument that the Ethernet address of the third has the
/// address of the first.
const CLAIM: &str = "import socket,sys\nlink=socket.if_nametoindex('host0')\naddress=lambda text: socket.inet_pton(socket.AF_INET6,text)\nmac=bytes.fromhex(sys.argv[3].replace(':',''))\ns=socket.socket(socket.AF_INET6,socket.SOCK_RAW,58)\ns.setsockopt(41,16,255)\ns.sendto(bytes([136,0,0,0,0xa0,0,0,0])+address(sys.argv[1])+bytes([2,1])+mac,(sys.argv[2],0,0,link))";

#[test]
fn nobody_in_a_zone_speaks_by_the_routers_own_address() {
    let sandbox = Sandbox::new();
    let lan = ["--network-zone=lan"];
    let (one, two) = (up(&sandbox, "one", &lan), up(&sandbox, "two", &lan));
    let local = |machine: &Machine<'_>| {
        let words = "ip -6 -o address show dev host0 scope link -tentative";
        let address = || {
            let lines = inside(machine, words).success().stdout;
            let address = lines.split_ascii_whitespace().nth(3)?;
            Some(bare(address).to_owned())
        };
        wait_until(patience(20), "its address is known to be free", address)
    };
    let (first, second) = (local(&one), local(&two));
    let shown = host("-6 -o address show dev vz-lan scope link");
    let router = bare(
        shown
            .split_ascii_whitespace()
            .nth(3)
            .must("find an address"),
    );
    let learned = || {
        let lines = inside(&one, "ip -6 neigh show dev host0").success().stdout;
        let line = lines.lines().find(|line| line.starts_with(router))?;
        let (_, address) = line.split_once("lladdr ")?;
        Some(address.split(' ').next().unwrap_or_default().to_owned())
    };
    let before = wait_until(patience(20), "the router is known", learned);
    let leader = two.status()["leader"]["pid"].to_string();
    let mut command = plain("/usr/bin/nsenter");
    command.arg(format!("--net=/proc/{leader}/ns/net"));
    command.args([
        "/usr/bin/python3",
        "-c",
        CLAIM,
        router,
        &first,
        "02:00:00:00:00:09",
    ]);
    run(command, patience(20)).success();
    // What was sent before has arrived by then.
    let ping = format!("ping -c1 -W3 -I {second}%host0 {first}%host0");
    let _ = inside(&two, &ping).success();
    assert_eq!(learned().as_ref(), Some(&before));
    one.stop().success();
    two.stop().success();
    drop((one, two));
    sandbox.assert_clean();
}
