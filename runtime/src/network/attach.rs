//! Making the links that a plan names, one after the other.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use nsrun_netns::{
    End, HostId, IfName, IpNet, Ipv4Net, Ipv6Net, MacAddr, MovePlan, Moved, Net, Owner, Place,
    Setup, StackedPlan, Stacking, VethPlan, pick_prefix, pick_subnet, stable_seed, veth_name,
};

use super::addresses::{self, Ends, Networks};
use super::descriptors;
use super::leases::{Leases, Wish};
use super::lent::Lent;
use super::serve::Routed;
use super::shared::{self, Counting, Shared};
use super::{Attached, Pair, refusal};
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;
use crate::plan::Links;
use crate::plan::network::{Addressing, HOST0, LinkPair, Other, Uplink, Vlan, Zone};
use crate::state::{Claim, Incarnation, Item, Store};

/// Sixteen addresses, as systemd-networkd gives a container.
const PREFIX: u8 = 28;

/// As systemd-networkd gives a zone.
const ZONE_PREFIX: u8 = 24;

/// For whom links are made.
pub(crate) struct Machine<'a> {
    pub(crate) name: &'a MachineName,
    pub(crate) incarnation: Incarnation,
    pub(crate) links: &'a Links,
    pub(crate) store: &'a Store,
    /// Where lasting state is.
    pub(crate) lib: &'a Path,
}

/// Makes the machine's links with their ends inside `netns`. What is made is noted in the claim and
/// put into `to` before, so that it goes with that if a later one fails.
///
/// # Errors
/// [`Kind::Busy`] for a name that is taken, [`Kind::NotFound`] for a link of the host or a bridge
/// that is not there, [`Kind::HostLacks`] if the kernel has no such links.
pub(crate) fn attach(
    machine: &Machine<'_>,
    claim: &mut Claim,
    netns: BorrowedFd<'_>,
    to: &mut Attached,
) -> Result<()> {
    let links = machine.links;
    if !(links.ports.is_empty() && links.host_ports.is_empty()) {
        descriptors::allow_many();
    }
    let duplicate = || "duplicate the descriptor of the network namespace";
    let mut maker = Maker {
        machine,
        net: Net::new().map_err(|error| refusal(&error))?,
        host: HostId::of_this_host(),
        claim,
        netns,
        to,
        place: Place::inside(netns.try_clone_to_owned().cannot(duplicate)?),
    };
    if let Some(uplink) = &links.host0 {
        maker.host0(uplink)?;
    }
    let (mut extra, mut macvlans) = (0.., 0..);
    for (number, other) in links.others.iter().enumerate() {
        let first = number == 0 && links.host0.is_none();
        let asked = first.then_some(&links.addressing);
        let inside = asked.map_or_else(Setup::default, |asked| addresses::fixed(asked).inside);
        let mac = asked.and_then(|asked| asked.mac);
        if first {
            let own = inside.addresses.iter().map(IpNet::addr);
            maker.to.addresses = own.collect();
        }
        let name = other.inside()?;
        match other {
            Other::Interface(pair) => maker.lend(pair, name, inside)?,
            Other::Macvlan(pair) => {
                let own = maker.mac(End::Macvlan, macvlans.next().unwrap_or_default());
                maker.stack(Stacking::Macvlan(mac.unwrap_or(own)), pair, name, inside)?;
            }
            Other::Ipvlan(pair) => maker.stack(Stacking::Ipvlan, pair, name, inside)?,
            Other::Extra(pair) => {
                let number = extra.next().unwrap_or_default();
                maker.extra(pair, number, (name, mac, inside))?;
            }
            Other::Vlan(vlan, _) => {
                let number = extra.next().unwrap_or_default();
                maker.vlan(*vlan, number, (name, mac, inside))?;
            }
        }
    }
    let Maker { to, place, .. } = maker;
    to.services.publish_host(&links.host_ports, &place)
}

struct Maker<'a> {
    machine: &'a Machine<'a>,
    net: Net,
    host: HostId,
    claim: &'a mut Claim,
    netns: BorrowedFd<'a>,
    to: &'a mut Attached,
    /// The machine's namespace, for sockets.
    place: Place,
}

/// The end inside of a pair.
type Inner = (IfName, Option<MacAddr>, Setup);

impl Maker<'_> {
    fn mac(&self, end: End, number: u64) -> MacAddr {
        MacAddr::derive(self.host, self.machine.name.as_str(), end, number)
    }

    /// The link that images know by its name.
    fn host0(&mut self, uplink: &Uplink) -> Result<()> {
        let asked = &self.machine.links.addressing;
        let mac = asked.mac.unwrap_or_else(|| self.mac(End::Peer, 0));
        // Two machines that look for a free network at once would find the same one.
        self.to.turn = Some(self.machine.store.turn()?);
        // Until the machine's port counts.
        let _counting = match uplink {
            Uplink::Zone(_) => Some(Counting::begin()?),
            Uplink::Host | Uplink::Bridge(_) => None,
        };
        let (ends, bridge) = match uplink {
            Uplink::Host => (self.routed(asked, mac)?, None),
            Uplink::Bridge(name) => (addresses::fixed(asked), Some(name.clone())),
            Uplink::Zone(zone) => (self.member(zone, mac)?, Some(zone.bridge())),
        };
        let prefix = if bridge.is_some() { "vb-" } else { "ve-" };
        let own = ends.inside.addresses.iter().map(IpNet::addr);
        self.to.addresses = own.collect();
        let (name, altname) = named(prefix, self.machine.name)?;
        let host_mac = self.mac(End::Host, 0);
        let bridge_mac = match &bridge {
            Some(name) => self.net.find(name).map_err(|error| refusal(&error))?,
            None => None,
        };
        let bridge_mac = bridge_mac.and_then(|link| link.mac);
        let plan = VethPlan {
            host: self.owner(name, host_mac),
            altname,
            bridge,
            addresses: ends.host,
            peer: named(HOST0, "")?.0,
            peer_mac: mac,
            inside: ends.inside,
        };
        self.pair(&plan)?;
        if matches!(uplink, Uplink::Bridge(_)) {
            return Ok(());
        }
        let routed = Routed {
            net: &self.net,
            machine: self.machine,
            uplink,
            port: plan.host.name,
            mac,
            inside: plan.inside.addresses,
            gateways: plan.inside.gateways,
            router_mac: bridge_mac.unwrap_or(host_mac),
        };
        routed.serve(self.claim, &self.place, self.to)
    }

    /// The ends of a link to the host, in networks that nobody uses.
    fn routed(&self, asked: &Addressing, mac: MacAddr) -> Result<Ends> {
        let name = self.machine.name.as_str();
        let networks = self.networks(name, name, PREFIX)?;
        Ok(addresses::pair(asked, networks, mac))
    }

    /// The machine's end of a link in a zone. The bridge is there after this, with the addresses of
    /// whoever made it, or of its first machine.
    fn member(&mut self, zone: &Zone, mac: MacAddr) -> Result<Ends> {
        let bridge = zone.bridge();
        let shared = Shared(bridge.clone());
        self.claim.note(shared.item())?;
        self.to.shared.push(shared);
        shared::ensure(&self.net, &bridge, self.host)?;
        let there = self
            .net
            .addresses(&bridge)
            .map_err(|error| refusal(&error))?;
        let mut gateways = Networks {
            v4: there.iter().find_map(as_v4),
            v6: there.iter().find_map(as_v6),
        };
        if gateways.v4.is_none() || gateways.v6.is_none() {
            let seed = format!("zone {zone}");
            let free = self.networks(&format!("zone:{zone}"), &seed, ZONE_PREFIX)?;
            let v4 = free.v4.and_then(addresses::first_of_v4);
            gateways.v4 = gateways.v4.or(v4);
            gateways.v6 = gateways.v6.or(free.v6.map(addresses::first_of));
            let own: Vec<IpNet> = gateways.v4.map(IpNet::from).into_iter().collect();
            let own = own.into_iter().chain(gateways.v6.map(IpNet::from));
            self.net
                .address_bridge(&bridge, &own.collect::<Vec<_>>())
                .map_err(|error| refusal(&error))?;
        }
        let taken = self.neighbours(&bridge)?;
        let asked = &self.machine.links.addressing;
        let name = self.machine.name.as_str();
        Ok(addresses::member(asked, gateways, mac, name, &taken))
    }

    /// Networks that nobody uses: those that the file `lease` remembers, or that the seed points at,
    /// or others.
    fn networks(&self, lease: &str, seed: &str, prefix: u8) -> Result<Networks> {
        let used = self.net.used_networks().map_err(|error| refusal(&error))?;
        let seed = stable_seed(seed);
        let leases = Leases::new(self.machine.lib);
        let remembered = leases.read(lease);
        let first = Wish {
            v4: pick_subnet(&[], seed, prefix),
            v6: pick_prefix(&[], self.host, seed),
        };
        let v4 = remembered.v4.filter(|net| net.prefix_len() == prefix);
        let v4 = v4.filter(|net| !used.iter().any(|other| overlap((*net).into(), *other)));
        let v6 = remembered
            .v6
            .filter(|net| !used.iter().any(|other| overlap((*net).into(), *other)));
        let chosen = Wish {
            v4: v4.or_else(|| pick_subnet(&used, seed, prefix)),
            v6: v6.or_else(|| pick_prefix(&used, self.host, seed)),
        };
        leases.keep(lease, first, chosen);
        Ok(Networks {
            v4: chosen.v4,
            v6: chosen.v6.filter(|_| has_ipv6()),
        })
    }

    /// Addresses of the machines that have a port in the bridge.
    fn neighbours(&self, bridge: &IfName) -> Result<Vec<IpAddr>> {
        let ports = self.net.ports(bridge).map_err(|error| refusal(&error))?;
        let names = ports.iter().filter_map(|port| {
            let rest = port.alias.as_deref()?.strip_prefix(crate::state::TAG)?;
            rest.split(':').next()?.parse::<MachineName>().ok()
        });
        let mut all = Vec::new();
        for name in names.filter(|name| name != self.machine.name) {
            if let Some(machine) = self.machine.store.machine(&name)?
                && let Some(record) = machine.record()
            {
                all.extend_from_slice(&record.addresses);
            }
        }
        Ok(all)
    }

    fn owner(&self, name: IfName, mac: MacAddr) -> Owner {
        let tag = self.machine.incarnation.link_tag(self.machine.name);
        Owner { name, mac, tag }
    }

    fn pair(&mut self, plan: &VethPlan) -> Result<()> {
        self.claim.note(Item::link(&plan.host))?;
        self.to.pairs.push(Pair(plan.host.clone()));
        let made = self.net.create_veth(self.netns, plan);
        made.map_err(|error| refusal(&error))
    }

    fn extra(&mut self, link: &LinkPair, number: u64, (peer, mac, inside): Inner) -> Result<()> {
        self.pair(&VethPlan {
            host: self.owner(link.host.clone(), self.mac(End::ExtraHost, number)),
            altname: None,
            bridge: None,
            addresses: Vec::new(),
            peer,
            peer_mac: mac.unwrap_or_else(|| self.mac(End::ExtraPeer, number)),
            inside,
        })
    }

    fn vlan(&mut self, vlan: Vlan, number: u64, (peer, mac, mut inside): Inner) -> Result<()> {
        let (bridge, _) = named("nsrun-vlan", vlan.network.to_string())?;
        let _counting = Counting::begin()?;
        let shared = Shared(bridge.clone());
        self.claim.note(shared.item())?;
        self.to.shared.push(shared);
        shared::ensure(&self.net, &bridge, self.host)?;
        if let Some(machine) = vlan.machine {
            let own = addresses::vlan(vlan.network, machine);
            let v6 = has_ipv6();
            let usable = own
                .addresses
                .into_iter()
                .filter(|net| v6 || net.addr().is_ipv4());
            inside.addresses.extend(usable);
        }
        let (name, altname) = named(&format!("v{}-", vlan.network), self.machine.name)?;
        self.pair(&VethPlan {
            host: self.owner(name, self.mac(End::ExtraHost, number)),
            altname,
            bridge: Some(bridge),
            addresses: Vec::new(),
            peer,
            peer_mac: mac.unwrap_or_else(|| self.mac(End::ExtraPeer, number)),
            inside,
        })
    }

    fn stack(
        &mut self,
        stacking: Stacking,
        pair: &LinkPair,
        name: IfName,
        inside: Setup,
    ) -> Result<()> {
        let plan = StackedPlan {
            stacking,
            below: pair.host.clone(),
            name,
            inside,
        };
        let made = self.net.create_stacked(self.netns, &plan);
        made.map_err(|error| refusal(&error))
    }

    fn lend(&mut self, pair: &LinkPair, inside_name: IfName, inside: Setup) -> Result<()> {
        let found = self.net.find(&pair.host).map_err(|error| refusal(&error))?;
        let moved = Moved {
            name: pair.host.clone(),
            tag: self
                .machine
                .incarnation
                .lent_tag(self.machine.name, &pair.host),
            alias: found.and_then(|link| link.alias).unwrap_or_default(),
        };
        let plan = MovePlan {
            name: moved.name.clone(),
            inside_name,
            tag: moved.tag.clone(),
            inside,
        };
        let netns = self.netns.try_clone_to_owned();
        let netns = netns.cannot(|| "duplicate the descriptor of the network namespace")?;
        self.claim.note(Item::lent(&moved))?;
        self.to.lent.push(Lent {
            moved,
            index: None,
            netns,
        });
        let index = self
            .net
            .lend(self.netns, &plan)
            .map_err(|error| refusal(&error))?;
        if let Some(lent) = self.to.lent.last_mut() {
            lent.index = Some(index);
        }
        Ok(())
    }
}

fn named(prefix: &str, name: impl AsRef<str>) -> Result<(IfName, Option<String>)> {
    veth_name(prefix, name.as_ref()).map_err(|error| Error::new(Kind::Usage, error.to_string()))
}

fn as_v4(net: &IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    }
}

fn as_v6(net: &IpNet) -> Option<Ipv6Net> {
    match net {
        IpNet::V6(net) => Some(*net),
        IpNet::V4(_) => None,
    }
}

fn overlap(one: IpNet, other: IpNet) -> bool {
    let same = one.addr().is_ipv4() == other.addr().is_ipv4();
    let default = other.prefix_len() == 0;
    same && !default && (one.contains(&other.network()) || other.contains(&one.network()))
}

/// Whether links can have addresses of IPv6 on this host.
fn has_ipv6() -> bool {
    let disabled = std::fs::read("/proc/sys/net/ipv6/conf/default/disable_ipv6");
    disabled.is_ok_and(|text| text.starts_with(b"0"))
}
