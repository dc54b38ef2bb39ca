//! Programs that the kernel runs on every frame of a link, so that only frames that may
//! be for us wake the process. They sort; what they let through is still read with care.

use socket2::SockFilter;

use crate::mac::MacAddr;

/// What a filter returns to take a frame: how much of it is kept. One octet more than
/// the longest, so that a longer one shows.
const TAKE: u32 = 1514 + 1;

// From linux/bpf_common.h and linux/filter.h.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_WORD_BEHIND_HEADER: u16 = 0x40;
const LOAD_HALF_BEHIND_HEADER: u16 = 0x48;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Offset of the pseudo fields that say how a frame came.
const ANCILLARY: u32 = 0xffff_f000;
const PACKET_KIND: u32 = ANCILLARY + 4;
/// Whether the frame had an 802.1Q tag, which is no longer in it.
const VLAN_TAG_PRESENT: u32 = ANCILLARY + 48;
const OUTGOING: u32 = 4;

/// One instruction, in the order of `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    code: u16,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

impl Step {
    /// An instruction that the next one follows.
    const fn straight(code: u16, operand: u32) -> Self {
        Self {
            code,
            if_true: 0,
            if_false: 0,
            operand,
        }
    }
}

/// A program: conditions that must all hold for a frame to be taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    steps: Vec<Step>,
}

impl Filter {
    /// Untagged frames from `source` that carry `ethertype`.
    fn from(source: MacAddr, ethertype: u16) -> Self {
        let [a, b, c, d, e, f] = source.octets();
        let mut filter = Self::default();
        filter.load(LOAD_WORD, PACKET_KIND).unless(OUTGOING);
        filter.load(LOAD_WORD, VLAN_TAG_PRESENT).only(0);
        filter.load(LOAD_HALF, 12).only(ethertype.into());
        filter
            .load(LOAD_WORD, 6)
            .only(u32::from_be_bytes([a, b, c, d]));
        filter
            .load(LOAD_HALF, 10)
            .only(u32::from_be_bytes([0, 0, e, f]));
        filter
    }

    /// Messages from a DHCP client on an Ethernet: unfragmented UDP to port 67 that
    /// begins as a boot request and has DHCP's cookie.
    pub(crate) fn dhcp(client: MacAddr) -> Self {
        let mut filter = Self::from(client, 0x0800);
        filter.load(LOAD_BYTE, 23).only(17);
        filter.load(LOAD_HALF, 20).and(0x3fff).only(0);
        filter.load(LOAD_HEADER_LENGTH, 14);
        filter.load(LOAD_HALF_BEHIND_HEADER, 14 + 2).only(67);
        filter
            .load(LOAD_WORD_BEHIND_HEADER, 14 + 8)
            .and(0xffff_ff00)
            .only(0x0101_0600);
        filter
            .load(LOAD_WORD_BEHIND_HEADER, 14 + 8 + 236)
            .only(0x6382_5363);
        filter
    }

    fn load(&mut self, code: u16, operand: u32) -> &mut Self {
        self.steps.push(Step::straight(code, operand));
        self
    }

    fn and(&mut self, mask: u32) -> &mut Self {
        self.load(AND, mask)
    }

    /// Goes on only if what was loaded is `value`.
    fn only(&mut self, value: u32) {
        self.jump(1, 0, value);
    }

    /// Goes on only if what was loaded is not `value`.
    fn unless(&mut self, value: u32) {
        self.jump(0, 1, value);
    }

    /// Skips the refusal that follows it, or not.
    fn jump(&mut self, if_true: u8, if_false: u8, operand: u32) {
        self.steps.push(Step {
            code: JUMP_IF_EQUAL,
            if_true,
            if_false,
            operand,
        });
        self.steps.push(Step::straight(RETURN, 0));
    }

    /// The program as the kernel takes it.
    pub(crate) fn program(&self) -> Vec<SockFilter> {
        let take = Step::straight(RETURN, TAKE);
        let steps = self.steps.iter().chain([&take]);
        steps
            .map(|step| SockFilter::new(step.code, step.if_true, step.if_false, step.operand))
            .collect()
    }
}
