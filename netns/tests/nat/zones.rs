//! Who reaches whom: peers of one bridge, of two, and behind links of their own.

use std::fs;
use std::path::Path;

use nsrun_netns::nft::{Protocol, Rules};

use crate::world::{HOST4, HOST6, Peer, SERVICE, World, link};

/// Two zones with two members each. The first of each is published at 8080 and 8081.
fn two_zones() -> (World, [[Peer; 2]; 2]) {
    let world = World::new();
    let zones = [1, 2].map(|number| {
        let zone = world.zone(number);
        let members = [2, 3].map(|last| world.member(number, last));
        let mut shared = Rules::new(format!("test:{zone}").parse().unwrap());
        shared.links = vec![link(&zone)];
        let mut first = Rules::new(format!("test:{}", members[0].link).parse().unwrap());
        first.ports = members[0].ports(8079 + u16::from(number));
        world.install(&[shared, first]);
        members
    });
    (world, zones)
}

fn separated(from: &Peer, to: &Peer) {
    for address in [&to.ipv4, &to.ipv6] {
        assert!(from.inside.is_cut_off(Protocol::Tcp, address, SERVICE));
    }
}

fn joined(from: &Peer, to: &Peer) {
    let asks = |at: &str| from.inside.asks(Protocol::Tcp, at, SERVICE);
    assert_eq!(asks(&to.ipv4), from.ipv4);
    assert_eq!(asks(&to.ipv6), from.ipv6);
}

#[test]
fn zones_are_separated_and_their_members_are_not() {
    let (_world, [one, two]) = two_zones();
    joined(&one[0], &one[1]);
    joined(&two[1], &two[0]);
    separated(&one[0], &two[0]);
    separated(&two[1], &one[0]);
}

#[test]
fn links_of_their_own_are_separated() {
    let world = World::new();
    let (one, two) = (world.peer(1), world.peer(2));
    // The host forwards between them until somebody says otherwise.
    joined(&one, &two);
    world.install(&[one.rules(), two.rules()]);
    separated(&one, &two);
    separated(&two, &one);
}

#[test]
fn published_ports_lead_from_zone_to_zone_and_back_into_their_own() {
    let (world, [one, two]) = two_zones();
    bridges_filter_ip(&world, false);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        assert_eq!(two[1].inside.asks(protocol, HOST4, 8080), two[1].ipv4);
        assert_eq!(two[1].inside.asks(protocol, HOST6, 8080), two[1].ipv6);
        // Within a zone answers would go past the host, if the question were not its.
        for member in &one {
            let asks = |at: &str| member.inside.asks(protocol, at, 8080);
            assert_eq!(asks(HOST4), "192.168.1.1");
            assert_eq!(asks(HOST6), "fd00:1::1");
            assert_eq!(asks("192.168.1.1"), "192.168.1.1");
        }
    }
}

/// Some programs load a module by which bridges show what they carry to the IP filter.
/// Then the bridge carries the rewritten question itself, with its source.
#[test]
fn bridges_that_filter_ip_separate_and_publish_as_well() {
    let (world, [one, two]) = two_zones();
    bridges_filter_ip(&world, true);
    joined(&one[0], &one[1]);
    separated(&one[0], &two[0]);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        assert_eq!(two[1].inside.asks(protocol, HOST4, 8080), two[1].ipv4);
        assert_eq!(one[1].inside.asks(protocol, HOST4, 8080), one[1].ipv4);
        assert_eq!(one[1].inside.asks(protocol, HOST6, 8080), one[1].ipv6);
    }
}

/// Without the module there is nothing to turn off; then nothing can be turned on.
fn bridges_filter_ip(world: &World, on: bool) {
    world.host.with(|| {
        for key in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"] {
            let path = format!("/proc/sys/net/bridge/{key}");
            if on || Path::new(&path).exists() {
                fs::write(path, u8::from(on).to_string()).unwrap();
            }
        }
    });
}
