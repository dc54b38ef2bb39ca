//! Address families by their names, and which a payload may make sockets of.

use std::collections::BTreeSet;

/// Names without the `AF_`, and numbers, of `linux/socket.h`. A number may have several names.
#[rustfmt::skip]
const FAMILIES: &[(&str, u32)] = &[
    ("UNIX", 1), ("LOCAL", 1), ("INET", 2), ("AX25", 3), ("IPX", 4), ("APPLETALK", 5),
    ("NETROM", 6), ("BRIDGE", 7), ("ATMPVC", 8), ("X25", 9), ("INET6", 10), ("ROSE", 11),
    ("DECnet", 12), ("NETBEUI", 13), ("SECURITY", 14), ("KEY", 15), ("NETLINK", 16),
    ("ROUTE", 16), ("PACKET", 17), ("ASH", 18), ("ECONET", 19), ("ATMSVC", 20), ("RDS", 21),
    ("SNA", 22), ("IRDA", 23), ("PPPOX", 24), ("WANPIPE", 25), ("LLC", 26), ("IB", 27),
    ("MPLS", 28), ("CAN", 29), ("TIPC", 30), ("BLUETOOTH", 31), ("IUCV", 32), ("RXRPC", 33),
    ("ISDN", 34), ("PHONET", 35), ("IEEE802154", 36), ("CAIF", 37), ("ALG", 38), ("NFC", 39),
    ("VSOCK", 40), ("KCM", 41), ("QIPCRTR", 42), ("SMC", 43), ("XDP", 44), ("MCTP", 45),
];

/// The number of a family.
pub(super) fn number(name: &str) -> Option<u32> {
    let name = name.strip_prefix("AF_")?;
    let found = FAMILIES.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number)
}

/// Every name that [`number`] knows.
pub(super) fn names() -> impl Iterator<Item = String> {
    FAMILIES.iter().map(|(name, _)| format!("AF_{name}"))
}

/// Families of which sockets can be made; others fail with EAFNOSUPPORT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Families {
    /// All that the kernel has.
    #[default]
    Any,
    /// These.
    Only(BTreeSet<u32>),
    /// All but these.
    But(BTreeSet<u32>),
}

impl Families {
    /// Adds to what is allowed or denied. As in systemd the first rule decides whether it is a list of
    /// what is allowed or of what is not; rules of the other sort then take out of it.
    pub(super) fn take(&mut self, denied: bool, numbers: &[u32]) {
        if *self == Self::Any {
            let list = numbers.iter().copied().collect();
            *self = if denied {
                Self::But(list)
            } else {
                Self::Only(list)
            };
            return;
        }
        let (list, of_denied) = match self {
            Self::Only(list) => (list, false),
            Self::But(list) => (list, true),
            Self::Any => return,
        };
        for number in numbers {
            if denied == of_denied {
                list.insert(*number);
            } else {
                list.remove(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_the_c_library() {
        let table = [
            ("AF_UNIX", libc::AF_UNIX),
            ("AF_LOCAL", libc::AF_LOCAL),
            ("AF_INET", libc::AF_INET),
            ("AF_INET6", libc::AF_INET6),
            ("AF_DECnet", libc::AF_DECnet),
            ("AF_KEY", libc::AF_KEY),
            ("AF_NETLINK", libc::AF_NETLINK),
            ("AF_PACKET", libc::AF_PACKET),
            ("AF_CAN", libc::AF_CAN),
            ("AF_BLUETOOTH", libc::AF_BLUETOOTH),
            ("AF_ALG", libc::AF_ALG),
            ("AF_VSOCK", libc::AF_VSOCK),
            ("AF_XDP", libc::AF_XDP),
        ];
        for (name, expected) in table {
            assert_eq!(number(name), u32::try_from(expected).ok(), "{name}");
        }
        for name in ["", "AF_", "INET", "AF_inet", "AF_UNSPEC"] {
            assert_eq!(number(name), None, "{name}");
        }
        assert!(names().all(|name| number(&name).is_some()));
    }

    #[test]
    fn the_first_rule_says_what_the_list_is_of() {
        let mut families = Families::default();
        families.take(false, &[1, 2]);
        families.take(true, &[2, 3]);
        assert_eq!(families, Families::Only(BTreeSet::from([1])));
        let mut families = Families::default();
        families.take(true, &[1, 2]);
        families.take(false, &[1]);
        assert_eq!(families, Families::But(BTreeSet::from([2])));
        let mut families = Families::default();
        families.take(false, &[]);
        assert_eq!(families, Families::Only(BTreeSet::new()), "none at all");
        families.take(false, &[1]);
        assert_eq!(families, Families::Only(BTreeSet::from([1])));
    }
}
