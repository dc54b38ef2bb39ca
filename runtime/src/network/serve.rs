//! From a link that is made to what is served on it.

use std::net::IpAddr;
use std::os::fd::AsFd;

use nsrun_netns::forwarding::announce_router;
use nsrun_netns::nft::{Guard, LinkRules, Obstacle, Port, Rules, Table};
use nsrun_netns::{IfName, IpNet, Ipv6Net, MacAddr, Net, Place, dns};

use super::attach::Machine;
use super::filter::{self, Filter};
use super::forwarding::Forwarding;
use super::names::Names;
use super::services::Client;
use super::{Attached, refusal, shared};
use crate::error::{Context, Error, Result};
use crate::plan::network::{Choice, Publish, Uplink};
use crate::state::{Claim, Item};

/// A link that the host routes for, with both its ends set up.
pub(super) struct Routed<'a> {
    pub(super) net: &'a Net,
    pub(super) machine: &'a Machine<'a>,
    pub(super) uplink: &'a Uplink,
    /// The host's end.
    pub(super) port: IfName,
    pub(super) mac: MacAddr,
    pub(super) inside: Vec<IpNet>,
    /// The host's addresses, and the Ethernet address that they have.
    pub(super) gateways: Vec<IpAddr>,
    pub(super) router_mac: MacAddr,
}

impl Routed<'_> {
    fn own(&self) -> Vec<IpAddr> {
        self.inside.iter().map(IpNet::addr).collect()
    }

    /// Lets packets through, and opens the sockets of all services.
    pub(super) fn serve(&self, claim: &mut Claim, place: &Place, to: &mut Attached) -> Result<()> {
        self.let_through(claim, to)?;
        let links = self.machine.links;
        let own = self.own();
        to.services.publish(&links.ports, &own)?;
        to.services.offer(&self.client()?)?;
        if links.addressing.dns.is_empty() {
            if let Place::Inside(netns) = place {
                let added = self
                    .net
                    .add_loopback_address(netns.as_fd(), dns::ADDRESS.into());
                added.map_err(|error| refusal(&error))?;
            }
            to.services.resolve(place, &own, self.names())?;
        }
        Ok(())
    }

    /// Rules for the link and its ports. Without them the machine reaches the host alone, which is
    /// told; published ports must have theirs.
    fn let_through(&self, claim: &mut Claim, to: &mut Attached) -> Result<()> {
        let rules = self.rules()?;
        let tag = rules.tag.to_string();
        claim.note(Item::Rules { tag })?;
        let cut_off = |error: &Error| format!("the machine reaches the host alone: {error}");
        let shared = self.bridge_rules()?.map_or(Ok(()), shared::install);
        match shared.and_then(|()| Filter::install(rules)) {
            Ok(filter) => {
                to.filter = Some(filter);
                match self.obstacles() {
                    Ok(found) => to.warnings.extend(found),
                    Err(error) => to.warnings.push(cut_off(&error)),
                }
            }
            Err(error) if self.machine.links.ports.is_empty() => to.warnings.push(cut_off(&error)),
            Err(error) => return Err(error).cannot(|| "publish ports"),
        }
        match Forwarding::begin() {
            Ok(forwarding) => to.forwarding = Some(forwarding),
            Err(error) => to.warnings.push(cut_off(&error)),
        }
        if self.gateways.iter().any(IpAddr::is_ipv6)
            && let Err(error) = self.be_router()
        {
            to.warnings
                .push(format!("the machine may lose its way out by IPv6: {error}"));
        }
        Ok(())
    }

    /// Has the host be the router that is advertised: by the address that the kernel makes of the
    /// link's Ethernet address, unless it was told to make none or another one.
    fn be_router(&self) -> nsrun_netns::Result<()> {
        let link = self.link();
        let mode = std::fs::read(format!("/proc/sys/net/ipv6/conf/{link}/addr_gen_mode"));
        if mode.is_ok_and(|mode| !mode.starts_with(b"0")) {
            let own = Ipv6Net::new_assert(self.router_mac.link_local(), 64);
            self.net.address_bridge(&link, &[own.into()])?;
        }
        announce_router(&link)
    }

    /// The link that has the host's addresses.
    fn link(&self) -> IfName {
        match self.uplink {
            Uplink::Zone(zone) => zone.bridge(),
            Uplink::Host | Uplink::Bridge(_) => self.port.clone(),
        }
    }

    /// Lets the link through where others' rules leave a place for that, and tells which do not.
    fn obstacles(&self) -> Result<Vec<String>> {
        let tag = match self.uplink {
            Uplink::Zone(zone) => shared::tag(&zone.bridge()),
            Uplink::Host | Uplink::Bridge(_) => {
                self.machine.incarnation.link_tag(self.machine.name)
            }
        };
        let tag = filter::tag(&tag)?;
        let found = Table::open().and_then(|table| table.pass_firewalls(&tag, &[self.link()]));
        let found = found.map_err(|error| refusal(&error))?;
        let told = |obstacle: &Obstacle| format!("{obstacle}: {}", obstacle.remedy());
        Ok(found.iter().map(told).collect())
    }

    fn rules(&self) -> Result<Rules> {
        let tag = self.machine.incarnation.link_tag(self.machine.name);
        let mut rules = Rules::new(filter::tag(&tag)?);
        rules.ports = self.ports();
        if let Uplink::Zone(_) = self.uplink {
            rules.guards.push(Guard {
                port: self.port.clone(),
                mac: self.mac,
                addresses: self.own(),
            });
        } else {
            rules.links.push(masqueraded(self.port.clone()));
        }
        Ok(rules)
    }

    /// Those of a zone's bridge have one owner, whichever machine is first and last in it.
    fn bridge_rules(&self) -> Result<Option<Rules>> {
        let Uplink::Zone(zone) = self.uplink else {
            return Ok(None);
        };
        let mut rules = Rules::new(filter::tag(&shared::tag(&zone.bridge()))?);
        rules.links.push(masqueraded(zone.bridge()));
        let v6 = |address: &IpAddr| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        };
        rules.reserved = self.gateways.iter().filter_map(v6).collect();
        // The one that is advertised.
        rules.reserved.push(self.router_mac.link_local());
        Ok(Some(rules))
    }

    fn ports(&self) -> Vec<Port> {
        let own = self.own();
        let mut all = Vec::new();
        for publish in &self.machine.links.ports {
            let serves = |target: &&IpAddr| {
                let address = publish.address;
                address.is_none_or(|a| a.is_ipv4() == target.is_ipv4() && !a.is_loopback())
            };
            for target in own.iter().filter(serves) {
                all.extend(led_to(*publish, *target));
            }
        }
        all
    }

    fn client(&self) -> Result<Client> {
        let found = self.net.find(&self.port).map_err(|error| refusal(&error))?;
        let gateway = |net: &IpNet| {
            let mut all = self.gateways.iter();
            all.find(|gateway| net.contains(*gateway)).copied()
        };
        let v4 = self
            .inside
            .iter()
            .find_map(|net| match (net, gateway(net)) {
                (IpNet::V4(net), Some(IpAddr::V4(gateway))) => Some((*net, gateway)),
                _ => None,
            });
        let v6 = self
            .inside
            .iter()
            .find_map(|net| match (net, gateway(net)) {
                (IpNet::V6(net), Some(IpAddr::V6(gateway))) => Some((*net, gateway)),
                _ => None,
            });
        let addressing = &self.machine.links.addressing;
        Ok(Client {
            link: found.map_or(0, |link| link.index),
            mac: self.mac,
            v4,
            v6,
            router_mac: self.router_mac,
            autoconf: addressing.ip6 == Choice::Auto,
            mtu: addressing.mtu,
            host_name: self.machine.name.to_string(),
            dns: addressing.dns.clone(),
        })
    }

    fn names(&self) -> Names {
        Names {
            own: self.machine.name.clone(),
            addresses: self.own(),
            networks: self.inside.clone(),
            host: self.gateways.clone(),
            zone: match self.uplink {
                Uplink::Zone(zone) => Some(zone.to_string()),
                Uplink::Host | Uplink::Bridge(_) => None,
            },
            store: self.machine.store.clone(),
        }
    }
}

fn masqueraded(link: IfName) -> LinkRules {
    LinkRules {
        link,
        masquerade: true,
    }
}

fn led_to(publish: Publish, target: IpAddr) -> impl Iterator<Item = Port> {
    publish.pairs().map(move |(host, machine)| Port {
        address: publish.address,
        protocol: publish.protocol,
        host,
        target: (target, machine).into(),
    })
}
