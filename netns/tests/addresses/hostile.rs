//! What a client must not be able to do: frames that no client would send, and many.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use nsrun_netns::MacAddr;
use nsrun_netns::ra::{Advertiser, RaPlan};

use crate::peer::{CLIENT, Pair, SERVER};
use crate::udhcpc::{Udhcpc, host_is_reached, offer, serve};

/// The client's end of the link, as octets.
struct Wire(OwnedFd);

impl Wire {
    fn open(pair: &Pair) -> Self {
        let open = || {
            let mut links = getifaddrs().unwrap();
            let link = links.find(|link| link.interface_name == "host0").unwrap();
            let address = *link.address.unwrap().as_link_addr().unwrap();
            let flags = SockFlag::SOCK_CLOEXEC;
            let all = SockProtocol::EthAll;
            let fd = socket(AddressFamily::Packet, SockType::Raw, flags, all).unwrap();
            bind(fd.as_raw_fd(), &address).unwrap();
            fd
        };
        Self(pair.client.with(open))
    }

    fn send(&self, frame: &[u8]) {
        send(self.0.as_raw_fd(), frame, MsgFlags::empty()).unwrap();
    }

    /// The transaction of the next answer to a DHCP client.
    fn answered(&self) -> u32 {
        let mut buffer = [0; 2048];
        loop {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
            let frame = &buffer[..length];
            let to_client = frame.starts_with(&CLIENT) && frame[12..14] == [8, 0];
            if to_client && frame[23] == 17 && frame[36..38] == [0, 68] {
                return u32::from_be_bytes(frame[46..50].try_into().unwrap());
            }
        }
    }
}

/// A frame with a discovery that is right but for what follows its options.
fn discovery(transaction: u32, options: &[u8], padding: usize) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[1, 1, 6]);
    message[4..8].copy_from_slice(&transaction.to_be_bytes());
    message[28..34].copy_from_slice(&CLIENT);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, 1]);
    message.extend(options);
    message.resize(message.len() + padding, 0);
    datagram(&message)
}

/// The message in UDP, whose checksum is left out, and IPv4.
fn datagram(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    let mut header = [
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255,
    ];
    header[2..4].copy_from_slice(&(length + 28).to_be_bytes());
    let words = header
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    let udp = [68, 67, length + 8, 0]
        .into_iter()
        .flat_map(u16::to_be_bytes);
    let ethernet = [&[0xff; 6][..], &CLIENT, &[8, 0]].concat();
    ethernet
        .into_iter()
        .chain(header)
        .chain(udp)
        .chain(message.iter().copied())
        .collect()
}

/// The answer to the last of the frames is the first to come.
fn only_the_last_is_answered(pair: &Pair, frames: &[Vec<u8>]) {
    let wire = Wire::open(pair);
    for frame in frames {
        wire.send(frame);
    }
    wire.send(&discovery(0x600d, &[255], 0));
    assert_eq!(wire.answered(), 0x600d);
}

#[test]
fn frames_that_no_client_sends_have_no_answer() {
    let pair = Pair::without_client_address();
    pair.server.shell("ip link set ve-a mtu 9000");
    pair.client.shell("ip link set host0 mtu 9000");
    let _server = serve(&pair, offer());

    let whole = discovery(0xbad, &[255], 0);
    let tagged = [&whole[..12], &[0x81, 0, 0, 5], &whole[12..]].concat();
    let twice_tagged = [
        &whole[..12],
        &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 5],
        &whole[12..],
    ]
    .concat();
    let giant = discovery(0xbad, &[255], 4000);
    let cut_option = discovery(0xbad, &[61, 200, 1], 0);
    let mut longer_than_itself = whole.clone();
    longer_than_itself[39] = longer_than_itself[39].wrapping_add(60);
    let mut wrong_header_sum = whole.clone();
    wrong_header_sum[24] ^= 1;
    let mut wrong_sum = whole.clone();
    wrong_sum[40..42].copy_from_slice(&[0xab, 0xcd]);
    let cut = whole[..200].to_vec();
    only_the_last_is_answered(
        &pair,
        &[
            tagged,
            twice_tagged,
            giant,
            cut_option,
            longer_than_itself,
            wrong_header_sum,
            wrong_sum,
            cut,
        ],
    );
}

/// The next of a sequence that looks random (xorshift), the same each time.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A frame that looks more or less like one for a server.
fn noise(state: &mut u64) -> Vec<u8> {
    let random: Vec<u8> = (0..next(state) % 300)
        .map(|_| next(state).to_be_bytes()[0])
        .collect();
    match next(state) % 4 {
        0 => [&[0xff; 6][..], &CLIENT, &random, &[0; 2]].concat(),
        1 => datagram(&random),
        2 => discovery(0xbad, &random, 0),
        _ => {
            let ipv6 = [
                &[0x33, 0x33, 0, 0, 0, 2][..],
                &CLIENT,
                &[0x86, 0xdd, 0x60, 0, 0, 0],
            ];
            let payload = u16::try_from(random.len()).unwrap().to_be_bytes();
            let header = [&payload[..], &[58, 255], &[0; 32], &[133, 0]].concat();
            [ipv6.concat(), header, random].concat()
        }
    }
}

/// The process's resident memory in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

#[test]
fn a_flood_takes_no_memory_and_a_client_is_served_after_it() {
    let pair = Pair::without_client_address();
    let index = pair.index;
    let _server = serve(&pair, offer());
    let _advertiser = pair.serve(move || {
        let plan = RaPlan::new(SERVER.into(), "fd00:7::/64".parse().unwrap());
        Advertiser::open(index, MacAddr::from(CLIENT), &plan)
            .unwrap()
            .run()
    });
    let wire = Wire::open(&pair);
    let mut state = 0x5eed;
    let mut flood = |frames: u32| {
        for _ in 0..frames {
            wire.send(&noise(&mut state));
        }
    };
    flood(1000);
    let before = resident();
    flood(200_000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB more");
    drop(wire);

    Udhcpc::start(&pair, &[]).wait_for("bound", 1);
    host_is_reached(&pair);
}
