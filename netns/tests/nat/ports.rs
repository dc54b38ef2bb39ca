//! Ways out, and published ports from every side.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use nsrun_netns::nft::{Port, Protocol, Table};

use crate::world::{HOST4, HOST6, INTERNET4, INTERNET6, Peer, SERVICE, World};

const BOTH: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// A world with one peer whose service is at port 8080 of the host.
fn published() -> (World, Peer) {
    let world = World::new();
    let peer = world.peer(1);
    let mut rules = peer.rules();
    rules.ports = peer.ports(8080);
    world.install(&[rules]);
    (world, peer)
}

#[test]
fn the_way_out_is_by_the_hosts_address() {
    let world = World::new();
    let peer = world.peer(1);
    for protocol in BOTH {
        assert!(peer.inside.is_cut_off(protocol, INTERNET4, SERVICE));
    }
    world.install(&[peer.rules()]);
    for protocol in BOTH {
        assert_eq!(peer.inside.asks(protocol, INTERNET4, SERVICE), HOST4);
        assert_eq!(peer.inside.asks(protocol, INTERNET6, SERVICE), HOST6);
    }
}

#[test]
fn a_published_port_is_reached_from_outside_with_the_source_kept() {
    let (world, _peer) = published();
    for protocol in BOTH {
        assert_eq!(world.internet.asks(protocol, HOST4, 8080), INTERNET4);
        assert_eq!(world.internet.asks(protocol, HOST6, 8080), INTERNET6);
    }
}

#[test]
fn a_published_port_is_reached_from_the_host_by_its_addresses() {
    let (world, _peer) = published();
    for protocol in BOTH {
        assert_eq!(world.host.asks(protocol, HOST4, 8080), HOST4);
        assert_eq!(world.host.asks(protocol, HOST6, 8080), HOST6);
        assert_eq!(
            world.host.asks(protocol, "192.168.1.1", 8080),
            "192.168.1.1"
        );
    }
}

#[test]
fn loopback_addresses_are_left_to_the_host() {
    let (world, _peer) = published();
    world.host.serve();
    for protocol in BOTH {
        for loopback in ["127.0.0.1", "::1"] {
            assert!(world.host.is_cut_off(protocol, loopback, 8080));
            assert_eq!(world.host.asks(protocol, loopback, SERVICE), loopback);
        }
    }
}

#[test]
fn another_peer_reaches_a_published_port_with_the_source_kept() {
    let (world, _peer) = published();
    let other = world.peer(2);
    world.install(&[other.rules()]);
    for protocol in BOTH {
        assert_eq!(other.inside.asks(protocol, HOST4, 8080), other.ipv4);
        assert_eq!(other.inside.asks(protocol, HOST6, 8080), other.ipv6);
        assert_eq!(other.inside.asks(protocol, "192.168.2.1", 8080), other.ipv4);
    }
}

#[test]
fn a_peer_reaches_itself_by_the_hosts_address() {
    let (_world, peer) = published();
    for protocol in BOTH {
        assert_eq!(peer.inside.asks(protocol, HOST4, 8080), "192.168.1.1");
        assert_eq!(peer.inside.asks(protocol, HOST6, 8080), "fd00:1::1");
    }
}

#[test]
fn only_what_is_published_is_reached_from_outside() {
    let (world, peer) = published();
    world
        .internet
        .ip(&format!("route add 192.168.1.0/28 via {HOST4}"));
    world
        .internet
        .ip(&format!("-6 route add fd00:1::/64 via {HOST6}"));
    for protocol in BOTH {
        assert!(world.internet.is_cut_off(protocol, &peer.ipv4, SERVICE));
        assert!(world.internet.is_cut_off(protocol, &peer.ipv6, SERVICE));
    }
    // A link whose peers have addresses that are known outside hides nothing.
    world.remove(&[peer.rules()]);
    let mut routed = peer.rules();
    routed.links[0].masquerade = false;
    world.install(&[routed]);
    assert_eq!(
        world.internet.asks(Protocol::Tcp, &peer.ipv4, SERVICE),
        INTERNET4
    );
    assert_eq!(
        peer.inside.asks(Protocol::Tcp, INTERNET6, SERVICE),
        peer.ipv6
    );
}

#[test]
fn a_port_of_one_address_is_a_port_of_no_other() {
    let world = World::new();
    world.host.ip("addr add 203.0.113.9/24 dev up0");
    world.host.ip("addr add 2001:db8:1::9/64 dev up0 nodad");
    let (one, other) = (world.peer(1), world.peer(2));
    let at = |peer: &Peer, v4: &str, v6: &str| -> Vec<Port> {
        let bound = |port: Port| Port {
            address: Some(if port.target.is_ipv4() { v4 } else { v6 }.parse().unwrap()),
            ..port
        };
        peer.ports(8080).into_iter().map(bound).collect()
    };
    let mut rules = [one.rules(), other.rules()];
    rules[0].ports = at(&one, "203.0.113.9", "2001:db8:1::9");
    world.install(&rules);
    for protocol in BOTH {
        assert_eq!(
            world.internet.asks(protocol, "203.0.113.9", 8080),
            INTERNET4
        );
        assert_eq!(
            world.internet.asks(protocol, "2001:db8:1::9", 8080),
            INTERNET6
        );
        assert!(world.internet.is_cut_off(protocol, HOST4, 8080));
        assert!(world.internet.is_cut_off(protocol, HOST6, 8080));
    }
    // The same port of another address may lead elsewhere.
    rules[1].ports = at(&other, HOST4, HOST6);
    world.install(&rules);
    assert_eq!(world.host.asks(Protocol::Tcp, HOST4, 8080), HOST4);
}

#[test]
fn ports_come_and_go_while_their_owner_stays() {
    let (world, peer) = published();
    let (tag, more) = (peer.rules().tag, peer.ports(9090));
    world.host.with(|| {
        let table = Table::open().unwrap();
        table.add_ports(&tag, &more).unwrap();
        table.remove_ports(&peer.ports(8080)).unwrap();
        table.remove_ports(&peer.ports(8080)).unwrap();
    });
    for protocol in BOTH {
        assert_eq!(world.internet.asks(protocol, HOST4, 9090), INTERNET4);
        assert!(world.internet.is_cut_off(protocol, HOST4, 8080));
    }
}

/// UDP flows are known to the kernel by their first packet, and this one is on its way
/// to where the port does not lead any more.
#[test]
fn who_sends_on_and_on_notices_that_a_port_leads_elsewhere() {
    for host in [format!("::ffff:{HOST4}"), HOST6.to_owned()] {
        let (world, old) = published();
        let client = world.internet.with(|| UdpSocket::bind(("::", 0)).unwrap());
        let patience = Some(Duration::from_millis(200));
        client.set_read_timeout(patience).unwrap();
        let address: (IpAddr, u16) = (host.parse().unwrap(), 8080);
        let answered = || {
            client.send_to(b"who", address).unwrap();
            client.recv(&mut [0; 64]).is_ok()
        };
        assert!((0..100).any(|_| answered()), "{host}");

        let mut rules = old.rules();
        rules.ports = old.ports(8080);
        world.remove(&[rules]);
        let new = world.peer(2);
        let mut rules = new.rules();
        rules.ports = new.ports(8080);
        // The kernel would go on sending there.
        world.host.ip(&format!("link set {} down", old.link));
        world.install(&[rules]);
        assert!((0..20).any(|_| answered()), "{host}");
    }
}
