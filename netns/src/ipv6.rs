//! IPv6 over Ethernet, as octets: packets of ICMPv6 and UDP, without extension headers.

use std::net::Ipv6Addr;

use crate::checksum::Sum;
use crate::mac::MacAddr;

pub(crate) const ICMPV6: u8 = 58;
pub(crate) const UDP: u8 = 17;

const ETHERNET_LEN: usize = 14;
const IPV6_LEN: usize = 40;
const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// A packet and how it is addressed on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
    /// [`ICMPV6`] or [`UDP`].
    pub(crate) protocol: u8,
    /// 255 only in a packet that no router has passed on.
    pub(crate) hop_limit: u8,
    /// The message with its header. Its checksum is right when it was read, and is
    /// filled in when it is written.
    pub(crate) payload: &'a [u8],
}

/// One side of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) mac: MacAddr,
    pub(crate) address: Ipv6Addr,
}

impl<'a> Packet<'a> {
    /// Reads a frame. `None` if it is anything else than one whole, undamaged packet;
    /// octets behind it, which pad short frames, are left out.
    pub(crate) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, packet) = frame.split_first_chunk::<ETHERNET_LEN>()?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, type_ @ ..] = *ethernet;
        let (header, rest) = packet.split_first_chunk::<IPV6_LEN>()?;
        if type_ != TYPE_IPV6 || header[0] >> 4 != 6 {
            return None;
        }
        let length = u16::from_be_bytes([header[4], header[5]]);
        let read = Self {
            from: Endpoint {
                mac: MacAddr::from([s0, s1, s2, s3, s4, s5]),
                address: address(header, 8)?,
            },
            to: Endpoint {
                mac: MacAddr::from([d0, d1, d2, d3, d4, d5]),
                address: address(header, 24)?,
            },
            protocol: header[6],
            hop_limit: header[7],
            payload: rest.get(..usize::from(length))?,
        };
        read.is_undamaged()?.then_some(read)
    }

    /// The frame, with the message's checksum; `None` if the message is too long for a
    /// packet, or has no room for its checksum.
    pub(crate) fn to_frame(self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.payload.len()).ok()?;
        let at = self.checksum_at()?;
        let mut payload = self.payload.to_vec();
        payload.get_mut(at..at + 2)?.fill(0);
        let checksum = match self.pseudo_header()?.and(&payload).complement() {
            // Zero would say that there is no checksum.
            0 => 0xffff,
            checksum => checksum,
        };
        payload[at..at + 2].copy_from_slice(&checksum.to_be_bytes());

        let mut frame = Vec::with_capacity(ETHERNET_LEN + IPV6_LEN + payload.len());
        frame.extend(self.to.mac.octets());
        frame.extend(self.from.mac.octets());
        frame.extend(TYPE_IPV6);
        frame.extend([0x60, 0, 0, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([self.protocol, self.hop_limit]);
        frame.extend(self.from.address.octets());
        frame.extend(self.to.address.octets());
        frame.extend(payload);
        Some(frame)
    }

    /// As with IPv4, a sender on the other end of a veth may leave the checksum undone.
    /// None at all is not allowed (RFC 8200, section 8.1).
    fn is_undamaged(&self) -> Option<bool> {
        let at = self.checksum_at()?;
        let field = self.payload.get(at..at + 2)?.try_into().ok()?;
        let pseudo = self.pseudo_header()?;
        let left_to_the_device = u16::from_be_bytes(field) == pseudo.folded();
        Some(left_to_the_device || pseudo.and(self.payload).is_right())
    }

    fn checksum_at(&self) -> Option<usize> {
        match self.protocol {
            ICMPV6 => Some(2),
            UDP => Some(6),
            _ => None,
        }
    }

    fn pseudo_header(&self) -> Option<Sum> {
        let length = u16::try_from(self.payload.len()).ok()?;
        let sum = Sum::default()
            .and(&self.from.address.octets())
            .and(&self.to.address.octets())
            .and_word(length)
            .and_word(self.protocol.into());
        Some(sum)
    }
}

fn address(header: &[u8; IPV6_LEN], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
    Some(octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(payload: &[u8]) -> Packet<'_> {
        Packet {
            from: Endpoint {
                mac: MacAddr::from([2, 0, 0, 0, 0, 2]),
                address: "fe80::2".parse().unwrap(),
            },
            to: Endpoint {
                mac: MacAddr::from([0x33, 0x33, 0, 0, 0, 2]),
                address: "ff02::2".parse().unwrap(),
            },
            protocol: ICMPV6,
            hop_limit: 255,
            payload,
        }
    }

    // A solicitation that Linux 6.18 sent.
    #[test]
    fn the_checksum_is_the_kernels() {
        let source: Ipv6Addr = "fe80::a4f6:f2ff:fe7c:b0ca".parse().unwrap();
        let mut sent = packet(&[
            133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0xa6, 0xf6, 0xf2, 0x7c, 0xb0, 0xca,
        ]);
        sent.from.address = source;
        let frame = sent.to_frame().unwrap();
        assert_eq!(frame[56..58], 0xeab1_u16.to_be_bytes());
    }

    #[test]
    fn padding_behind_a_short_packet_is_no_payload() {
        let mut frame = packet(&[133, 0, 0, 0, 0, 0, 0, 0]).to_frame().unwrap();
        frame.resize(90, 0xaa);
        assert_eq!(Packet::parse(&frame).unwrap().payload.len(), 8);
    }

    #[test]
    fn what_is_no_plain_packet_is_refused() {
        let refused = |at: usize, value: u8| {
            let mut frame = packet(&[133, 0, 0, 0, 0, 0, 0, 0]).to_frame().unwrap();
            frame[at] = value;
            Packet::parse(&frame).is_none()
        };
        let (tagged, version, hop_by_hop) = ((12, 0x81), (14, 0x45), (20, 0));
        let (longer_than_the_frame, without_a_checksum) = ((19, 9), (19, 3));
        let another_message = (54, 134);
        for (at, value) in [
            tagged,
            version,
            hop_by_hop,
            longer_than_the_frame,
            without_a_checksum,
            another_message,
        ] {
            assert!(refused(at, value), "octet {at} as {value}");
        }
        assert!(!refused(17, 9), "another flow label");
    }

    #[test]
    fn a_checksum_left_to_the_device_is_taken() {
        let sent = packet(&[133, 0, 0, 0, 0, 0, 0, 0]);
        let mut frame = sent.to_frame().unwrap();
        let pseudo = sent.pseudo_header().unwrap().folded();
        frame[56..58].copy_from_slice(&pseudo.to_be_bytes());
        assert!(Packet::parse(&frame).is_some());
        frame[56..58].fill(0);
        assert!(Packet::parse(&frame).is_none());
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_back(
            mut payload in prop::collection::vec(any::<u8>(), 8..1440),
            protocol in prop::sample::select(vec![ICMPV6, UDP]),
        ) {
            let sent = Packet { protocol, ..packet(&payload) };
            let at = sent.checksum_at().unwrap();
            let frame = sent.to_frame().unwrap();
            payload[at..at + 2].copy_from_slice(&frame[54 + at..56 + at]);
            let expected = Packet { protocol, ..packet(&payload) };
            prop_assert_eq!(Packet::parse(&frame), Some(expected));
        }

        #[test]
        fn any_frame_is_survived(frame in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Packet::parse(&frame);
        }

        #[test]
        fn no_prefix_of_a_frame_is_taken(length in 0_usize..66) {
            let frame = packet(&[133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0]).to_frame().unwrap();
            prop_assert!(Packet::parse(&frame[..length]).is_none());
        }
    }
}
