//! Stable hardware addresses.

use std::fmt;
use std::fs;
use std::hash::Hasher;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use siphasher::sip::SipHasher24;

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MacAddr([u8; 6]);

/// Which link, and which end of it, an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end that stays on the host.
    Host,
    /// The end inside the other namespace.
    Peer,
    /// The end on the host of a further pair.
    ExtraHost,
    /// The end inside of a further pair.
    ExtraPeer,
    /// A macvlan.
    Macvlan,
}

impl End {
    /// The keys of systemd-nspawn, so that a machine keeps its address under either tool.
    fn key(self) -> [u8; 16] {
        match self {
            Self::Host => 0x1a37_6fc7_46ec_450b_ada3_d531_0660_5db1_u128,
            Self::Peer => 0xc3c4_f919_b557_b21c_e6cf_1427_039c_eea2_u128,
            Self::ExtraHost => 0x48c7_f6b7_ea9d_4c9e_b728_d4de_91d5_bf66_u128,
            Self::ExtraPeer => 0xaf50_1761_cef9_4d35_840d_2b20_54be_ce59_u128,
            Self::Macvlan => 0x0013_6dbc_6683_4481_bb0c_f951_1f24_a66f_u128,
        }
        .to_be_bytes()
    }
}

/// What makes one host's addresses differ from another's: its machine id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostId([u8; 16]);

impl HostId {
    /// Parses the contents of `machine-id(5)`, or a UUID with hyphens; `None` for
    /// anything else, including an id of zeros and the word `uninitialized`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().replace('-', "");
        let all_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        if digits.len() != 32 || !all_hex {
            return None;
        }
        match u128::from_str_radix(&digits, 16) {
            Ok(0) | Err(_) => None,
            Ok(id) => Some(Self(id.to_be_bytes())),
        }
    }

    /// This host's machine id. A host without one gets the kernel's boot id in its
    /// place: still unique in the local network, but stable only until the next boot.
    #[must_use]
    pub fn of_this_host() -> Self {
        const SOURCES: [&str; 3] = [
            "/etc/machine-id",
            "/var/lib/dbus/machine-id",
            "/proc/sys/kernel/random/boot_id",
        ];
        SOURCES
            .iter()
            .find_map(|path| Self::parse(&fs::read_to_string(path).ok()?))
            .unwrap_or(Self([0; 16]))
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl MacAddr {
    /// The address for one end of the pair number `index` of `machine`, as
    /// systemd-nspawn computes it: locally administered, unicast.
    #[must_use]
    pub fn derive(host: HostId, machine: &str, end: End, index: u64) -> Self {
        let mut hasher = SipHasher24::new_with_key(&end.key());
        hasher.write(&host.0);
        hasher.write(machine.as_bytes());
        if index > 0 {
            hasher.write(&index.to_le_bytes());
        }
        let [a, b, c, d, e, f, _, _] = hasher.finish().to_le_bytes();
        Self([a & 0xfe | 0x02, b, c, d, e, f])
    }

    /// Whether a link can have it: it is none of a group of links, and not zero.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// The link-local address that the kernel makes for a link with this address, unless
    /// told to make others (`addr_gen_mode`).
    #[must_use]
    pub fn link_local(self) -> Ipv6Addr {
        Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(self.interface_id()))
    }

    /// The address in the /64 of `prefix` that a host of this Ethernet address makes for itself
    /// (RFC 4862).
    #[must_use]
    pub fn in_prefix(self, prefix: Ipv6Net) -> Ipv6Addr {
        let network = u128::from(prefix.network());
        Ipv6Addr::from(network & !u128::from(u64::MAX) | u128::from(self.interface_id()))
    }

    /// The modified EUI-64 of RFC 4291, appendix A.
    fn interface_id(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([a ^ 0x02, b, c, 0xff, 0xfe, d, e, f])
    }

    /// The six octets in transmission order.
    #[must_use]
    pub fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::str::FromStr for MacAddr {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or(InvalidMac)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(InvalidMac);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| InvalidMac)?;
        }
        match parts.next() {
            None => Ok(Self(octets)),
            Some(_) => Err(InvalidMac),
        }
    }
}

/// Text that is no Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an Ethernet address is six pairs of hexadecimal digits with colons between")]
pub struct InvalidMac;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn derive(id: &str, machine: &str, end: End, index: u64) -> String {
        MacAddr::derive(HostId::parse(id).unwrap(), machine, end, index).to_string()
    }

    // Taken from the links that systemd-nspawn 252 made on a host with this id.
    #[test]
    fn addresses_are_those_of_nspawn() {
        let (id, machine) = (
            "3d1219c7c4c5404aaa1f6d2a48adfda4",
            "a-rather-long-machine-name",
        );
        assert_eq!(derive(id, machine, End::Host, 0), "b2:09:e2:60:e5:40");
        assert_eq!(derive(id, machine, End::Peer, 0), "a2:4d:e8:13:8e:6e");
    }

    // Computed by a SipHash written in Python from its definition.
    #[test]
    fn further_pairs_differ() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(derive(id, "web", End::Host, 0), "3a:23:55:9e:93:59");
        assert_eq!(derive(id, "web", End::Host, 1), "6e:3e:98:c6:86:41");
        assert_eq!(derive(id, "web", End::Peer, 0), "da:fb:5c:16:4a:cc");
        assert_eq!(derive(id, "web", End::Peer, 1), "fe:85:d9:b3:39:0a");
    }

    #[test]
    fn an_id_is_32_digits_or_a_uuid() {
        let plain = HostId::parse("0123456789abcdef0123456789abcdef\n");
        assert_eq!(plain, HostId::parse("01234567-89ab-cdef-0123-456789abcdef"));
        assert!(plain.is_some());
        for text in [
            "",
            "uninitialized\n",
            "00000000000000000000000000000000",
            "+123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(HostId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_prefix_gets_the_address_that_the_kernel_would_make() {
        let mac: MacAddr = "02:00:5e:10:00:01".parse().unwrap();
        let address = mac.in_prefix("fd12:3456:789a:1::/64".parse().unwrap());
        assert_eq!(address.to_string(), "fd12:3456:789a:1:0:5eff:fe10:1");
        assert!(mac.is_unicast());
        assert!(!MacAddr::from([1, 0, 0, 0, 0, 0]).is_unicast());
        assert!(!MacAddr::from([0; 6]).is_unicast());
    }

    #[test]
    fn interfaces_are_named_as_in_the_rfc() {
        let mac: MacAddr = "34:56:78:9a:bc:de".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::3656:78ff:fe9a:bcde");
        let address = mac.in_prefix("fd00:1::/64".parse().unwrap());
        assert_eq!(address.to_string(), "fd00:1::3656:78ff:fe9a:bcde");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:00:00",
            "+2:00:00:00:00:00",
            "2:0:0:0:0:0",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(InvalidMac), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_address_is_local_and_unicast(machine in ".{0,64}", index: u64) {
            let host = HostId::parse("3d1219c7c4c5404aaa1f6d2a48adfda4").unwrap();
            let first = MacAddr::derive(host, &machine, End::Peer, index).octets()[0];
            prop_assert_eq!(first & 0x03, 0x02);
        }

        #[test]
        fn text_and_address_convert_both_ways(octets: [u8; 6]) {
            let mac = MacAddr::from(octets);
            prop_assert_eq!(mac.to_string().parse::<MacAddr>(), Ok(mac));
        }
    }
}
