//! The two tables as they are made with the first owner: chains and rules, which never
//! change, and empty sets.

use std::io;

use super::rule::{
    DNAT, ESTABLISHED, ETHER_ARP, ETHER_IPV4, ETHER_IPV6, ICMPV6, RELATED, Rule, UDP,
};
use super::set::{Set, TABLE};
use super::socket::Socket;
use super::step::Field;
use super::wire::{Family, Messages, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};

/// Those that have a table.
pub(super) const FAMILIES: [Family; 2] = [Family::Inet, Family::Bridge];

const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_NEWSET: u16 = 9;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;

const PREROUTING: u32 = 0;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

/// A chain, and where packets enter it unless rules send them there.
struct Chain {
    name: &'static str,
    hook: Option<Hook>,
}

struct Hook {
    kind: &'static str,
    number: u32,
    priority: i32,
}

impl Chain {
    const fn hooked(name: &'static str, kind: &'static str, number: u32, priority: i32) -> Self {
        Self {
            name,
            hook: Some(Hook {
                kind,
                number,
                priority,
            }),
        }
    }
}

/// The priorities are those that nft calls raw, filter, dstnat and srcnat.
const INET_CHAINS: [Chain; 6] = [
    Chain::hooked("source", "filter", PREROUTING, -300),
    Chain::hooked("forward", "filter", FORWARD, 0),
    Chain {
        name: "publish",
        hook: None,
    },
    Chain::hooked("prerouting", "nat", PREROUTING, -100),
    Chain::hooked("output", "nat", OUTPUT, -100),
    Chain::hooked("postrouting", "nat", POSTROUTING, 100),
];

/// In front of what a bridge's own rewriting of addresses would do.
const BRIDGE_CHAINS: [Chain; 1] = [Chain::hooked("guard", "filter", PREROUTING, -310)];

/// Adds what makes the table of that family; refused as existing if it is there, since
/// its rules would be there twice.
pub(super) fn create(batch: &mut Messages, family: Family) {
    let (chains, rules) = match family {
        Family::Bridge => (&BRIDGE_CHAINS[..], guard_rules()),
        _ => (&INET_CHAINS[..], inet_rules()),
    };
    batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, family, |out| {
        out.text(NFTA_TABLE_NAME, TABLE);
        out.number(NFTA_TABLE_FLAGS, 0);
    });
    for set in Set::ALL.into_iter().filter(|set| set.family() == family) {
        batch.add(NFT_MSG_NEWSET, NLM_F_CREATE, family, |out| set.write(out));
    }
    for chain in chains {
        create_chain(batch, family, chain);
    }
    for rule in rules {
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        batch.add(NFT_MSG_NEWRULE, flags, family, |out| rule.write(TABLE, out));
    }
}

/// Adds the removal of the table with all that is in it.
pub(super) fn delete(batch: &mut Messages, family: Family) {
    batch.add(NFT_MSG_DELTABLE, 0, family, |out| {
        out.text(NFTA_TABLE_NAME, TABLE);
    });
}

/// The families whose table is there.
pub(super) fn present(socket: &Socket) -> io::Result<Vec<Family>> {
    socket.list(
        NFT_MSG_GETTABLE,
        Family::Unspecified,
        |_| {},
        |message| {
            let is_ours = message.attributes().text(NFTA_TABLE_NAME) == Some(TABLE);
            let of = |family: &Family| message.family() == Some(*family as u8);
            FAMILIES.into_iter().find(of).filter(|_| is_ours)
        },
    )
}

fn create_chain(batch: &mut Messages, family: Family, chain: &Chain) {
    const NFTA_CHAIN_TABLE: u16 = 1;
    const NFTA_CHAIN_NAME: u16 = 3;
    const NFTA_CHAIN_HOOK: u16 = 4;
    const NFTA_CHAIN_TYPE: u16 = 7;
    batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, |out| {
        out.text(NFTA_CHAIN_TABLE, TABLE);
        out.text(NFTA_CHAIN_NAME, chain.name);
        if let Some(hook) = &chain.hook {
            out.nest(NFTA_CHAIN_HOOK, |nest| {
                nest.number(1, hook.number);
                nest.bytes(2, &hook.priority.to_be_bytes());
            });
            out.text(NFTA_CHAIN_TYPE, hook.kind);
        }
    });
}

fn inet_rules() -> Vec<Rule> {
    [
        source_rules(),
        forward_rules(),
        publish_rules(),
        nat_rules(),
    ]
    .concat()
}

/// Nobody behind a link speaks with an address that is not reached by that link. What
/// has no address yet may look for one.
fn source_rules() -> Vec<Rule> {
    let rule = || Rule::of("source");
    vec![
        rule().input_not_in(Set::Links).accept(),
        rule()
            .family(Family::Ipv4)
            .field(Field::IPV4_SOURCE, true, &[0; 4])
            .accept(),
        rule()
            .family(Family::Ipv6)
            .field(Field::IPV6_SOURCE, true, &[0; 16])
            .accept(),
        rule().arriving_astray().drop(),
    ]
}

/// Outward everything, inward what was asked for or published, from link to link
/// nothing else.
fn forward_rules() -> Vec<Rule> {
    let rule = || Rule::of("forward");
    vec![
        rule().state(ESTABLISHED | RELATED).accept(),
        rule().links_in(Set::Pairs).accept(),
        rule().output_in(Set::Links).status(DNAT).accept(),
        rule().input_in(Set::Links).output_in(Set::Links).drop(),
        rule().output_in(Set::Masked).drop(),
        rule().input_in(Set::Links).accept(),
    ]
}

/// Published ports, by the most particular address first. Loopback addresses are left
/// alone: their packets could not leave by another link.
fn publish_rules() -> Vec<Rule> {
    const LINK_LOCAL: [u8; 2] = [0xfe, 0x80];
    const LOOPBACK6: [u8; 16] = std::net::Ipv6Addr::LOCALHOST.octets();
    let v4 = || Rule::of("publish").family(Family::Ipv4);
    let v6 = || Rule::of("publish").family(Family::Ipv6);
    let (to4, to6) = (Field::IPV4_DESTINATION, Field::IPV6_DESTINATION);
    vec![
        v4().field(to4.first(1), true, &[127]).leave(),
        v4().dnat(Family::Ipv4, Some(to4), Set::Bound4),
        v4().destined_here().dnat(Family::Ipv4, None, Set::Ports4),
        v6().field(to6, true, &LOOPBACK6).leave(),
        v6().field(to6.first(2), true, &LINK_LOCAL).leave(),
        v6().dnat(Family::Ipv6, Some(to6), Set::Bound6),
        v6().destined_here().dnat(Family::Ipv6, None, Set::Ports6),
    ]
}

fn nat_rules() -> Vec<Rule> {
    let out = || Rule::of("postrouting");
    vec![
        Rule::of("prerouting").jump("publish"),
        Rule::of("output").jump("publish"),
        // Who reaches a neighbour, or itself, by this host's address: answers must come
        // back here, where the address is that of this host again.
        out().status(DNAT).links_in(Set::Pairs).masquerade(),
        out()
            .input_in(Set::Masked)
            .output_not_in(Set::Links)
            .masquerade(),
    ]
}

/// What enters a bridge by a watched port: with the port's own Ethernet address, and
/// nothing that speaks for another's address.
fn guard_rules() -> Vec<Rule> {
    let rule = || Rule::of("guard");
    let mut rules = vec![
        rule().input_not_in(Set::Guarded).accept(),
        rule()
            .input_with(Field::ETHER_SOURCE, Set::Macs, false)
            .drop(),
    ];
    rules.extend(guard_arp());
    rules.extend(guard_ipv4());
    rules.extend(guard_ipv6());
    rules.push(rule().drop());
    rules
}

/// A sender without an address asks whether one is free.
fn guard_arp() -> [Rule; 4] {
    const SENDER: Field = Field::network(8, 6);
    const SENDER_IPV4: Field = Field::network(14, 4);
    let arp = || Rule::of("guard").ether_type(ETHER_ARP);
    [
        arp().input_with(SENDER, Set::Macs, false).drop(),
        arp().field(SENDER_IPV4, true, &[0; 4]).accept(),
        arp().input_with(SENDER_IPV4, Set::Sources4, true).accept(),
        arp().drop(),
    ]
}

/// DHCP's server is nobody on the bridge.
fn guard_ipv4() -> [Rule; 4] {
    let ip = || Rule::of("guard").ether_type(ETHER_IPV4);
    let source = Field::IPV4_SOURCE;
    [
        ip().transport(UDP)
            .field(Field::SOURCE_PORT, true, &67_u16.to_be_bytes())
            .drop(),
        ip().field(source, true, &[0; 4]).accept(),
        ip().input_with(source, Set::Sources4, true).accept(),
        ip().drop(),
    ]
}

/// Peers make IPv6 addresses themselves, so that only those that are known to be
/// somebody's are denied to others.
fn guard_ipv6() -> Vec<Rule> {
    const ADVERTISED: Field = Field::transport(8, 16);
    const ROUTER_ADVERTISEMENT: u8 = 134;
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const REDIRECT: u8 = 137;
    let ip6 = || Rule::of("guard").ether_type(ETHER_IPV6);
    let icmp = |kind: u8| {
        ip6()
            .transport(ICMPV6)
            .field(Field::ICMP_TYPE, true, &[kind])
    };
    let source = Field::IPV6_SOURCE;
    vec![
        icmp(ROUTER_ADVERTISEMENT).drop(),
        icmp(REDIRECT).drop(),
        ip6()
            .transport(UDP)
            .field(Field::SOURCE_PORT, true, &547_u16.to_be_bytes())
            .drop(),
        icmp(NEIGHBOUR_ADVERTISEMENT)
            .field_in(ADVERTISED, Set::Taken6)
            .input_with(ADVERTISED, Set::Sources6, false)
            .drop(),
        ip6().input_with(source, Set::Sources6, true).accept(),
        ip6().field_in(source, Set::Taken6).drop(),
        ip6().accept(),
    ]
}
