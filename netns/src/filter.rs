//! Programs that the kernel runs on every frame of a link, so that only frames that may
//! be for us wake the process. They sort; what they let through is still read with care.

use socket2::SockFilter;

use crate::mac::MacAddr;

// Offset of the pseudo fields that tell how a frame came, and two of these; the rest is
// from linux/bpf_common.h, linux/filter.h and linux/if_packet.h.
const ANCILLARY: u32 = 0xffff_f000;
const PACKET_KIND: u32 = ANCILLARY + 4;
/// Whether the frame had an 802.1Q tag, which is no longer in it.
const VLAN_TAG_PRESENT: u32 = ANCILLARY + 48;
const OUTGOING: u32 = 4;

const ETHERNET_LEN: u32 = 14;

/// What a filter returns to take a frame: how much of it is kept. One octet more than
/// the longest of [`crate::udp::FRAME_MAX`], so that a longer one shows.
const TAKE: u32 = 1514 + 1;
const REFUSE: u32 = 0;

/// An instruction's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
enum Code {
    LoadWord = 0x20,
    LoadHalf = 0x28,
    LoadByte = 0x30,
    /// The next two add the length of an IPv4 header to the offset.
    LoadWordBehind = 0x40,
    LoadHalfBehind = 0x48,
    /// Four times the lower half of an octet: the length of an IPv4 header.
    LoadHeaderLength = 0xb1,
    And = 0x54,
    JumpIfEqual = 0x15,
    Return = 0x06,
}

/// One instruction, in the order of `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    code: Code,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

/// An instruction that the next one follows.
const fn step(code: Code, operand: u32) -> Step {
    Step {
        code,
        if_true: 0,
        if_false: 0,
        operand,
    }
}

/// Something about a frame that must be one value, or must not.
#[derive(Clone, Debug)]
struct Condition {
    loads: Vec<Step>,
    value: u32,
    equal: bool,
}

fn is<const N: usize>(loads: [Step; N], value: u32) -> Condition {
    Condition {
        loads: loads.to_vec(),
        value,
        equal: true,
    }
}

/// Which frames are taken: those for which all conditions of one of the lists hold.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    alternatives: Vec<Vec<Condition>>,
}

impl Filter {
    /// Messages from a DHCP client on an Ethernet: unfragmented UDP to port 67 that
    /// begins as a boot request and has DHCP's cookie.
    pub(crate) fn dhcp(client: MacAddr) -> Self {
        use Code::{And, LoadByte, LoadHalf, LoadHalfBehind, LoadHeaderLength, LoadWordBehind};
        let header_length = step(LoadHeaderLength, ETHERNET_LEN);
        let behind = |code, at| step(code, ETHERNET_LEN + at);
        let message = 8;
        let mut all = untagged_from(client, 0x0800);
        all.extend([
            is([step(LoadByte, 23)], 17),
            is([step(LoadHalf, 20), step(And, 0x3fff)], 0),
            is([header_length, behind(LoadHalfBehind, 2)], 67),
            is(
                [behind(LoadWordBehind, message), step(And, 0xffff_ff00)],
                0x0101_0600,
            ),
            is([behind(LoadWordBehind, message + 236)], 0x6382_5363),
        ]);
        Self {
            alternatives: vec![all],
        }
    }

    /// Router solicitations, and requests for information to DHCPv6 servers.
    pub(crate) fn router(client: MacAddr) -> Self {
        use Code::{LoadByte, LoadHalf};
        let next_header = step(LoadByte, 20);
        let solicitation = [is([next_header], 58), is([step(LoadByte, 54)], 133)];
        let information = [
            is([next_header], 17),
            is([step(LoadHalf, 56)], 547),
            is([step(LoadByte, 62)], 11),
        ];
        let with = |more: &[Condition]| [&untagged_from(client, 0x86dd), more].concat();
        Self {
            alternatives: vec![with(&solicitation), with(&information)],
        }
    }

    /// A condition that does not hold leads to the next list, and in the last to the end.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        for all in &self.alternatives {
            let length: usize = all.iter().map(|one| one.loads.len() + 1).sum();
            let end = steps.len() + length;
            for condition in all {
                steps.extend(&condition.loads);
                let away = u8::try_from(end - steps.len())
                    .expect("a list of conditions has few instructions");
                let (if_true, if_false) = if condition.equal {
                    (0, away)
                } else {
                    (away, 0)
                };
                steps.push(Step {
                    if_true,
                    if_false,
                    ..step(Code::JumpIfEqual, condition.value)
                });
            }
            steps.push(step(Code::Return, TAKE));
        }
        steps.push(step(Code::Return, REFUSE));
        steps
    }

    /// The program as the kernel takes it.
    pub(crate) fn program(&self) -> Vec<SockFilter> {
        let steps = self.steps().into_iter();
        steps
            .map(|s| SockFilter::new(s.code as u16, s.if_true, s.if_false, s.operand))
            .collect()
    }
}

/// Frames that came in from `source` without a tag and carry `ethertype`.
fn untagged_from(source: MacAddr, ethertype: u32) -> Vec<Condition> {
    let [a, b, c, d, e, f] = source.octets();
    let mut incoming = is([step(Code::LoadWord, PACKET_KIND)], OUTGOING);
    incoming.equal = false;
    vec![
        is([step(Code::LoadHalf, 12)], ethertype),
        is([step(Code::LoadWord, 6)], u32::from_be_bytes([a, b, c, d])),
        is([step(Code::LoadHalf, 10)], u32::from_be_bytes([0, 0, e, f])),
        incoming,
        is([step(Code::LoadWord, VLAN_TAG_PRESENT)], 0),
    ]
}

#[cfg(test)]
mod tests;
