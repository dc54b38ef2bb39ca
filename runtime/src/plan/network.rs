//! Which links a machine has, and what they get.

mod parse;

use std::fmt;
use std::net::IpAddr;

use nsrun_netns::IfName;
pub use nsrun_netns::{Ipv4Net, Ipv6Net, MacAddr};

use super::Network;
use crate::error::{Error, Kind, Result};

pub use self::parse::{Bridged, LinkPair, Mtu, Publish, PublishHost, Transport, Vlan, Zone};

/// nspawn's name for the machine's end: images match on it.
pub(crate) const HOST0: &str = "host0";

/// An address that is chosen, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice<T> {
    /// By nsrun, where the host is at the other end.
    #[default]
    Auto,
    /// None.
    No,
    /// By the user.
    Fixed(T),
}

impl<T: Copy> Choice<T> {
    /// The user's.
    pub(crate) fn fixed(self) -> Option<T> {
        match self {
            Self::Fixed(value) => Some(value),
            Self::Auto | Self::No => None,
        }
    }
}

/// What the machine's first link gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressing {
    /// Its Ethernet address; by default one that is the same on each start.
    pub mac: Option<MacAddr>,
    /// Its longest packet in bytes; by default the kernel's choice.
    pub mtu: Option<u32>,
    /// Its IPv4 address.
    pub ip: Choice<Ipv4Net>,
    /// Its IPv6 address.
    pub ip6: Choice<Ipv6Net>,
    /// Where its default routes lead, at most one for each family.
    pub gateways: Vec<IpAddr>,
    /// Who resolves names for it.
    pub dns: Vec<IpAddr>,
}

/// Links as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinksRequest {
    /// The bridge that the machine's link to the host is a port of.
    pub bridge: Option<Bridged>,
    /// The zone that it is in, in place of a bridge.
    pub zone: Option<Zone>,
    /// Links of the host that the machine has for itself.
    pub interfaces: Vec<LinkPair>,
    /// Links that get a macvlan.
    pub macvlans: Vec<LinkPair>,
    /// Links that get an ipvlan.
    pub ipvlans: Vec<LinkPair>,
    /// More links to the host.
    pub extra: Vec<LinkPair>,
    /// Networks of machines alone.
    pub vlans: Vec<Vlan>,
    /// What the first link gets.
    pub addressing: Addressing,
    /// Ports of the host that lead to the machine.
    pub ports: Vec<Publish>,
    /// Ports of the host that the machine finds on its loopback.
    pub host_ports: Vec<PublishHost>,
}

/// What the host's end of `host0` is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uplink {
    /// The host, which routes.
    Host,
    /// The other ports of a bridge that is there.
    Bridge(IfName),
    /// The host, which routes, and the machines of a zone.
    Zone(Zone),
}

/// A link beside `host0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Other {
    /// One of the host's, which the machine has for itself.
    Interface(LinkPair),
    /// On top of one of the host's, with an Ethernet address of its own.
    Macvlan(LinkPair),
    /// On top of one of the host's, with that one's Ethernet address.
    Ipvlan(LinkPair),
    /// A pair with the host, which gives it no addresses.
    Extra(LinkPair),
    /// Into a network of machines alone; the name is that inside.
    Vlan(Vlan, IfName),
}

impl Other {
    /// Its name inside.
    pub(crate) fn inside(&self) -> Result<IfName> {
        let stacked = |prefix: &str, pair: &LinkPair| match &pair.machine {
            Some(name) => Ok(name.clone()),
            None => nsrun_netns::veth_name(prefix, pair.host.as_str())
                .map(|(name, _)| name)
                .map_err(|error| Error::new(Kind::Usage, error.to_string())),
        };
        match self {
            Self::Interface(pair) | Self::Extra(pair) => {
                Ok(pair.machine.as_ref().unwrap_or(&pair.host).clone())
            }
            Self::Macvlan(pair) => stacked("mv-", pair),
            Self::Ipvlan(pair) => stacked("iv-", pair),
            Self::Vlan(_, name) => Ok(name.clone()),
        }
    }
}

/// The links of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Where `host0` leads, if there is one.
    pub host0: Option<Uplink>,
    /// The others.
    pub others: Vec<Other>,
    /// What the first one gets.
    pub addressing: Addressing,
    /// Ports of the host that lead to the machine.
    pub ports: Vec<Publish>,
    /// Ports of the host that the machine finds on its loopback.
    pub host_ports: Vec<PublishHost>,
}

impl LinksRequest {
    /// Whether it takes a network of the machine's own.
    #[must_use]
    pub fn asks_for_links(&self) -> bool {
        let lists = [&self.interfaces, &self.macvlans, &self.ipvlans, &self.extra];
        let any = lists.iter().any(|list| !list.is_empty()) || !self.vlans.is_empty();
        any || self.bridge.is_some() || self.zone.is_some()
    }
}

impl Links {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.host0.is_none() && self.others.is_empty()
    }

    /// Who resolves names for the machine: the user's choice, or nsrun on the machine's own loopback
    /// where the host routes for it.
    #[must_use]
    pub fn name_servers(&self) -> Vec<IpAddr> {
        match &self.addressing.dns[..] {
            [] if self.is_routed() => vec![nsrun_netns::dns::ADDRESS.into()],
            asked => asked.to_vec(),
        }
    }

    /// Whether the host routes for the machine, and chooses its addresses.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        matches!(self.host0, Some(Uplink::Host | Uplink::Zone(_)))
    }
}

/// Whose network a machine has, and by which links; `usual` is the network if nobody says anything.
///
/// # Errors
/// [`Kind::Usage`] for what does not go together.
pub(super) fn plan(
    asked: Option<Network>,
    usual: Network,
    request: &LinksRequest,
) -> Result<(Network, Links)> {
    let uplink = uplink(request)?;
    let others = others(request)?;
    // As with systemd-nspawn, who asks for links gets those alone, unless one is host0's.
    let own = request.interfaces.len()
        + request.macvlans.len()
        + request.ipvlans.len()
        + request.extra.len();
    let usual = if own > 0 { Network::Private } else { usual };
    let network = match asked.unwrap_or(usual) {
        Network::Private if uplink.is_some() => Network::Veth,
        network => network,
    };
    if !network.is_private() && (uplink.is_some() || !others.is_empty()) {
        let what = format!("cannot make links: the network is {}", network.word());
        let hint = "links are for a network of the machine's own: --network=private or veth";
        return Err(Error::new(Kind::Usage, what).hint(hint));
    }
    let host0 = (network == Network::Veth).then(|| uplink.unwrap_or(Uplink::Host));
    let links = Links {
        host0,
        others,
        addressing: request.addressing.clone(),
        ports: request.ports.clone(),
        host_ports: request.host_ports.clone(),
    };
    check_ports(network, &links)?;
    check_names(&links)?;
    check_addressing(&links)?;
    Ok((network, links))
}

fn uplink(request: &LinksRequest) -> Result<Option<Uplink>> {
    match (&request.bridge, &request.zone) {
        (Some(_), Some(_)) => {
            let what = "cannot be in a bridge and in a zone at once";
            Err(Error::new(Kind::Usage, what).hint("give --network-bridge or --network-zone"))
        }
        (Some(Bridged(name)), None) => Ok(Some(Uplink::Bridge(name.clone()))),
        (None, Some(zone)) => Ok(Some(Uplink::Zone(zone.clone()))),
        (None, None) => Ok(None),
    }
}

fn others(request: &LinksRequest) -> Result<Vec<Other>> {
    let interfaces = request.interfaces.iter().cloned().map(Other::Interface);
    let macvlans = request.macvlans.iter().cloned().map(Other::Macvlan);
    let ipvlans = request.ipvlans.iter().cloned().map(Other::Ipvlan);
    let extra = request.extra.iter().cloned().map(Other::Extra);
    let vlans = (1..).zip(&request.vlans).map(|(number, vlan)| {
        let name = format!("eth{number}").parse::<IfName>();
        name.map(|name| Other::Vlan(*vlan, name))
            .map_err(|error| Error::new(Kind::Usage, error.to_string()))
    });
    let all = interfaces.chain(macvlans).chain(ipvlans).chain(extra);
    all.map(Ok).chain(vlans).collect()
}

/// Each name inside is one link's.
fn check_names(links: &Links) -> Result<()> {
    let mut names: Vec<String> = vec!["lo".to_owned()];
    names.extend(links.host0.is_some().then(|| HOST0.to_owned()));
    for other in &links.others {
        let name = other.inside()?.to_string();
        if names.contains(&name) {
            let what = format!("cannot make two links {name} in one machine");
            return Err(Error::new(Kind::Usage, what).hint("a name for it inside: LINK:NAME"));
        }
        names.push(name);
    }
    Ok(())
}

/// Ports are those of a link that the host routes, and each leads to one place.
fn check_ports(network: Network, links: &Links) -> Result<()> {
    let mut seen: Vec<(Option<IpAddr>, Transport, u16)> = Vec::new();
    for publish in &links.ports {
        if !links.is_routed() {
            let what =
                format!("cannot publish port {publish}: the host does not route for the machine");
            let hint = match network {
                Network::Host => "with the host's network its ports are the host's",
                _ => "--network=veth or --network-zone=NAME gives it such a link",
            };
            return Err(Error::new(Kind::Usage, what).hint(hint));
        }
        for (port, _) in publish.pairs() {
            let one = (publish.address, publish.protocol, port);
            let other = seen.iter().any(|&(address, protocol, number)| {
                let same = publish.address;
                let meets = address == same || address.is_none() || same.is_none();
                meets && (protocol, number) == (one.1, one.2)
            });
            if other {
                let what =
                    format!("cannot publish port {port} of {publish}: it is published twice");
                return Err(Error::new(Kind::Usage, what));
            }
            seen.push(one);
        }
    }
    if network == Network::Host && !links.host_ports.is_empty() {
        let what = "cannot give the machine ports of the host: it has the host's network";
        return Err(Error::new(Kind::Usage, what));
    }
    Ok(())
}

fn check_addressing(links: &Links) -> Result<()> {
    let wrong = |what: String, hint: &str| Err(Error::new(Kind::Usage, what).hint(hint));
    let Addressing {
        mac,
        mtu,
        ip,
        ip6,
        gateways,
        dns,
    } = &links.addressing;
    let asked = mac.is_some() || mtu.is_some() || *ip != Choice::Auto || *ip6 != Choice::Auto;
    if links.is_empty() && (asked || !gateways.is_empty() || !dns.is_empty()) {
        let what = "cannot set addresses: the machine has no link".to_owned();
        return wrong(what, "--network=veth gives it one");
    }
    for gateway in gateways {
        let near = match gateway {
            IpAddr::V4(v4) => ip
                .fixed()
                .is_some_and(|net| reaches(net.contains(v4), net.addr() == *v4)),
            IpAddr::V6(v6) => ip6
                .fixed()
                .is_some_and(|net| reaches(net.contains(v6), net.addr() == *v6)),
        };
        if !near {
            let what =
                format!("cannot route by the gateway {gateway}: the machine does not reach it");
            return wrong(
                what,
                "it has to be another address in the network of --ip or --ip6",
            );
        }
        if gateways
            .iter()
            .filter(|other| other.is_ipv4() == gateway.is_ipv4())
            .count()
            > 1
        {
            let what = format!("cannot route by the gateway {gateway}: there is another one");
            return wrong(what, "one gateway for IPv4, one for IPv6");
        }
    }
    Ok(())
}

fn reaches(contains: bool, is_itself: bool) -> bool {
    contains && !is_itself
}

impl fmt::Display for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the host"),
            Self::Bridge(name) => write!(f, "bridge {name}"),
            Self::Zone(zone) => write!(f, "zone {zone}"),
        }
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = self.inside().map_err(|_| fmt::Error)?;
        match self {
            Self::Interface(pair) => write!(f, "{inside}, which is {} of the host", pair.host),
            Self::Macvlan(pair) => write!(f, "{inside}, a macvlan of {}", pair.host),
            Self::Ipvlan(pair) => write!(f, "{inside}, an ipvlan of {}", pair.host),
            Self::Extra(pair) => write!(f, "{inside}, linked to {} on the host", pair.host),
            Self::Vlan(vlan, _) => write!(f, "{inside} in vlan {vlan}"),
        }
    }
}

impl Addressing {
    /// What differs from the default, as names and values.
    pub(super) fn explain(&self) -> Vec<(&'static str, String)> {
        let choice = |name, text: Option<String>| text.map(|text| (name, text));
        let ip = match self.ip {
            Choice::Auto => None,
            Choice::No => Some("none".to_owned()),
            Choice::Fixed(net) => Some(net.to_string()),
        };
        let ip6 = match self.ip6 {
            Choice::Auto => None,
            Choice::No => Some("none".to_owned()),
            Choice::Fixed(net) => Some(net.to_string()),
        };
        let list = |list: &[IpAddr]| {
            let words: Vec<String> = list.iter().map(ToString::to_string).collect();
            (!words.is_empty()).then(|| words.join(" "))
        };
        [
            choice("Ethernet address", self.mac.map(|mac| mac.to_string())),
            choice("MTU", self.mtu.map(|mtu| mtu.to_string())),
            choice("IPv4 address", ip),
            choice("IPv6 address", ip6),
            choice("gateway", list(&self.gateways)),
            choice("name servers", list(&self.dns)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests;
