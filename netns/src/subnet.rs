//! Choosing a private subnet that collides with nothing the host knows.

use std::hash::Hasher;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use siphasher::sip::SipHasher24;

/// The private ranges of RFC 1918, in the order in which systemd-networkd tries them.
const POOLS: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
];

/// Routes at least this broad say "private space lies that way" rather than "this
/// network is attached"; see [`pick_subnet`].
const BROAD: u8 = 16;

const SEED_KEY: [u8; 16] = 0x5d0f_93c2_8e17_4ab6_b1c4_2f6e_09d8_7a35_u128.to_be_bytes();

/// The addresses of the two ends of a pair, each with the subnet's prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The host end's, which is the peer's gateway too.
    pub host: Ipv4Net,
    /// The peer's.
    pub peer: Ipv4Net,
}

impl Addresses {
    /// The first usable address for the host, the second for the peer; `None` if the
    /// subnet has fewer than two.
    #[must_use]
    pub fn first_two(subnet: Ipv4Net) -> Option<Self> {
        let mut usable = subnet.hosts();
        let mut next = || Ipv4Net::new(usable.next()?, subnet.prefix_len()).ok();
        Some(Self {
            host: next()?,
            peer: next()?,
        })
    }
}

/// A number that is the same for the same text on every host and in every release.
#[must_use]
pub fn stable_seed(text: &str) -> u64 {
    let mut hasher = SipHasher24::new_with_key(&SEED_KEY);
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// A private subnet of length `prefix` that overlaps none of `used`: where the seed
/// points within 192.168.0.0/16, else the next free one after it, else the same in
/// 172.16.0.0/12 and in 10.0.0.0/8.
///
/// A VPN that routes private space as a whole leaves nothing free. Then networks of
/// /16 and broader are disregarded: the subnet becomes a more specific route, and only
/// its own few addresses are hidden from the VPN. `None` if even so nothing is free.
#[must_use]
pub fn pick_subnet(used: &[IpNet], seed: u64, prefix: u8) -> Option<Ipv4Net> {
    let used: Vec<Ipv4Net> = used.iter().filter_map(as_v4).collect();
    let narrow: Vec<Ipv4Net> = used
        .iter()
        .copied()
        .filter(|net| net.prefix_len() > BROAD)
        .collect();
    [used, narrow]
        .iter()
        .find_map(|taken| first_free(taken, seed, prefix))
}

/// The network, unless it is IPv6 or a default route.
fn as_v4(net: &IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(net) if net.prefix_len() > 0 => Some(*net),
        _ => None,
    }
}

fn first_free(used: &[Ipv4Net], seed: u64, prefix: u8) -> Option<Ipv4Net> {
    POOLS
        .iter()
        .filter_map(|&(address, length)| Ipv4Net::new(address, length).ok())
        .filter(|pool| (pool.prefix_len()..=30).contains(&prefix))
        .find_map(|pool| free_in(pool, used, seed, prefix))
}

/// Walks the pool once, from the seed's subnet round to it again. A collision skips
/// all of the network collided with, so the walk is no longer than `used`.
fn free_in(pool: Ipv4Net, used: &[Ipv4Net], seed: u64, prefix: u8) -> Option<Ipv4Net> {
    let first = u64::from(u32::from(pool.network()));
    let pool_last = u64::from(u32::from(pool.broadcast()));
    let size = 1_u64 << (32 - prefix);
    let count = (pool_last - first + 1) / size;

    let mut index = seed % count;
    let mut walked = 0;
    while walked < count {
        let start = first + index * size;
        let Some(last) = last_taken(used, start, start + size - 1) else {
            let address = Ipv4Addr::from(u32::try_from(start).ok()?);
            return Ipv4Net::new(address, prefix).ok();
        };
        let next = (last.min(pool_last) - first) / size + 1;
        walked += next - index;
        index = next % count;
    }
    None
}

/// The last address of those networks that overlap `start..=end`.
fn last_taken(used: &[Ipv4Net], start: u64, end: u64) -> Option<u64> {
    used.iter()
        .map(|net| (u32::from(net.network()), u32::from(net.broadcast())))
        .map(|(first, last)| (u64::from(first), u64::from(last)))
        .filter(|&(first, last)| first <= end && last >= start)
        .map(|(_, last)| last)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    fn pick(used: &[&str], seed: u64) -> Option<String> {
        pick_subnet(&nets(used), seed, 28).map(|net| net.to_string())
    }

    #[test]
    fn the_seed_points_into_the_first_pool() {
        assert_eq!(pick(&[], 0).as_deref(), Some("192.168.0.0/28"));
        assert_eq!(pick(&[], 17).as_deref(), Some("192.168.1.16/28"));
        assert_eq!(pick(&[], 4096 + 17), pick(&[], 17));
    }

    #[test]
    fn a_collision_moves_on_past_the_other_network() {
        assert_eq!(
            pick(&["192.168.0.0/24"], 3).as_deref(),
            Some("192.168.1.0/28")
        );
        assert_eq!(
            pick(&["192.168.0.5/32"], 0).as_deref(),
            Some("192.168.0.16/28")
        );
        assert_eq!(
            pick(&["192.168.255.0/24"], 4095).as_deref(),
            Some("192.168.0.0/28")
        );
    }

    #[test]
    fn full_pools_lead_to_the_next() {
        assert_eq!(
            pick(&["192.168.0.0/16"], 1).as_deref(),
            Some("172.16.0.16/28")
        );
        let both = ["192.168.0.0/16", "172.0.0.0/8"];
        assert_eq!(pick(&both, 1).as_deref(), Some("10.0.0.16/28"));
    }

    #[test]
    fn default_routes_and_ipv6_take_nothing() {
        assert_eq!(
            pick(&["0.0.0.0/0", "::/0", "fd00::/8"], 0).as_deref(),
            Some("192.168.0.0/28")
        );
    }

    #[test]
    fn private_space_routed_away_leaves_room_for_a_narrower_route() {
        let vpn = [
            "192.168.0.0/16",
            "172.16.0.0/12",
            "10.0.0.0/8",
            "192.168.0.1/32",
        ];
        assert_eq!(pick(&vpn, 0).as_deref(), Some("192.168.0.16/28"));
    }

    #[test]
    fn gives_up_when_nothing_is_left() {
        let halves = [
            "192.168.0.0/17",
            "192.168.128.0/17",
            "172.16.0.0/13",
            "172.24.0.0/13",
            "10.0.0.0/9",
            "10.128.0.0/9",
        ];
        let all: Vec<IpNet> = nets(&halves)
            .iter()
            .flat_map(|net| net.subnets(17.max(net.prefix_len())).unwrap())
            .collect();
        assert_eq!(pick_subnet(&all, 5, 28), None);
        assert_eq!(pick_subnet(&[], 5, 31), None);
    }

    #[test]
    fn the_first_two_addresses_are_used() {
        let pair = Addresses::first_two("192.168.7.16/28".parse().unwrap()).unwrap();
        assert_eq!(pair.host.to_string(), "192.168.7.17/28");
        assert_eq!(pair.peer.to_string(), "192.168.7.18/28");
        assert_eq!(
            Addresses::first_two("192.168.7.16/32".parse().unwrap()),
            None
        );
    }

    proptest! {
        #[test]
        fn the_choice_is_private_and_free(
            used in prop::collection::vec((any::<u32>(), 1_u8..=32), 0..40),
            seed: u64,
            prefix in 20_u8..=30,
        ) {
            let used: Vec<IpNet> = used
                .iter()
                .map(|&(address, length)| Ipv4Net::new(address.into(), length).unwrap().into())
                .collect();
            if let Some(net) = pick_subnet(&used, seed, prefix) {
                prop_assert!(net.network().is_private() && net.broadcast().is_private());
                let overlaps = |other: &IpNet| match other {
                    IpNet::V4(other) => other.contains(&net.network()) || net.contains(&other.network()),
                    IpNet::V6(_) => false,
                };
                let narrow = used.iter().filter(|u| u.prefix_len() > BROAD);
                prop_assert!(!narrow.clone().any(overlaps));
            }
        }
    }
}
