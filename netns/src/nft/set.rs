//! The sets and maps of the tables: what is particular to one owner is an element of
//! theirs, so that the rules are the same however many owners there are.

use super::wire::{Family, Writer};

/// Types of keys and data, as `nft list` shows them. Each fills whole registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Ipv4 = 7,
    Ipv6 = 8,
    Ethernet = 9,
    Protocol = 12,
    Port = 13,
    LinkName = 41,
}

impl Kind {
    /// nft's number for the order of a key's bytes, without which it misreads the names.
    const fn byte_order(self) -> u32 {
        const HOST: u32 = 1;
        const BIG: u32 = 2;
        match self {
            Self::LinkName => HOST,
            _ => BIG,
        }
    }

    /// Bytes that its registers hold.
    const fn width(self) -> u32 {
        match self {
            Self::Ipv4 | Self::Protocol | Self::Port => 4,
            Self::Ethernet => 8,
            Self::Ipv6 | Self::LinkName => 16,
        }
    }
}

/// A set or map of one of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Set {
    /// Who has anything in the tables; its last element goes with them.
    Owners,
    /// Links behind which the peers are.
    Links,
    /// Those whose peers' addresses are not known outside.
    Masked,
    /// Pairs of links between which everything may pass: each with itself.
    Pairs,
    /// Published ports of every address of this host.
    Ports4,
    Ports6,
    /// Published ports of one address.
    Bound4,
    Bound6,
    /// Ports of bridges that are watched.
    Guarded,
    /// The Ethernet addresses that a watched port may have.
    Macs,
    /// The addresses that a watched port may have.
    Sources4,
    Sources6,
    /// IPv6 addresses that belong to somebody; any other may be taken by anyone.
    Taken6,
}

pub(super) const TABLE: &str = "nsrun";

impl Set {
    pub(super) const ALL: [Self; 13] = [
        Self::Owners,
        Self::Links,
        Self::Masked,
        Self::Pairs,
        Self::Ports4,
        Self::Ports6,
        Self::Bound4,
        Self::Bound6,
        Self::Guarded,
        Self::Macs,
        Self::Sources4,
        Self::Sources6,
        Self::Taken6,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Owners => "owners",
            Self::Links => "links",
            Self::Masked => "masked",
            Self::Pairs => "pairs",
            Self::Ports4 => "ports4",
            Self::Ports6 => "ports6",
            Self::Bound4 => "bound4",
            Self::Bound6 => "bound6",
            Self::Guarded => "guarded",
            Self::Macs => "macs",
            Self::Sources4 => "sources4",
            Self::Sources6 => "sources6",
            Self::Taken6 => "taken6",
        }
    }

    pub(super) const fn family(self) -> Family {
        match self {
            Self::Guarded | Self::Macs | Self::Sources4 | Self::Sources6 | Self::Taken6 => {
                Family::Bridge
            }
            _ => Family::Inet,
        }
    }

    fn key(self) -> &'static [Kind] {
        match self {
            Self::Owners | Self::Links | Self::Masked | Self::Guarded => &[Kind::LinkName],
            Self::Pairs => &[Kind::LinkName, Kind::LinkName],
            Self::Ports4 | Self::Ports6 => &[Kind::Protocol, Kind::Port],
            Self::Bound4 => &[Kind::Ipv4, Kind::Protocol, Kind::Port],
            Self::Bound6 => &[Kind::Ipv6, Kind::Protocol, Kind::Port],
            Self::Macs => &[Kind::LinkName, Kind::Ethernet],
            Self::Sources4 => &[Kind::LinkName, Kind::Ipv4],
            Self::Sources6 => &[Kind::LinkName, Kind::Ipv6],
            Self::Taken6 => &[Kind::Ipv6],
        }
    }

    /// What a map has for its keys; empty for a set.
    fn data(self) -> &'static [Kind] {
        match self {
            Self::Ports4 | Self::Bound4 => &[Kind::Ipv4, Kind::Port],
            Self::Ports6 | Self::Bound6 => &[Kind::Ipv6, Kind::Port],
            _ => &[],
        }
    }

    /// Writes the set as the body of the message that makes it.
    pub(super) fn write(self, out: &mut Writer<'_>) {
        const NFTA_SET_TABLE: u16 = 1;
        const NFTA_SET_NAME: u16 = 2;
        const NFTA_SET_FLAGS: u16 = 3;
        const NFTA_SET_KEY_TYPE: u16 = 4;
        const NFTA_SET_KEY_LEN: u16 = 5;
        const NFTA_SET_DATA_TYPE: u16 = 6;
        const NFTA_SET_DATA_LEN: u16 = 7;
        const NFTA_SET_ID: u16 = 10;
        const NFTA_SET_USERDATA: u16 = 13;
        const NFT_SET_MAP: u32 = 0x8;
        const KEY_BYTE_ORDER: u8 = 0;
        let (key, data) = (self.key(), self.data());
        out.text(NFTA_SET_TABLE, TABLE);
        out.text(NFTA_SET_NAME, self.name());
        // Asked for by the kernel; rules name their sets, and so it says nothing.
        out.number(NFTA_SET_ID, 1);
        out.number(NFTA_SET_KEY_TYPE, type_of(key));
        out.number(NFTA_SET_KEY_LEN, width_of(key));
        if let [only] = key {
            let order = only.byte_order().to_ne_bytes();
            out.bytes(
                NFTA_SET_USERDATA,
                &[&[KEY_BYTE_ORDER, 4], &order[..]].concat(),
            );
        }
        if data.is_empty() {
            return;
        }
        out.number(NFTA_SET_FLAGS, NFT_SET_MAP);
        out.number(NFTA_SET_DATA_TYPE, type_of(data));
        out.number(NFTA_SET_DATA_LEN, width_of(data));
    }
}

/// Six bits for each part, the first in the highest ones.
fn type_of(parts: &[Kind]) -> u32 {
    parts.iter().fold(0, |all, part| all << 6 | *part as u32)
}

fn width_of(parts: &[Kind]) -> u32 {
    parts.iter().map(|part| part.width()).sum()
}
