//! Frames to the DHCP server of one client. Half of them get headers that are right, so
//! that what is tried is the message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nsrun_netns::MacAddr;
use nsrun_netns::dhcp::{Offer, Responder};

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 2];

fuzz_target!(|input: &[u8]| {
    let Some((&framed, octets)) = input.split_first() else {
        return;
    };
    let frame = if framed & 1 == 0 {
        octets.to_vec()
    } else {
        around(octets)
    };
    let answer = responder().answer(&frame);
    if let Some(answer) = answer {
        assert!(answer.len() <= 1514, "an answer that no link carries");
        assert!(
            answer.starts_with(&CLIENT) || answer.starts_with(&[0xff; 6]),
            "an answer to somebody else"
        );
    }
});

fn responder() -> Responder {
    let server = [192, 168, 7, 17].into();
    let offer = Offer {
        router: Some(server),
        dns: vec![server],
        domain: Some("nsrun".to_owned()),
        search: vec!["lan.example".to_owned()],
        host_name: Some("web".to_owned()),
        mtu: Some(1500),
        timezone: Some("Europe/Berlin".to_owned()),
        ..Offer::new("192.168.7.18/28".parse().expect("a network"), server)
    };
    Responder::new(MacAddr::from([2, 0, 0, 0, 0, 1]), CLIENT.into(), offer)
}

/// The client's datagram with this message: without a checksum of UDP, which may be
/// left out, but with IPv4's.
fn around(message: &[u8]) -> Vec<u8> {
    let message = &message[..message.len().min(1472)];
    let length = u16::try_from(message.len()).expect("shorter than a packet");
    let mut header = [
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255,
    ];
    header[2..4].copy_from_slice(&(length + 28).to_be_bytes());
    let words = header
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    let udp = [68, 67, length + 8, 0]
        .into_iter()
        .flat_map(u16::to_be_bytes);
    let ethernet = [&[0xff; 6][..], &CLIENT, &[8, 0]].concat();
    let headers = ethernet.into_iter().chain(header).chain(udp);
    headers.chain(message.iter().copied()).collect()
}
