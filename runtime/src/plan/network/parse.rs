//! Words of options and settings about links.

use std::fmt;
use std::str::FromStr;

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
