//! Frames to the router of one host: solicitations, and DHCPv6 requests for information.
//! Most get headers that are right, so that what is tried is the message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nsrun_netns::MacAddr;
use nsrun_netns::ra::{RaPlan, Responder};

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ICMPV6: u8 = 58;
const UDP: u8 = 17;

fuzz_target!(|input: &[u8]| {
    let Some((&framed, octets)) = input.split_first() else {
        return;
    };
    let frame = match framed % 3 {
        0 => octets.to_vec(),
        1 => around(octets, ICMPV6, &[0, 2]),
        _ => around(&udp(octets), UDP, &[1, 2]),
    };
    let plan = RaPlan {
        dns: vec![[0xfd; 16].into()],
        search: vec!["lan.example".to_owned()],
        ..RaPlan::new(
            [2, 0, 0, 0, 0, 1].into(),
            "fd00:7::/64".parse().expect("a network"),
        )
    };
    if let Some(answer) = Responder::new(MacAddr::from(CLIENT), &plan).answer(&frame) {
        assert!(
            answer.len() <= 14 + 1280,
            "an answer that some link does not carry"
        );
        assert!(
            answer.starts_with(&CLIENT) || answer.starts_with(&ALL_NODES),
            "an answer to somebody else"
        );
    }
});

fn udp(message: &[u8]) -> Vec<u8> {
    let message = &message[..message.len().min(1400)];
    let length = u16::try_from(message.len() + 8).expect("shorter than a packet");
    let header = [546, 547, length, 0].into_iter().flat_map(u16::to_be_bytes);
    header.chain(message.iter().copied()).collect()
}

/// The host's packet to a multicast address that ends so. The checksum is that which a
/// device would complete.
fn around(payload: &[u8], protocol: u8, group: &[u8; 2]) -> Vec<u8> {
    let mut payload = payload[..payload.len().min(1400)].to_vec();
    let from = [&[0xfe, 0x80][..], &[0; 13], &[2]].concat();
    let to = [&[0xff, 2][..], &[0; 11], &[group[0], 0, group[1]]].concat();
    let length = u16::try_from(payload.len()).expect("shorter than a packet");
    let words = from.chunks(2).chain(to.chunks(2));
    let words = words.map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = words.sum::<u32>() + u32::from(length) + u32::from(protocol);
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
    let at = if protocol == ICMPV6 { 2 } else { 6 };
    if let Some(field) = payload.get_mut(at..at + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    let ethernet = [&[0x33, 0x33, 0, 1, 0, 2][..], &CLIENT, &[0x86, 0xdd]].concat();
    let start = [
        &[0x60, 0, 0, 0][..],
        &length.to_be_bytes(),
        &[protocol, 255],
    ]
    .concat();
    [ethernet, start, from, to, payload].concat()
}
