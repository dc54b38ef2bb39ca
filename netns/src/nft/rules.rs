//! What an owner wants of the tables, and the elements that this is.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::set::Set;
use crate::mac::MacAddr;
use crate::name::IfName;
use crate::subnet::stable_seed;

/// Who something in the tables belongs to. Shown by `nft list` as a comment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// As much as nft itself takes for a comment.
const LONGEST_TAG: usize = 127;

impl Tag {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let printable = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
        if text.is_empty() || text.len() > LONGEST_TAG || !text.bytes().all(printable) {
            return Err(InvalidTag);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Text that cannot be a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tag is 1 to 127 printable ASCII characters without spaces, quotes and backslashes")]
pub struct InvalidTag;

/// All that one owner has in the tables. Installing it again changes nothing. Several
/// peers of one link have one owner for the link and one each for what is their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Who owns it.
    pub tag: Tag,
    /// Links of this host that peers are behind: host ends of pairs, bridges.
    pub links: Vec<LinkRules>,
    /// Ports of this host that lead to peers.
    pub ports: Vec<Port>,
    /// Ports of bridges that are watched.
    pub guards: Vec<Guard>,
    /// IPv6 addresses that no watched port may take: this host's own on its bridges.
    pub reserved: Vec<Ipv6Addr>,
}

impl Rules {
    /// No rules yet.
    #[must_use]
    pub fn new(tag: Tag) -> Self {
        Self {
            tag,
            links: Vec::new(),
            ports: Vec::new(),
            guards: Vec::new(),
            reserved: Vec::new(),
        }
    }
}

/// A link that peers are behind. They reach everything but what is behind another such
/// link; with the source addresses of others they reach nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRules {
    /// The link whose addresses are the peers' gateways.
    pub link: IfName,
    /// Whether the peers' addresses are hidden behind this host's, and the peers are
    /// then reached from elsewhere by published ports only.
    pub masquerade: bool,
}

/// What a port is a port of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A published port. One that is published for IPv4 and IPv6 is two of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    /// The address of this host that it is published at; every one if `None`. Those of
    /// the loopback link are not served: packets to them cannot leave it, which is what
    /// relays are for.
    pub address: Option<IpAddr>,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port of this host.
    pub host: u16,
    /// Where it leads; of the same family as `address`.
    pub target: SocketAddr,
}

impl Port {
    /// Whether the address is one that only a relay can serve.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.is_some_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, host, .. } = self;
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "{protocol} port [{address}]:{host}"),
            Some(address) => write!(f, "{protocol} port {address}:{host}"),
            None => write!(f, "{protocol} port {host}"),
        }
    }
}

/// A port of a bridge, and who may speak there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The link that is in the bridge.
    pub port: IfName,
    /// The only Ethernet address that frames from there may have.
    pub mac: MacAddr,
    /// The only IPv4 addresses that they may have, and IPv6 addresses that no other
    /// watched port may have. The link-local one made of `mac` is among them anyway.
    pub addresses: Vec<IpAddr>,
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) set: Set,
    pub(super) key: Vec<u8>,
    /// Empty in a set.
    pub(super) data: Vec<u8>,
    /// The published port that this is.
    pub(super) port: Option<Port>,
}

impl Element {
    fn of(set: Set, key: Vec<u8>) -> Self {
        Self {
            set,
            key,
            data: Vec::new(),
            port: None,
        }
    }

    /// An element that the kernel has listed.
    pub(super) fn read(set: Set, key: &[u8], data: &[u8]) -> Self {
        Self {
            data: data.to_vec(),
            ..Self::of(set, key.to_vec())
        }
    }

    fn owner(tag: &Tag) -> Self {
        // As long as a link's name can be, and as unlikely to be another's.
        let digest = stable_seed(&tag.0) >> 4;
        Self::of(Set::Owners, link_name(&format!("{digest:015x}")))
    }

    fn for_port(port: &Port) -> Self {
        let (set, address) = match (port.target.ip(), port.address) {
            (IpAddr::V4(_), None) => (Set::Ports4, Vec::new()),
            (IpAddr::V6(_), None) => (Set::Ports6, Vec::new()),
            (IpAddr::V4(_), Some(address)) => (Set::Bound4, octets(address)),
            (IpAddr::V6(_), Some(address)) => (Set::Bound6, octets(address)),
        };
        let key = [
            address,
            vec![port.protocol.number(), 0, 0, 0],
            padded_port(port.host),
        ];
        let data = [octets(port.target.ip()), padded_port(port.target.port())];
        Self {
            data: data.concat(),
            port: Some(*port),
            ..Self::of(set, key.concat())
        }
    }
}

/// The elements that are those rules, their owner's first.
pub(super) fn elements(rules: &Rules) -> Vec<Element> {
    let mut elements = vec![Element::owner(&rules.tag)];
    elements.extend(rules.links.iter().flat_map(for_link));
    elements.extend(ports(&rules.ports));
    elements.extend(rules.guards.iter().flat_map(for_guard));
    let reserved = rules.reserved.iter().map(Ipv6Addr::octets);
    elements.extend(reserved.map(|key| Element::of(Set::Taken6, key.to_vec())));
    elements
}

/// The elements that are those ports.
pub(super) fn ports(ports: &[Port]) -> impl Iterator<Item = Element> {
    let served = ports.iter().filter(|port| !port.is_loopback());
    served.map(Element::for_port)
}

fn for_link(rules: &LinkRules) -> Vec<Element> {
    let name = link_name(rules.link.as_str());
    let mut elements = vec![
        Element::of(Set::Links, name.clone()),
        Element::of(Set::Pairs, name.repeat(2)),
    ];
    if rules.masquerade {
        elements.push(Element::of(Set::Masked, name));
    }
    elements
}

fn for_guard(guard: &Guard) -> Vec<Element> {
    let port = link_name(guard.port.as_str());
    let with = |value: &[u8]| [&port, value].concat();
    let [a, b, c, d, e, f] = guard.mac.octets();
    let mut elements = vec![
        Element::of(Set::Guarded, port.clone()),
        Element::of(Set::Macs, with(&[a, b, c, d, e, f, 0, 0])),
    ];
    let own = IpAddr::V6(guard.mac.link_local());
    for address in guard.addresses.iter().copied().chain([own]) {
        let bytes = octets(address);
        match address {
            IpAddr::V4(_) => elements.push(Element::of(Set::Sources4, with(&bytes))),
            IpAddr::V6(_) => {
                elements.push(Element::of(Set::Sources6, with(&bytes)));
                elements.push(Element::of(Set::Taken6, bytes));
            }
        }
    }
    elements
}

fn link_name(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(16, 0);
    key
}

fn padded_port(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![high, low, 0, 0]
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn port(address: Option<&str>, target: &str) -> Port {
        Port {
            address: address.map(|a| a.parse().unwrap()),
            protocol: Protocol::Udp,
            host: 0x1234,
            target: target.parse().unwrap(),
        }
    }

    fn made(port: Port) -> Element {
        ports(&[port]).next().unwrap()
    }

    #[test]
    fn a_port_is_an_element_of_the_map_for_its_family_and_address() {
        let element = made(port(None, "192.168.1.2:80"));
        assert_eq!(element.set, Set::Ports4);
        assert_eq!(element.key, [17, 0, 0, 0, 0x12, 0x34, 0, 0]);
        assert_eq!(element.data, [192, 168, 1, 2, 0, 80, 0, 0]);
        let element = made(port(Some("192.0.2.1"), "192.168.1.2:80"));
        assert_eq!(element.set, Set::Bound4);
        assert_eq!(element.key[..4], [192, 0, 2, 1]);
        assert_eq!(made(port(None, "[fd00::2]:80")).set, Set::Ports6);
        let element = made(port(Some("2001:db8::1"), "[fd00::2]:80"));
        assert_eq!((element.set, element.key.len()), (Set::Bound6, 24));
    }

    #[test]
    fn ports_of_loopback_addresses_are_left_out() {
        let loopback = [
            port(Some("127.0.0.9"), "192.168.1.2:80"),
            port(Some("::1"), "[fd00::2]:80"),
        ];
        assert_eq!(ports(&loopback).count(), 0);
    }

    #[test]
    fn a_guarded_port_has_the_address_made_of_its_ethernet_address() {
        let mut rules = Rules::new("x".parse().unwrap());
        rules.guards = vec![Guard {
            port: "vb-x".parse().unwrap(),
            mac: MacAddr::from([2, 0, 0, 0, 1, 2]),
            addresses: vec!["192.168.1.2".parse().unwrap()],
        }];
        let own: Ipv6Addr = "fe80::ff:fe00:102".parse().unwrap();
        let taken: Vec<Element> = elements(&rules)
            .into_iter()
            .filter(|element| element.set == Set::Taken6)
            .collect();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].key, own.octets());
    }

    #[test]
    fn ports_are_told_as_they_are_written() {
        let told = |address| port(address, "[fd00::2]:80").to_string();
        assert_eq!(told(None), "udp port 4660");
        assert_eq!(told(Some("2001:db8::1")), "udp port [2001:db8::1]:4660");
        assert_eq!(told(Some("192.0.2.1")), "udp port 192.0.2.1:4660");
    }

    proptest! {
        #[test]
        fn tags_are_what_a_comment_can_hold(text in "\\PC{0,140}") {
            let parsed = text.parse::<Tag>();
            let fits = !text.is_empty()
                && text.len() <= 127
                && text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'"' && b != 0x5c);
            prop_assert_eq!(parsed.is_ok(), fits);
        }
    }
}
