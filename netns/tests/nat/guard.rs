//! Ports of bridges whose peers cannot pass for others.

use std::net::IpAddr;

use nsrun_netns::nft::{Guard, Protocol, Rules, Tag};

use crate::world::{Peer, SERVICE, World, link, mac, run};

const MEMBERS: [u8; 3] = [2, 3, 4];

/// A zone of three members, and what guards them.
fn zone() -> (World, [Peer; 3], Vec<Rules>) {
    let world = World::new();
    let name = world.zone(1);
    let members = MEMBERS.map(|last| world.member(1, last));
    let tag = |text: &str| -> Tag { format!("test:{text}").parse().unwrap() };
    let mut shared = Rules::new(tag(&name));
    shared.links = vec![link(&name)];
    shared.reserved = vec!["fd00:1::1".parse().unwrap()];
    let mut all = vec![shared];
    for (member, last) in members.iter().zip(MEMBERS) {
        let mut rules = Rules::new(tag(&member.link));
        let addresses: [IpAddr; 2] = [&member.ipv4, &member.ipv6].map(|a| a.parse().unwrap());
        rules.guards = vec![Guard {
            port: member.link.parse().unwrap(),
            mac: mac(1, last),
            addresses: addresses.to_vec(),
        }];
        all.push(rules);
    }
    (world, members, all)
}

/// That peer, knowing nothing of neighbours before, is answered at the address.
fn reaches(peer: &Peer, at: &str) {
    peer.inside.ip("neigh flush all");
    peer.inside.asks(Protocol::Tcp, at, SERVICE);
}

/// That peer, knowing nothing of neighbours before, is not answered at the address.
fn misses(peer: &Peer, at: &str) {
    peer.inside.ip("neigh flush all");
    assert!(peer.inside.is_cut_off(Protocol::Tcp, at, SERVICE), "{at}");
}

#[test]
fn the_honest_are_not_hindered() {
    let (world, [one, two, _], rules) = zone();
    world.install(&rules);
    for (from, to) in [(&one, &two), (&two, &one)] {
        for address in [&to.ipv4, &to.ipv6] {
            from.inside.asks(Protocol::Tcp, address, SERVICE);
        }
    }
    one.inside
        .asks(Protocol::Tcp, crate::world::INTERNET4, SERVICE);
    one.inside
        .asks(Protocol::Tcp, crate::world::INTERNET6, SERVICE);
}

#[test]
fn a_neighbours_addresses_are_not_to_be_had() {
    let (world, [liar, victim, client], rules) = zone();
    world.host.ip(&format!("link set {} down", victim.link));
    liar.inside
        .ip(&format!("addr add {}/28 dev host0", victim.ipv4));
    liar.inside
        .ip(&format!("addr add {}/64 dev host0 nodad", victim.ipv6));
    reaches(&client, &victim.ipv4);
    reaches(&client, &victim.ipv6);
    world.install(&rules);
    misses(&client, &victim.ipv4);
    misses(&client, &victim.ipv6);
    reaches(&client, &liar.ipv4);
    reaches(&client, &liar.ipv6);
}

#[test]
fn the_gateways_address_is_not_to_be_had() {
    let (world, [liar, _, client], rules) = zone();
    world.host.ip("addr del fd00:1::1/64 dev vz-1");
    liar.inside.ip("addr add fd00:1::1/64 dev host0 nodad");
    reaches(&client, "fd00:1::1");
    world.install(&rules);
    misses(&client, "fd00:1::1");
}

#[test]
fn an_address_that_was_given_to_nobody_is_no_peers_either() {
    let (world, [liar, _, client], rules) = zone();
    liar.inside.ip("addr add 192.168.1.9/28 dev host0");
    reaches(&client, "192.168.1.9");
    world.install(&rules);
    misses(&client, "192.168.1.9");
    // IPv6 addresses are made by the peers themselves.
    liar.inside.ip("addr add fd00:1::1234/64 dev host0 nodad");
    reaches(&client, "fd00:1::1234");
}

#[test]
fn another_ethernet_address_is_not_let_through() {
    let (world, [liar, victim, client], rules) = zone();
    world.host.ip(&format!("link set {} down", victim.link));
    liar.inside
        .ip(&format!("link set host0 address {}", mac(1, 3)));
    reaches(&client, &liar.ipv4);
    world.install(&rules);
    misses(&client, &liar.ipv4);
    liar.inside
        .ip(&format!("link set host0 address {}", mac(1, 2)));
    reaches(&client, &liar.ipv4);
}

/// Advertises a router to all neighbours, as the host does.
const ADVERTISE: &str = "
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
link = socket.if_nametoindex('host0')
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link)
advertisement = bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8)
s.sendto(advertisement, ('ff02::1', 0, 0, link))
";

#[test]
fn nobody_is_a_router_but_the_host() {
    let (world, [liar, _, client], rules) = zone();
    client
        .inside
        .with(|| crate::world::set("net/ipv6/conf/host0/accept_ra", "2"));
    let advertise = || liar.inside.with(|| run("python3", &["-c", ADVERTISE]));
    let learned = || {
        client
            .inside
            .with(|| run("ip", &["-6", "route", "show", "default", "proto", "ra"]))
    };
    advertise();
    assert!(learned().contains("via fe80::"), "{}", learned());
    client.inside.ip("-6 route flush proto ra");
    world.install(&rules);
    advertise();
    // What was sent before has arrived when this has.
    reaches(&client, &liar.ipv6);
    assert_eq!(learned(), "");
}

#[test]
fn a_source_that_is_not_behind_the_link_is_dropped() {
    let world = World::new();
    let (liar, client) = (world.peer(1), world.peer(2));
    liar.inside.ip("addr add 192.168.9.9/32 dev host0");
    world.host.ip("route add 192.168.9.9/32 dev ve-1");
    let mut rules = [liar.rules(), client.rules()];
    for rules in &mut rules {
        rules.links[0].masquerade = false;
    }
    world.install(&rules);
    world.internet.ip(&format!(
        "route add 192.168.9.9/32 via {}",
        crate::world::HOST4
    ));
    liar.inside
        .ip("route replace default via 192.168.1.1 src 192.168.9.9");
    let asks = || {
        liar.inside
            .is_cut_off(Protocol::Udp, crate::world::INTERNET4, SERVICE)
    };
    assert!(!asks());
    world.host.ip("route replace 192.168.9.9/32 dev ve-2");
    assert!(asks());
}
