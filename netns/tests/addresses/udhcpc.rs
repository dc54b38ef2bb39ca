//! busybox's client, the smallest that people use.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nsrun_netns::MacAddr;
use nsrun_netns::dhcp::{Offer, Server};

use crate::peer::{CLIENT, Pair, Running, Serving, read, wait_until};

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 17);

pub fn offer() -> Offer {
    Offer {
        router: Some(HOST),
        dns: vec![HOST, Ipv4Addr::new(192, 0, 2, 53)],
        domain: Some("nsrun".to_owned()),
        search: vec!["nsrun".to_owned(), "lan.example".to_owned()],
        host_name: Some("web".to_owned()),
        mtu: Some(1400),
        ntp: vec![HOST],
        timezone: Some("Europe/Berlin".to_owned()),
        ..Offer::new("192.168.7.18/28".parse().unwrap(), HOST)
    }
}

pub fn serve(pair: &Pair, offer: Offer) -> Serving {
    let index = pair.index;
    pair.serve(move || {
        let server = Server::open(index, MacAddr::from(CLIENT), offer).unwrap();
        server.run()
    })
}

/// busybox's client, with a script that notes each event and does as it is told.
pub struct Udhcpc<'a> {
    pair: &'a Pair,
    events: PathBuf,
    program: Running,
}

impl<'a> Udhcpc<'a> {
    pub fn start(pair: &'a Pair, args: &[&str]) -> Self {
        const SCRIPT: &str = r#"#!/bin/sh -e
            case $1 in
                deconfig) ip -4 address flush dev $interface ;;
                bound|renew)
                    ip address replace $ip/$mask dev $interface
                    ip route replace default via $router ;;
            esac
            { env; echo "event=$1"; } >>events
        "#;
        let script = pair.path("script");
        fs::write(&script, SCRIPT).unwrap();
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let script = script.to_str().unwrap();
        let fixed = ["udhcpc", "-f", "-i", "host0", "-s", script, "-T", "1"];
        Self {
            pair,
            events: pair.path("events"),
            program: pair.start("busybox", &[&fixed, args].concat()),
        }
    }

    fn events(&self, event: &str) -> usize {
        let line = format!("event={event}");
        read(&self.events).lines().filter(|l| **l == line).count()
    }

    pub fn wait_for(&self, event: &str, count: usize) {
        wait_until(&format!("udhcpc is {event}: {}", self.pair.log()), || {
            self.events(event) >= count
        });
    }

    /// The last value of one of the script's variables.
    fn told(&self, name: &str) -> Option<String> {
        let text = read(&self.events);
        let values = text.lines().filter_map(|l| l.split_once('='));
        let mut values = values.filter(|(key, _)| *key == name);
        values.next_back().map(|(_, value)| value.to_owned())
    }

    fn signal(&self, signal: Signal) {
        kill(self.program.id(), signal).unwrap();
    }
}

pub fn host_is_reached(pair: &Pair) {
    pair.client.shell("busybox ping -c 1 -W 20 192.168.7.17");
    let route = pair.client.shell("ip route get 203.0.113.1");
    assert!(route.contains("via 192.168.7.17"), "{route}");
}

#[test]
fn udhcpc_is_told_all_that_it_asks_for() {
    let pair = Pair::without_client_address();
    let _server = serve(&pair, offer());
    let wanted = ["search", "mtu", "ntpsrv", "tzdbstr", "broadcast"];
    let args = wanted.map(|option| ["-O", option]).concat();
    let client = Udhcpc::start(&pair, &args);
    client.wait_for("bound", 1);
    for (name, value) in [
        ("ip", "192.168.7.18"),
        ("mask", "28"),
        ("router", "192.168.7.17"),
        ("dns", "192.168.7.17 192.0.2.53"),
        ("domain", "nsrun"),
        ("search", "nsrun lan.example"),
        ("hostname", "web"),
        ("mtu", "1400"),
        ("ntpsrv", "192.168.7.17"),
        ("tzdbstr", "Europe/Berlin"),
        ("broadcast", "192.168.7.31"),
        ("lease", "3600"),
        ("serverid", "192.168.7.17"),
    ] {
        assert_eq!(client.told(name).as_deref(), Some(value), "{name}");
    }
    host_is_reached(&pair);
}

#[test]
fn udhcpc_renews_releases_and_asks_again() {
    let pair = Pair::without_client_address();
    let _server = serve(&pair, offer());
    let client = Udhcpc::start(&pair, &[]);
    client.wait_for("bound", 1);
    client.signal(Signal::SIGUSR1);
    client.wait_for("renew", 1);
    host_is_reached(&pair);

    client.signal(Signal::SIGUSR2);
    client.wait_for("deconfig", 2);
    assert_eq!(pair.client.shell("ip -4 address show dev host0"), "");
    client.signal(Signal::SIGUSR1);
    client.wait_for("bound", 2);
    host_is_reached(&pair);
}

#[test]
fn a_client_that_would_like_another_address_gets_its_own() {
    let pair = Pair::without_client_address();
    let _server = serve(&pair, offer());
    let client = Udhcpc::start(&pair, &["-r", "10.0.0.7"]);
    client.wait_for("bound", 1);
    assert_eq!(client.told("ip").as_deref(), Some("192.168.7.18"));
}

#[test]
fn a_client_that_asks_for_broadcasts_gets_its_address() {
    let pair = Pair::without_client_address();
    let _server = serve(&pair, offer());
    Udhcpc::start(&pair, &["-B"]).wait_for("bound", 1);
    host_is_reached(&pair);
}

#[test]
fn a_stranger_on_the_link_gets_nothing() {
    let pair = Pair::without_client_address();
    let _server = serve(&pair, offer());
    pair.client
        .shell("ip link set host0 address 02:00:00:00:00:03");
    let mut stranger = Udhcpc::start(&pair, &["-n", "-t", "2"]);
    wait_until("udhcpc gives up", || {
        stranger.program.0.try_wait().unwrap().is_some()
    });
    assert_eq!(stranger.events("leasefail"), 1);
    assert_eq!(stranger.events("bound"), 0);

    pair.client
        .shell("ip link set host0 address 02:00:00:00:00:02");
    Udhcpc::start(&pair, &[]).wait_for("bound", 1);
}

#[test]
fn a_port_of_a_bridge_is_served_as_well() {
    let pair = Pair::without_client_address();
    pair.server.shell(
        "ip link add zone type bridge; ip link set zone up
         ip address flush dev ve-a; ip link set ve-a master zone
         ip address add 192.168.7.17/28 dev zone",
    );
    let _server = serve(&pair, offer());
    let client = Udhcpc::start(&pair, &[]);
    client.wait_for("bound", 1);
    client.signal(Signal::SIGUSR1);
    client.wait_for("renew", 1);
    host_is_reached(&pair);
}

#[test]
fn a_link_that_was_down_is_served_again() {
    let pair = Pair::without_client_address();
    let _server = serve(&pair, offer());
    pair.server.shell("ip link set ve-a down");
    pair.server.shell("ip link set ve-a up");
    Udhcpc::start(&pair, &[]).wait_for("bound", 1);
}

#[test]
fn a_server_that_was_not_started_has_no_socket_to_close() {
    let pair = Pair::new();
    let open = || Server::open(pair.index, MacAddr::from(CLIENT), offer()).unwrap();
    let opened = pair.server.with(open);
    assert_eq!(pair.packet_sockets(), 0);
    drop(opened);
    let _server = serve(&pair, offer());
    assert_eq!(pair.packet_sockets(), 1);
}

#[test]
fn no_server_without_a_link() {
    let pair = Pair::new();
    let error = pair
        .server
        .with(|| Server::open(999, MacAddr::from(CLIENT), offer()));
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "cannot look up link 999: there is none");
}
