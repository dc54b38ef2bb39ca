//! Private prefixes of IPv6.

use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv6Net};

use crate::mac::HostId;
use crate::subnet::stable_seed;

/// How many networks of a host have numbers of 16 bits.
const SUBNETS: u64 = 1 << 16;

/// A prefix of this host from fd00::/8 (RFC 4193) that overlaps none of `used`: 40 bits are the
/// host's, so that no two hosts have the same, and 16 the network's, the seed's or the next free
/// ones. `None` if nothing is free.
#[must_use]
pub fn pick_prefix(used: &[IpNet], host: HostId, seed: u64) -> Option<Ipv6Net> {
    let global = u128::from(stable_seed(&host.to_string()) & 0xff_ffff_ffff);
    let base = 0xfd_u128 << 120 | global << 80;
    let prefix = |number: u64| {
        let subnet = u128::from(seed.wrapping_add(number) % SUBNETS);
        Ipv6Net::new(Ipv6Addr::from(base | subnet << 64), 64).ok()
    };
    (0..SUBNETS)
        .filter_map(prefix)
        .find(|prefix| !used.iter().any(|other| overlaps(*prefix, other)))
}

fn overlaps(prefix: Ipv6Net, other: &IpNet) -> bool {
    match other {
        // A default route takes nothing.
        IpNet::V6(other) if other.prefix_len() > 0 => {
            prefix.contains(&other.network()) || other.contains(&prefix.network())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(used: &[&str], host: &str, seed: u64) -> Option<Ipv6Net> {
        let used: Vec<IpNet> = used.iter().map(|text| text.parse().unwrap()).collect();
        pick_prefix(&used, HostId::parse(host).unwrap(), seed)
    }

    const HOST: &str = "3d1219c7c4c5404aaa1f6d2a48adfda4";

    #[test]
    fn a_prefix_is_the_hosts_and_the_networks() {
        let web = pick(&[], HOST, 7).unwrap();
        let db = pick(&[], HOST, 8).unwrap();
        let elsewhere = pick(&[], "3d1219c7c4c5404aaa1f6d2a48adfda5", 7).unwrap();
        assert_eq!(Some(web), pick(&["::/0", "10.0.0.0/8"], HOST, 7));
        assert_eq!(web.addr().segments()[..3], db.addr().segments()[..3]);
        assert_ne!(web.addr().segments()[..3], elsewhere.addr().segments()[..3]);
        assert_eq!((web.addr().segments()[3], db.addr().segments()[3]), (7, 8));
        assert!(web.addr().is_unique_local());
        assert_eq!((web.prefix_len(), web.trunc()), (64, web));
    }

    #[test]
    fn what_is_taken_is_passed_over_and_numbers_wrap() {
        let last = pick(&[], HOST, 0xffff).unwrap();
        let next = pick(&[&last.to_string()], HOST, 0xffff).unwrap();
        assert_eq!(next.addr().segments()[3], 0);
        assert_eq!(pick(&["fd00::/8"], HOST, 7), None);
    }
}
