//! Which addresses the two ends of a link get. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nsrun_netns::{IpNet, Ipv4Net, Ipv6Net, MacAddr, Setup, stable_seed};

use crate::plan::network::{Addressing, Choice};

/// What both ends get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) host: Vec<IpNet>,
    pub(super) inside: Setup,
}

/// The networks of a link that the host routes for, where nobody has said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Networks {
    pub(super) v4: Option<Ipv4Net>,
    pub(super) v6: Option<Ipv6Net>,
}

/// What a link gets that does not end at the host: what the user says, no more.
pub(super) fn fixed(asked: &Addressing) -> Ends {
    let v4 = asked.ip.fixed().map(IpNet::from);
    let v6 = asked.ip6.fixed().map(IpNet::from);
    Ends {
        host: Vec::new(),
        inside: Setup {
            addresses: v4.into_iter().chain(v6).collect(),
            gateways: asked.gateways.clone(),
            mtu: asked.mtu,
        },
    }
}

/// What a link between host and machine gets. The host's end is the machine's gateway.
pub(super) fn pair(asked: &Addressing, networks: Networks, mac: MacAddr) -> Ends {
    let mut ends = Ends::default();
    ends.inside.mtu = asked.mtu;
    let v4 = match asked.ip {
        Choice::No => None,
        Choice::Fixed(machine) => Some((gateway_v4(asked, machine), Some(machine))),
        Choice::Auto => networks.v4.map(first_two),
    };
    if let Some((host, machine)) = v4 {
        ends.add(host.map(IpNet::from), machine.map(IpNet::from));
    }
    let v6 = match asked.ip6 {
        Choice::No => None,
        Choice::Fixed(machine) => Some((gateway_v6(asked, machine), machine)),
        Choice::Auto => networks
            .v6
            .map(|prefix| (first_of(prefix), own(prefix, mac))),
    };
    if let Some((host, machine)) = v6 {
        ends.add(Some(host.into()), Some(machine.into()));
    }
    ends
}

/// What a machine in a zone gets; `gateways` are the bridge's addresses, and `taken` those of the
/// other machines.
pub(super) fn member(
    asked: &Addressing,
    gateways: Networks,
    mac: MacAddr,
    name: &str,
    taken: &[IpAddr],
) -> Ends {
    let mut ends = Ends::default();
    ends.inside.mtu = asked.mtu;
    ends.inside.gateways.clone_from(&asked.gateways);
    let v4 = match asked.ip {
        Choice::No => None,
        Choice::Fixed(machine) => Some(machine),
        Choice::Auto => gateways.v4.and_then(|gateway| free(gateway, name, taken)),
    };
    let v6 = match asked.ip6 {
        Choice::No => None,
        Choice::Fixed(machine) => Some(machine),
        Choice::Auto => gateways.v6.map(|gateway| own(gateway, mac)),
    };
    let routes_v4 = asked.gateways.iter().any(IpAddr::is_ipv4);
    let routes_v6 = asked.gateways.iter().any(IpAddr::is_ipv6);
    if let Some(machine) = v4 {
        let near = gateways
            .v4
            .filter(|gateway| machine.contains(&gateway.addr()) && !routes_v4);
        ends.inside
            .gateways
            .extend(near.map(|net| IpAddr::from(net.addr())));
        ends.inside.addresses.push(machine.into());
    }
    if let Some(machine) = v6 {
        let near = gateways
            .v6
            .filter(|gateway| machine.contains(&gateway.addr()) && !routes_v6);
        ends.inside
            .gateways
            .extend(near.map(|net| IpAddr::from(net.addr())));
        ends.inside.addresses.push(machine.into());
    }
    ends
}

/// What a machine with a number in a vlan gets, as the test driver of NixOS numbers them.
pub(super) fn vlan(network: u8, machine: u8) -> Setup {
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(192, 168, network, machine), 24);
    let [network, machine] = [network, machine].map(u16::from);
    // Decimal digits that are read as hexadecimal ones, so that both addresses look alike.
    let digits = |number: u16| number / 100 * 256 + number / 10 % 10 * 16 + number % 10;
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, digits(network), 0, 0, 0, 0, digits(machine));
    let v6 = Ipv6Net::new_assert(v6, 64);
    Setup {
        addresses: vec![v4.into(), v6.into()],
        ..Setup::default()
    }
}

/// The first address of a network, the host's.
pub(super) fn first_of(network: Ipv6Net) -> Ipv6Net {
    let first = Ipv6Addr::from(u128::from(network.network()) | 1);
    Ipv6Net::new_assert(first, network.prefix_len())
}

/// The first address of a network, the host's.
pub(super) fn first_of_v4(network: Ipv4Net) -> Option<Ipv4Net> {
    let first = network.hosts().next()?;
    Ipv4Net::new(first, network.prefix_len()).ok()
}

impl Ends {
    fn add(&mut self, host: Option<IpNet>, machine: Option<IpNet>) {
        self.host.extend(host);
        self.inside.addresses.extend(machine);
        self.inside.gateways.extend(host.map(|net| net.addr()));
    }
}

fn first_two(network: Ipv4Net) -> (Option<Ipv4Net>, Option<Ipv4Net>) {
    let mut usable = network.hosts();
    let mut next = || Ipv4Net::new(usable.next()?, network.prefix_len()).ok();
    (next(), next())
}

fn own(network: Ipv6Net, mac: MacAddr) -> Ipv6Net {
    Ipv6Net::new_assert(mac.in_prefix(network), network.prefix_len())
}

/// The host's address opposite of one that the user chose: the gateway that was named, or the first
/// other one. None in a network of one address.
fn gateway_v4(asked: &Addressing, machine: Ipv4Net) -> Option<Ipv4Net> {
    let named = asked.gateways.iter().find_map(|gateway| match gateway {
        IpAddr::V4(v4) => Some(*v4),
        IpAddr::V6(_) => None,
    });
    let other = || machine.hosts().find(|&address| address != machine.addr());
    let address = named.or_else(other)?;
    Ipv4Net::new(address, machine.prefix_len()).ok()
}

fn gateway_v6(asked: &Addressing, machine: Ipv6Net) -> Ipv6Net {
    let named = asked.gateways.iter().find_map(|gateway| match gateway {
        IpAddr::V6(v6) => Some(*v6),
        IpAddr::V4(_) => None,
    });
    let first = first_of(machine);
    let address = match named {
        Some(address) => address,
        None if first.addr() == machine.addr() => Ipv6Addr::from(u128::from(machine.network()) | 2),
        None => first.addr(),
    };
    Ipv6Net::new_assert(address, machine.prefix_len())
}

/// An address in the gateway's network that is the same on each start unless somebody has it.
fn free(gateway: Ipv4Net, name: &str, taken: &[IpAddr]) -> Option<Ipv4Net> {
    let first = u64::from(u32::from(gateway.network())) + 1;
    let last = u64::from(u32::from(gateway.broadcast()));
    let count = last.checked_sub(first).filter(|&count| count > 0)?;
    let start = stable_seed(name) % count;
    (0..count)
        .map(|step| first + (start + step) % count)
        .filter_map(|number| u32::try_from(number).ok())
        .map(Ipv4Addr::from)
        .find(|&address| address != gateway.addr() && !taken.contains(&address.into()))
        .and_then(|address| Ipv4Net::new(address, gateway.prefix_len()).ok())
}

#[cfg(test)]
mod tests;
