//! The steps of rules, and how they are written: each is an expression of the kernel's,
//! whose attributes are numbered in `nf_tables.h`.

use super::set::Set;
use super::wire::{Family, Writer};

/// Where in a packet something is: header, offset and length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    base: u32,
    offset: u32,
    pub(super) length: u32,
}

impl Field {
    const LINK: u32 = 0;
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;

    pub(super) const ETHER_SOURCE: Self = Self::at(Self::LINK, 6, 6);
    pub(super) const IPV4_SOURCE: Self = Self::network(12, 4);
    pub(super) const IPV4_DESTINATION: Self = Self::network(16, 4);
    pub(super) const IPV6_SOURCE: Self = Self::network(8, 16);
    pub(super) const IPV6_DESTINATION: Self = Self::network(24, 16);
    /// Ports of TCP and UDP alike.
    pub(super) const SOURCE_PORT: Self = Self::transport(0, 2);
    pub(super) const PORT: Self = Self::transport(2, 2);
    pub(super) const ICMP_TYPE: Self = Self::transport(0, 1);

    pub(super) const fn network(offset: u32, length: u32) -> Self {
        Self::at(Self::NETWORK, offset, length)
    }

    pub(super) const fn transport(offset: u32, length: u32) -> Self {
        Self::at(Self::TRANSPORT, offset, length)
    }

    const fn at(base: u32, offset: u32, length: u32) -> Self {
        Self {
            base,
            offset,
            length,
        }
    }

    /// Its first bytes: as many as the prefix of a network takes.
    pub(super) const fn first(self, length: u32) -> Self {
        Self { length, ..self }
    }
}

/// One step of a rule. Registers are numbered from 0, four bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Meta {
        key: u32,
        to: u32,
    },
    Payload {
        field: Field,
        to: u32,
    },
    Conntrack {
        key: u32,
    },
    Mask(u32),
    Compare {
        equal: bool,
        with: Vec<u8>,
    },
    Lookup {
        set: Set,
        member: bool,
        map: bool,
    },
    Fib {
        result: u32,
        flags: u32,
    },
    Dnat(Family),
    Masquerade,
    Count,
    Verdict {
        code: i32,
        chain: Option<&'static str>,
    },
}

impl Step {
    pub(super) fn write(&self, list: &mut Writer<'_>) {
        match self {
            Self::Meta { key, to } => expression(list, "meta", |e| {
                e.number(1, register(*to));
                e.number(2, *key);
            }),
            Self::Payload { field, to } => expression(list, "payload", |e| {
                e.number(1, register(*to));
                e.number(2, field.base);
                e.number(3, field.offset);
                e.number(4, field.length);
            }),
            Self::Conntrack { key } => expression(list, "ct", |e| {
                e.number(1, register(0));
                e.number(2, *key);
            }),
            Self::Mask(mask) => expression(list, "bitwise", |e| {
                e.number(1, register(0));
                e.number(2, register(0));
                e.number(3, 4);
                value(e, 4, &mask.to_ne_bytes());
                value(e, 5, &[0; 4]);
            }),
            Self::Compare { equal, with } => expression(list, "cmp", |e| {
                e.number(1, register(0));
                e.number(2, u32::from(!equal));
                value(e, 3, with);
            }),
            Self::Lookup { set, member, map } => expression(list, "lookup", |e| {
                e.text(1, set.name());
                e.number(2, register(0));
                if *map {
                    e.number(3, register(0));
                }
                e.number(5, u32::from(!member));
            }),
            Self::Fib { result, flags } => expression(list, "fib", |e| {
                e.number(1, register(0));
                e.number(2, *result);
                e.number(3, *flags);
            }),
            Self::Dnat(family) => write_dnat(list, *family),
            Self::Masquerade => expression(list, "masq", |_| {}),
            Self::Count => expression(list, "counter", |_| {}),
            Self::Verdict { code, chain } => write_verdict(list, *code, *chain),
        }
    }
}

/// To the address in the first registers and the port behind it.
fn write_dnat(list: &mut Writer<'_>, family: Family) {
    const NF_NAT_DNAT: u32 = 1;
    let port = if family == Family::Ipv6 { 4 } else { 1 };
    expression(list, "nat", |e| {
        e.number(1, NF_NAT_DNAT);
        e.number(2, u32::from(family as u8));
        e.number(3, register(0));
        e.number(5, register(port));
    });
}

fn write_verdict(list: &mut Writer<'_>, code: i32, chain: Option<&str>) {
    const NFT_REG_VERDICT: u32 = 0;
    const NFTA_DATA_VERDICT: u16 = 2;
    expression(list, "immediate", |e| {
        e.number(1, NFT_REG_VERDICT);
        e.nest(2, |data| {
            data.nest(NFTA_DATA_VERDICT, |verdict| {
                verdict.bytes(1, &code.to_be_bytes());
                if let Some(chain) = chain {
                    verdict.text(2, chain);
                }
            });
        });
    });
}

fn expression(list: &mut Writer<'_>, name: &str, fill: impl FnOnce(&mut Writer<'_>)) {
    const NFTA_LIST_ELEM: u16 = 1;
    const NFTA_EXPR_NAME: u16 = 1;
    const NFTA_EXPR_DATA: u16 = 2;
    list.nest(NFTA_LIST_ELEM, |element| {
        element.text(NFTA_EXPR_NAME, name);
        element.nest(NFTA_EXPR_DATA, fill);
    });
}

/// A value that is compared, looked up or stored.
pub(super) fn value(out: &mut Writer<'_>, kind: u16, bytes: &[u8]) {
    const NFTA_DATA_VALUE: u16 = 1;
    out.nest(kind, |data| data.bytes(NFTA_DATA_VALUE, bytes));
}

fn register(index: u32) -> u32 {
    const NFT_REG32_00: u32 = 8;
    NFT_REG32_00 + index
}
