//! Rules as values: what a packet is asked, in order, and what becomes of it.

use super::set::Set;
use super::step::{Field, Step};
use super::wire::{Family, Writer};
use crate::name::IfName;

pub(super) const NF_DROP: i32 = 0;
pub(super) const NF_ACCEPT: i32 = 1;
const NFT_JUMP: i32 = -3;
pub(super) const NFT_RETURN: i32 = -5;

/// Bits of `ct state`.
pub(super) const ESTABLISHED: u32 = 1 << 1;
pub(super) const RELATED: u32 = 1 << 2;
/// The bit of `ct status` for a connection whose destination was rewritten.
pub(super) const DNAT: u32 = 1 << 5;

pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;

/// Ethernet types of what a bridge carries.
pub(super) const ETHER_ARP: u16 = 0x0806;
pub(super) const ETHER_IPV4: u16 = 0x0800;
pub(super) const ETHER_IPV6: u16 = 0x86dd;

/// A rule of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) chain: &'static str,
    steps: Vec<Step>,
}

/// What is known of a packet beside its contents.
const META_PROTOCOL: u32 = 1;
const META_INPUT_NAME: u32 = 6;
const META_OUTPUT_NAME: u32 = 7;
const META_FAMILY: u32 = 15;
const META_TRANSPORT: u32 = 16;

/// A name of a link fills four registers.
const IFNAME_REGISTERS: u32 = 4;

impl Rule {
    pub(super) fn of(chain: &'static str) -> Self {
        Self {
            chain,
            steps: Vec::new(),
        }
    }

    pub(super) fn input_in(self, set: Set) -> Self {
        self.meta(META_INPUT_NAME, 0).lookup(set, true)
    }

    pub(super) fn input_not_in(self, set: Set) -> Self {
        self.meta(META_INPUT_NAME, 0).lookup(set, false)
    }

    pub(super) fn output_in(self, set: Set) -> Self {
        self.meta(META_OUTPUT_NAME, 0).lookup(set, true)
    }

    pub(super) fn output_not_in(self, set: Set) -> Self {
        self.meta(META_OUTPUT_NAME, 0).lookup(set, false)
    }

    pub(super) fn input_is(self, link: &IfName) -> Self {
        self.meta(META_INPUT_NAME, 0).compare(true, &ended(link))
    }

    pub(super) fn output_is(self, link: &IfName) -> Self {
        self.meta(META_OUTPUT_NAME, 0).compare(true, &ended(link))
    }

    pub(super) fn count(self) -> Self {
        self.step(Step::Count)
    }

    /// The links of arrival and departure are a pair of that set.
    pub(super) fn links_in(self, set: Set) -> Self {
        self.meta(META_INPUT_NAME, 0)
            .meta(META_OUTPUT_NAME, IFNAME_REGISTERS)
            .lookup(set, true)
    }

    /// The link of arrival together with that field is (not) in the set.
    pub(super) fn input_with(self, field: Field, set: Set, member: bool) -> Self {
        self.meta(META_INPUT_NAME, 0)
            .payload(field, IFNAME_REGISTERS)
            .lookup(set, member)
    }

    pub(super) fn field_in(self, field: Field, set: Set) -> Self {
        self.payload(field, 0).lookup(set, true)
    }

    pub(super) fn field(self, field: Field, equal: bool, value: &[u8]) -> Self {
        self.payload(field, 0).compare(equal, value)
    }

    pub(super) fn family(self, family: Family) -> Self {
        self.meta(META_FAMILY, 0).compare(true, &[family as u8])
    }

    pub(super) fn ether_type(self, kind: u16) -> Self {
        self.meta(META_PROTOCOL, 0)
            .compare(true, &kind.to_be_bytes())
    }

    pub(super) fn transport(self, protocol: u8) -> Self {
        self.meta(META_TRANSPORT, 0).compare(true, &[protocol])
    }

    pub(super) fn state(self, any_of: u32) -> Self {
        const NFT_CT_STATE: u32 = 0;
        self.conntrack(NFT_CT_STATE, any_of)
    }

    pub(super) fn status(self, any_of: u32) -> Self {
        const NFT_CT_STATUS: u32 = 2;
        self.conntrack(NFT_CT_STATUS, any_of)
    }

    /// The destination is an address of this host.
    pub(super) fn destined_here(self) -> Self {
        const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
        const NFTA_FIB_F_DADDR: u32 = 1 << 1;
        const RTN_LOCAL: u32 = 2;
        self.step(Step::Fib {
            result: NFT_FIB_RESULT_ADDRTYPE,
            flags: NFTA_FIB_F_DADDR,
        })
        .compare(true, &RTN_LOCAL.to_ne_bytes())
    }

    /// No route leads to the packet's source by the link that it came from.
    pub(super) fn arriving_astray(self) -> Self {
        const NFT_FIB_RESULT_OIF: u32 = 1;
        const NFTA_FIB_F_SADDR: u32 = 1 << 0;
        const NFTA_FIB_F_IIF: u32 = 1 << 3;
        const NFTA_FIB_F_PRESENT: u32 = 1 << 5;
        self.step(Step::Fib {
            result: NFT_FIB_RESULT_OIF,
            flags: NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT,
        })
        .compare(true, &[0; 4])
    }

    /// Rewrites the destination to what the map has for protocol and port, or, with a
    /// field, for that, protocol and port; ends here if it has nothing.
    pub(super) fn dnat(self, family: Family, address: Option<Field>, map: Set) -> Self {
        let (rule, next) = match address {
            Some(field) => (self.payload(field, 0), field.length / 4),
            None => (self, 0),
        };
        rule.meta(META_TRANSPORT, next)
            .payload(Field::PORT, next + 1)
            .step(Step::Lookup {
                set: map,
                member: true,
                map: true,
            })
            .step(Step::Dnat(family))
    }

    pub(super) fn masquerade(self) -> Self {
        self.step(Step::Masquerade)
    }

    pub(super) fn accept(self) -> Self {
        self.verdict(NF_ACCEPT)
    }

    pub(super) fn drop(self) -> Self {
        self.verdict(NF_DROP)
    }

    /// Goes on behind the jump that led here.
    pub(super) fn leave(self) -> Self {
        self.verdict(NFT_RETURN)
    }

    pub(super) fn jump(self, chain: &'static str) -> Self {
        self.step(Step::Verdict {
            code: NFT_JUMP,
            chain: Some(chain),
        })
    }

    fn verdict(self, code: i32) -> Self {
        self.step(Step::Verdict { code, chain: None })
    }

    fn meta(self, key: u32, to: u32) -> Self {
        self.step(Step::Meta { key, to })
    }

    fn payload(self, field: Field, to: u32) -> Self {
        self.step(Step::Payload { field, to })
    }

    fn compare(self, equal: bool, with: &[u8]) -> Self {
        self.step(Step::Compare {
            equal,
            with: with.to_vec(),
        })
    }

    fn conntrack(self, key: u32, any_of: u32) -> Self {
        self.step(Step::Conntrack { key })
            .step(Step::Mask(any_of))
            .compare(false, &[0; 4])
    }

    fn lookup(self, set: Set, member: bool) -> Self {
        self.step(Step::Lookup {
            set,
            member,
            map: false,
        })
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Writes the rule as the body of its message.
    pub(super) fn write(&self, table: &str, out: &mut Writer<'_>) {
        const NFTA_RULE_TABLE: u16 = 1;
        const NFTA_RULE_CHAIN: u16 = 2;
        const NFTA_RULE_EXPRESSIONS: u16 = 4;
        out.text(NFTA_RULE_TABLE, table);
        out.text(NFTA_RULE_CHAIN, self.chain);
        out.nest(NFTA_RULE_EXPRESSIONS, |list| {
            for step in &self.steps {
                step.write(list);
            }
        });
    }
}

/// A name with the NUL that says it is the whole of it.
fn ended(link: &IfName) -> Vec<u8> {
    [link.as_str().as_bytes(), &[0]].concat()
}
