use super::*;
use proptest::prelude::*;

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SOLICITATION: [u8; 16] = [133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 2];

fn plan() -> RaPlan {
    RaPlan {
        mtu: Some(1400),
        dns: vec![
            "fd00:7::1".parse().unwrap(),
            "2001:db8::53".parse().unwrap(),
        ],
        search: vec!["nsrun".to_owned()],
        ..RaPlan::new(ROUTER.into(), "fd00:7::/64".parse().unwrap())
    }
}

/// A solicitation, to be changed before it is sent.
fn solicitation(payload: &[u8]) -> Packet<'_> {
    Packet {
        from: Endpoint {
            mac: CLIENT.into(),
            address: "fe80::2".parse().unwrap(),
        },
        to: Endpoint {
            mac: MacAddr::from([0x33, 0x33, 0, 0, 0, 2]),
            address: ALL_ROUTERS,
        },
        protocol: ICMPV6,
        hop_limit: 255,
        payload,
    }
}

fn answer(packet: Packet<'_>) -> Option<Vec<u8>> {
    Responder::new(CLIENT.into(), &plan()).answer(&packet.to_frame().unwrap())
}

/// The first option of that number, without its header.
fn option(advertisement: &[u8], code: u8) -> Option<&[u8]> {
    let mut rest = &advertisement[16..];
    while let [found, length, ..] = *rest {
        let (option, behind) = rest.split_at(usize::from(length) * 8);
        if found == code {
            return Some(&option[2..]);
        }
        rest = behind;
    }
    assert_eq!(rest, [0; 0]);
    None
}

#[test]
fn a_host_with_an_address_is_answered_alone() {
    let frame = answer(solicitation(&SOLICITATION)).unwrap();
    let packet = Packet::parse(&frame).unwrap();
    assert_eq!(packet.to, solicitation(&[]).from);
    assert_eq!(packet.from.mac, ROUTER.into());
    assert_eq!(packet.from.address.to_string(), "fe80::ff:fe00:1");
    assert_eq!(packet.hop_limit, 255);
}

#[test]
fn a_host_without_an_address_is_answered_with_all() {
    let mut asked = solicitation(&SOLICITATION[..8]);
    asked.from.address = Ipv6Addr::UNSPECIFIED;
    let frame = answer(asked).unwrap();
    assert_eq!(Packet::parse(&frame).unwrap().to, all_nodes());
    let responder = Responder::new(CLIENT.into(), &plan());
    assert_eq!(responder.unsolicited(), frame);
}

#[test]
fn all_of_the_plan_is_advertised() {
    let frame = answer(solicitation(&SOLICITATION)).unwrap();
    let message = Packet::parse(&frame).unwrap().payload;
    assert_eq!(message[..2], [134, 0]);
    assert_eq!(
        message[4..8],
        [64, 0, 0x07, 0x08],
        "hop limit, no DHCPv6, 1800 s"
    );
    assert_eq!(option(message, 1).unwrap(), ROUTER);
    assert_eq!(option(message, 5).unwrap(), [0, 0, 0, 0, 0x05, 0x78]);
    let prefix = option(message, 3).unwrap();
    assert_eq!(prefix[..2], [64, 0xc0], "on the link, to make addresses in");
    assert_eq!(
        prefix[14..],
        [0xfd, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    let dns = option(message, 25).unwrap();
    assert_eq!(dns.len(), 6 + 2 * 16);
    assert_eq!(dns[6..22], plan().dns[0].octets());
    assert_eq!(option(message, 31).unwrap()[6..13], *b"\x05nsrun\0");
}

#[test]
fn what_the_plan_lacks_is_not_advertised() {
    let bare = RaPlan {
        autoconf: false,
        lifetime: std::time::Duration::ZERO,
        ..RaPlan::new(ROUTER.into(), "fd00:7::/64".parse().unwrap())
    };
    let responder = Responder::new(CLIENT.into(), &bare);
    let message = Packet::parse(responder.unsolicited()).unwrap().payload;
    assert_eq!(message[6..8], [0, 0], "no gateway");
    assert_eq!(option(message, 3).unwrap()[1], 0x80);
    for code in [5, 25, 31] {
        assert_eq!(option(message, code), None, "option {code}");
    }
}

#[test]
fn more_domains_than_a_packet_carries_are_left_out() {
    let crowded = RaPlan {
        search: vec!["a-long-label.example".to_owned(); 60],
        ..plan()
    };
    let responder = Responder::new(CLIENT.into(), &crowded);
    let message = Packet::parse(responder.unsolicited()).unwrap().payload;
    assert_eq!(option(message, 31), None);
    assert!(option(message, 25).is_some());

    let mut asked = solicitation(&SOLICITATION);
    let datagram = request(&[]);
    (asked.protocol, asked.payload) = (UDP, &datagram);
    asked.to.address = ALL_DHCP_SERVERS;
    let frame = responder.answer(&asked.to_frame().unwrap()).unwrap();
    assert_eq!(
        Packet::parse(&frame).unwrap().payload.len(),
        8 + 4 + 14 + 36
    );
}

#[test]
fn what_is_no_solicitation_of_the_hosts_has_no_answer() {
    let mut stranger = solicitation(&SOLICITATION);
    stranger.from.mac = MacAddr::from([2, 0, 0, 0, 0, 3]);
    let mut passed_on = solicitation(&SOLICITATION);
    passed_on.hop_limit = 254;
    let mut to_another = solicitation(&SOLICITATION);
    to_another.to.address = "fe80::9".parse().unwrap();
    let mut many = solicitation(&SOLICITATION);
    many.from.address = ALL_NODES;
    let mut without_address = solicitation(&SOLICITATION);
    without_address.from.address = Ipv6Addr::UNSPECIFIED;
    for packet in [stranger, passed_on, to_another, many, without_address] {
        assert_eq!(answer(packet), None, "{packet:?}");
    }
    for payload in [
        &SOLICITATION[..7],
        &SOLICITATION[..9],
        &SOLICITATION[..15],
        &[133, 1, 0, 0, 0, 0, 0, 0],
        &[134, 0, 0, 0, 0, 0, 0, 0],
        &[133, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0],
        &[133, 0, 0, 0, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(answer(solicitation(payload)), None, "{payload:?}");
    }
}

/// A request for information with these options.
fn request(options: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + 4 + options.len()).unwrap();
    let header = [546, 547, length, 0].into_iter().flat_map(u16::to_be_bytes);
    header
        .chain([11, 7, 8, 9])
        .chain(options.iter().copied())
        .collect()
}

fn inform(datagram: &[u8]) -> Option<Vec<u8>> {
    let mut packet = solicitation(datagram);
    packet.protocol = UDP;
    packet.hop_limit = 1;
    packet.to.address = ALL_DHCP_SERVERS;
    answer(packet)
}

#[test]
fn a_host_that_asks_by_dhcpv6_is_told_the_name_servers() {
    let client_id = [0, 1, 0, 3, 7, 7, 7];
    let wanted = [0, 6, 0, 4, 0, 23, 0, 24];
    let frame = inform(&request(&[&client_id[..], &wanted].concat())).unwrap();
    let packet = Packet::parse(&frame).unwrap();
    assert_eq!(packet.to, solicitation(&[]).from);
    assert_eq!(
        packet.payload[..4],
        [547_u16.to_be_bytes(), 546_u16.to_be_bytes()].concat()
    );
    let dns: Vec<u8> = plan().dns.iter().flat_map(Ipv6Addr::octets).collect();
    let expected = [
        &[7, 7, 8, 9][..],
        &client_id,
        &[0, 2, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1],
        &[0, 23, 0, 32],
        &dns,
        &[0, 24, 0, 7],
        b"\x05nsrun\0",
    ];
    assert_eq!(packet.payload[8..], expected.concat());
}

#[test]
fn only_what_is_asked_for_is_told() {
    let frame = inform(&request(&[0, 6, 0, 2, 0, 24])).unwrap();
    let payload = Packet::parse(&frame).unwrap().payload;
    assert_eq!(payload.len(), 8 + 4 + 14 + 11);
    let all = inform(&request(&[])).unwrap();
    assert_eq!(
        Packet::parse(&all).unwrap().payload.len(),
        8 + 4 + 14 + 36 + 11
    );
}

#[test]
fn a_request_that_is_not_for_information_from_here_has_no_answer() {
    let other_server = [0, 2, 0, 2, 1, 1];
    let wants_an_address = [0, 3, 0, 0];
    let cut = [0, 1, 0, 9, 1];
    let no_length = [0, 1, 0];
    for options in [&other_server[..], &wants_an_address, &cut, &no_length] {
        assert_eq!(inform(&request(options)), None, "{options:?}");
    }
    let long_name = [&[0, 1, 0, 131][..], &[0; 131]].concat();
    assert_eq!(inform(&request(&long_name)), None);
    for (at, value) in [(8, 1), (3, 0), (5, 7), (5, 200)] {
        let mut bent = request(&[]);
        bent[at] = value;
        assert_eq!(inform(&bent), None, "octet {at} as {value}");
    }
    let mut from_afar = solicitation(&[]);
    from_afar.from.address = "2001:db8::2".parse().unwrap();
    from_afar.to.address = ALL_DHCP_SERVERS;
    from_afar.protocol = UDP;
    let datagram = request(&[]);
    from_afar.payload = &datagram;
    assert_eq!(answer(from_afar), None);
}

proptest! {
    #[test]
    fn whatever_is_asked_only_the_host_is_answered(
        protocol in prop::sample::select(vec![ICMPV6, UDP]),
        source in prop::sample::select(vec!["::", "fe80::2", "ff02::1", "2001:db8::2"]),
        start in prop::sample::select(vec![vec![], vec![133, 0, 0, 0, 0, 0, 0, 0], request(&[])]),
        rest in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let payload = [start, vec![0; 8], rest].concat();
        let mut packet = solicitation(&payload);
        packet.protocol = protocol;
        packet.from.address = source.parse().unwrap();
        if protocol == UDP {
            packet.to.address = ALL_DHCP_SERVERS;
        }
        if let Some(frame) = answer(packet) {
            let to = Packet::parse(&frame).unwrap().to;
            prop_assert!(to == packet.from || to == all_nodes());
            prop_assert!(frame.len() <= 14 + 1280);
        }
    }

    #[test]
    fn any_request_is_survived(datagram in prop::collection::vec(any::<u8>(), 8..200)) {
        let _ = inform(&datagram);
    }
}
