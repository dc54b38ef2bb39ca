//! UDP over IPv4 over Ethernet, as octets: what a packet socket reads and writes.

use std::net::Ipv4Addr;

use crate::checksum::Sum;
use crate::mac::MacAddr;

/// The longest frame of an Ethernet with the usual MTU of 1500, without its trailer.
pub(crate) const FRAME_MAX: usize = 1514;

/// Lengths of IPv4's and UDP's headers together, without options.
pub(crate) const OVERHEAD: usize = IPV4_LEN + UDP_LEN;

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const UDP_LEN: usize = 8;
const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
const PROTOCOL_UDP: u8 = 17;
const TIME_TO_LIVE: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;
/// The flag "more fragments" and the fragment's offset.
const FRAGMENT: u16 = 0x3fff;

/// A datagram and how it is addressed on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
    pub(crate) payload: &'a [u8],
}

/// One side of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) mac: MacAddr,
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
}

impl<'a> Datagram<'a> {
    /// Reads a frame. `None` if it is anything else than one whole, undamaged datagram;
    /// octets behind it, which pad short frames, are left out.
    pub(crate) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, packet) = frame.split_first_chunk::<ETHERNET_LEN>()?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, type_ @ ..] = *ethernet;
        if type_ != TYPE_IPV4 {
            return None;
        }
        let (header, segment) = split_ipv4(packet)?;
        let [from, to] = addresses(header)?;
        let (ports, payload) = split_udp(from, to, segment)?;
        Some(Self {
            from: Endpoint {
                mac: MacAddr::from([s0, s1, s2, s3, s4, s5]),
                address: from,
                port: ports[0],
            },
            to: Endpoint {
                mac: MacAddr::from([d0, d1, d2, d3, d4, d5]),
                address: to,
                port: ports[1],
            },
            payload,
        })
    }

    /// The frame, with checksums; `None` if the payload is too long for any datagram.
    pub(crate) fn to_frame(self) -> Option<Vec<u8>> {
        let segment_len = u16::try_from(UDP_LEN + self.payload.len()).ok()?;
        let total_len = segment_len.checked_add(20)?;
        let (from, to) = (self.from, self.to);

        let mut frame = Vec::with_capacity(ETHERNET_LEN + usize::from(total_len));
        frame.extend(to.mac.octets());
        frame.extend(from.mac.octets());
        frame.extend(TYPE_IPV4);
        frame.extend(ipv4_header(from.address, to.address, total_len));
        frame.extend(from.port.to_be_bytes());
        frame.extend(to.port.to_be_bytes());
        frame.extend(segment_len.to_be_bytes());
        let checksum = pseudo_header(from.address, to.address, segment_len)
            .and_word(from.port)
            .and_word(to.port)
            .and_word(segment_len)
            .and(self.payload)
            .complement();
        // Zero would say that there is no checksum: RFC 768.
        let checksum = if checksum == 0 { 0xffff } else { checksum };
        frame.extend(checksum.to_be_bytes());
        frame.extend(self.payload);
        Some(frame)
    }
}

/// The header, options included, and what it carries; `None` for fragments too.
fn split_ipv4(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *packet.first()?;
    let header_len = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header_len < IPV4_LEN {
        return None;
    }
    let (header, _) = packet.split_at_checked(header_len)?;
    let total_len = usize::from(word(header, 2)?);
    let carried = packet.get(header_len..total_len)?;
    let whole = word(header, 6)? & FRAGMENT == 0;
    let udp = header.get(9) == Some(&PROTOCOL_UDP);
    (whole && udp && Sum::default().and(header).is_right()).then_some((header, carried))
}

fn addresses(header: &[u8]) -> Option<[Ipv4Addr; 2]> {
    let source: [u8; 4] = header.get(12..16)?.try_into().ok()?;
    let destination: [u8; 4] = header.get(16..20)?.try_into().ok()?;
    Some([source.into(), destination.into()])
}

/// The two ports and the payload.
fn split_udp(from: Ipv4Addr, to: Ipv4Addr, segment: &[u8]) -> Option<([u16; 2], &[u8])> {
    let length = word(segment, 4)?;
    let segment = segment.get(..usize::from(length))?;
    let payload = segment.get(UDP_LEN..)?;
    let pseudo = pseudo_header(from, to, length);
    let checksum = word(segment, 6)?;
    // A sender on the other end of a veth leaves the checksum to a device that never
    // computes it: then the field has the pseudo-header's sum.
    let undamaged = checksum == 0 || checksum == pseudo.folded() || pseudo.and(segment).is_right();
    undamaged.then_some(([word(segment, 0)?, word(segment, 2)?], payload))
}

fn ipv4_header(from: Ipv4Addr, to: Ipv4Addr, total_len: u16) -> [u8; IPV4_LEN] {
    let mut header = [0; IPV4_LEN];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&total_len.to_be_bytes());
    header[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
    header[8] = TIME_TO_LIVE;
    header[9] = PROTOCOL_UDP;
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    let checksum = Sum::default().and(&header).complement();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn pseudo_header(from: Ipv4Addr, to: Ipv4Addr, segment_len: u16) -> Sum {
    Sum::default()
        .and(&from.octets())
        .and(&to.octets())
        .and_word(u16::from(PROTOCOL_UDP))
        .and_word(segment_len)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn datagram(payload: &[u8]) -> Datagram<'_> {
        Datagram {
            from: Endpoint {
                mac: MacAddr::from([2, 0, 0, 0, 0, 2]),
                address: Ipv4Addr::UNSPECIFIED,
                port: 68,
            },
            to: Endpoint {
                mac: MacAddr::from([0xff; 6]),
                address: Ipv4Addr::BROADCAST,
                port: 67,
            },
            payload,
        }
    }

    #[test]
    fn padding_behind_a_short_datagram_is_no_payload() {
        let mut frame = datagram(b"abc").to_frame().unwrap();
        frame.resize(60, 0xaa);
        assert_eq!(Datagram::parse(&frame), Some(datagram(b"abc")));
    }

    #[test]
    fn a_checksum_that_is_absent_or_left_to_the_device_is_taken() {
        let mut frame = datagram(b"abc").to_frame().unwrap();
        for field in [
            0,
            pseudo_header(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, 11).folded(),
        ] {
            frame[40..42].copy_from_slice(&field.to_be_bytes());
            assert_eq!(Datagram::parse(&frame), Some(datagram(b"abc")));
        }
        frame[40] ^= 1;
        assert_eq!(Datagram::parse(&frame), None);
    }

    #[test]
    fn options_of_the_header_are_passed_over() {
        let frame = datagram(b"abc").to_frame().unwrap();
        let mut longer = frame[..34].to_vec();
        longer.extend([1, 1, 1, 0]);
        longer.extend(&frame[34..]);
        longer[14] = 0x46;
        longer[17] += 4;
        longer[24..26].fill(0);
        let checksum = Sum::default().and(&longer[14..38]).complement();
        longer[24..26].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(Datagram::parse(&longer), Some(datagram(b"abc")));
    }

    #[test]
    fn fragments_tags_and_other_protocols_are_refused() {
        let refused = |at: usize, value: u8| {
            let mut frame = datagram(b"abc").to_frame().unwrap();
            frame[at] = value;
            frame[24..26].fill(0);
            let checksum = Sum::default().and(&frame[14..34]).complement();
            frame[24..26].copy_from_slice(&checksum.to_be_bytes());
            Datagram::parse(&frame).is_none()
        };
        let more_fragments = (20, 0x20);
        let offset = (21, 1);
        let tagged = (12, 0x81);
        let tcp = (23, 6);
        let version = (14, 0x65);
        let short_header = (14, 0x44);
        let longer_than_the_frame = (17, 200);
        let udp_longer_than_the_packet = (39, 200);
        let udp_shorter_than_its_header = (39, 7);
        for (at, value) in [
            more_fragments,
            offset,
            tagged,
            tcp,
            version,
            short_header,
            longer_than_the_frame,
            udp_longer_than_the_packet,
            udp_shorter_than_its_header,
        ] {
            assert!(refused(at, value), "octet {at} as {value}");
        }
        assert!(!refused(22, 1), "another time to live");
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_back(payload in prop::collection::vec(any::<u8>(), 0..1472)) {
            let frame = datagram(&payload).to_frame().unwrap();
            prop_assert_eq!(Datagram::parse(&frame), Some(datagram(&payload)));
        }

        #[test]
        fn any_frame_is_survived(frame in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Datagram::parse(&frame);
        }

        #[test]
        fn damage_is_noticed(at in 14_usize..50, bit in 0_u8..8) {
            let mut frame = datagram(b"some payload").to_frame().unwrap();
            frame[at] ^= 1 << bit;
            let lost_checksum = frame[40..42] == [0, 0];
            prop_assert!(lost_checksum || Datagram::parse(&frame).is_none());
        }

        #[test]
        fn no_prefix_of_a_frame_is_taken(length in 0_usize..54) {
            let frame = datagram(b"some payload").to_frame().unwrap();
            prop_assert!(Datagram::parse(&frame[..length]).is_none());
        }
    }
}
