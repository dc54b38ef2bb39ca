//! Words of options and settings about links.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub use nsrun_netns::nft::Protocol as Transport;
use nsrun_netns::{IfName, Ipv4Net, Ipv6Net};

use super::Choice;
use crate::error::{Error, Kind, Result};

/// `HOST[:MACHINE]`: a link, and its name in the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPair {
    /// Its name on the host.
    pub host: IfName,
    /// Its name in the machine, if one was given.
    pub machine: Option<IfName>,
}

/// The name of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridged(pub IfName);

/// The name of a zone. Its bridge is `vz-NAME`, as systemd-nspawn's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(String);

/// `VLAN[:NUMBER]`: a network of machines alone, and the machine's number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The network's, 1 to 255.
    pub network: u8,
    /// The machine's, 1 to 254; without one it gets no addresses.
    pub machine: Option<u8>,
}

/// The longest packet of a link in bytes, 1280 to 65535: IPv6 demands so many, and veth takes no
/// more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu(pub u32);

/// `[ADDRESS:][tcp:|udp:]PORT[-LAST][:MACHINE]`: ports of the host that lead to ports of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The address of the host that they are published at; all if `None`.
    pub address: Option<IpAddr>,
    /// What they are ports of.
    pub protocol: Transport,
    /// The first port of the host.
    pub first: u16,
    /// The last one.
    pub last: u16,
    /// The port of the machine that the first one leads to.
    pub machine: u16,
}

/// `[tcp:|udp:]PORT`: a port of the host's loopback that the machine finds on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishHost {
    /// What it is a port of.
    pub protocol: Transport,
    /// Its number.
    pub port: u16,
}

/// As many ports as one range may have: each is a descriptor of the supervisor's, or two.
const LONGEST_RANGE: u16 = 256;

fn invalid(what: &str, text: &str, rule: &str) -> Error {
    let text = text.escape_debug();
    Error::new(Kind::Usage, format!("invalid {what} '{text}': {rule}"))
}

fn name(text: &str) -> Result<IfName> {
    text.parse::<IfName>()
        .map_err(|error| Error::new(Kind::Usage, error.to_string()))
}

impl FromStr for LinkPair {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (host, machine) = match text.split_once(':') {
            Some((host, machine)) => (host, Some(name(machine)?)),
            None => (text, None),
        };
        let host = name(host)?;
        Ok(Self { host, machine })
    }
}

impl FromStr for Bridged {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        name(text).map(Self)
    }
}

impl Zone {
    /// The bridge's name.
    ///
    /// # Panics
    /// Never: it was checked when the zone was parsed.
    pub(crate) fn bridge(&self) -> IfName {
        let name = format!("vz-{}", self.0);
        name.parse()
            .expect("a zone is parsed with its bridge's name")
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = format!("vz-{text}").parse::<IfName>();
        match named {
            Ok(_) if !text.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(invalid(
                "zone",
                text,
                "vz-NAME must be a name for an interface, of at most 15 bytes",
            )),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Vlan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rule =
            "expected VLAN[:NUMBER], a vlan from 1 to 255 and a machine's number from 1 to 254";
        let wrong = || invalid("vlan", text, rule);
        let number = |text: &str| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u8>()
                .ok()
                .filter(|&number| digits && number != 0)
        };
        let (network, machine) = match text.split_once(':') {
            Some((network, machine)) => {
                let machine = number(machine).filter(|&number| number != 255);
                (network, Some(machine.ok_or_else(wrong)?))
            }
            None => (text, None),
        };
        let network = number(network).ok_or_else(wrong)?;
        Ok(Self { network, machine })
    }
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.machine {
            Some(machine) => write!(f, "{} as number {machine}", self.network),
            None => write!(f, "{}", self.network),
        }
    }
}

impl FromStr for Mtu {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.parse::<u32>().ok();
        match number.filter(|number| (1280..=65535).contains(number)) {
            Some(number) => Ok(Self(number)),
            None => Err(invalid("MTU", text, "expected 1280 to 65535")),
        }
    }
}

impl Publish {
    /// Each port of the host, and that of the machine.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (u16, u16)> {
        (self.first..=self.last).zip(self.machine..)
    }
}

impl FromStr for Publish {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rule = "expected [ADDRESS:][tcp:|udp:]PORT[-LAST][:MACHINE], ports from 1 to 65535";
        let wrong = || invalid("port", text, rule);
        let (address, rest) = address(text);
        let (protocol, ports) = transport(rest);
        let (host, machine) = match ports.split_once(':') {
            Some((host, machine)) => (host, Some(port(machine).ok_or_else(wrong)?)),
            None => (ports, None),
        };
        let (first, last) = host.split_once('-').unwrap_or((host, host));
        let first = port(first).ok_or_else(wrong)?;
        let last = port(last).ok_or_else(wrong)?;
        let machine = machine.unwrap_or(first);
        let more = last.checked_sub(first).ok_or_else(wrong)?;
        if more >= LONGEST_RANGE {
            let rule = format!("a range has at most {LONGEST_RANGE} ports");
            return Err(invalid("port", text, &rule));
        }
        machine.checked_add(more).ok_or_else(wrong)?;
        Ok(Self {
            address,
            protocol,
            first,
            last,
            machine,
        })
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(address) => write!(f, "{address}:")?,
            None => {}
        }
        write!(f, "{}:{}", self.protocol, self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        write!(f, ":{}", self.machine)
    }
}

impl FromStr for PublishHost {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (protocol, rest) = transport(text);
        match port(rest) {
            Some(port) => Ok(Self { protocol, port }),
            None => {
                let rule = "expected [tcp:|udp:]PORT, a port from 1 to 65535";
                Err(invalid("port", text, rule))
            }
        }
    }
}

impl fmt::Display for PublishHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol, self.port)
    }
}

/// The address in front, of IPv6 in brackets.
fn address(text: &str) -> (Option<IpAddr>, &str) {
    let found = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").and_then(|(address, rest)| {
            let address = address.parse::<Ipv6Addr>().ok()?;
            Some((IpAddr::from(address), rest))
        }),
        None => text.split_once(':').and_then(|(address, rest)| {
            let address = address.parse::<Ipv4Addr>().ok()?;
            Some((IpAddr::from(address), rest))
        }),
    };
    match found {
        // All of them, as who names none.
        Some((address, rest)) if address.is_unspecified() => (None, rest),
        Some((address, rest)) => (Some(address), rest),
        None => (None, text),
    }
}

fn transport(text: &str) -> (Transport, &str) {
    match text.split_once(':') {
        Some(("tcp", rest)) => (Transport::Tcp, rest),
        Some(("udp", rest)) => (Transport::Udp, rest),
        _ => (Transport::Tcp, text),
    }
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse::<u16>().ok().filter(|&port| digits && port != 0)
}

impl FromStr for Choice<Ipv4Net> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(choice) = word(text) {
            return Ok(choice);
        }
        let net = text.parse::<Ipv4Net>().ok().filter(|net| {
            let address = net.addr();
            let odd = address.is_unspecified() || address.is_multicast() || address.is_loopback();
            let inner =
                net.prefix_len() >= 31 || (address != net.network() && address != net.broadcast());
            !odd && inner && net.prefix_len() > 0
        });
        net.map(Self::Fixed).ok_or_else(|| {
            let rule = "expected auto, none, or ADDRESS/PREFIX with an address of one host";
            invalid("IPv4 address", text, rule)
        })
    }
}

impl FromStr for Choice<Ipv6Net> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(choice) = word(text) {
            return Ok(choice);
        }
        let net = text.parse::<Ipv6Net>().ok().filter(|net| {
            let address = net.addr();
            let odd = address.is_unspecified() || address.is_multicast() || address.is_loopback();
            !odd && net.prefix_len() > 0
        });
        net.map(Self::Fixed).ok_or_else(|| {
            let rule = "expected auto, none, or ADDRESS/PREFIX with an address of one host";
            invalid("IPv6 address", text, rule)
        })
    }
}

fn word<T>(text: &str) -> Option<Choice<T>> {
    match text {
        "auto" => Some(Choice::Auto),
        "none" => Some(Choice::No),
        _ => None,
    }
}
