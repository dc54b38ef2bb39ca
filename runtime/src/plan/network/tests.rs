use super::*;
use proptest::prelude::*;

fn pair(text: &str) -> LinkPair {
    text.parse().unwrap()
}

fn planned(asked: Option<Network>, usual: Network, request: &LinksRequest) -> (Network, Links) {
    plan(asked, usual, request).unwrap()
}

fn refused(asked: Option<Network>, request: &LinksRequest) -> String {
    let error = plan(asked, Network::Veth, request).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    error.to_string()
}

#[test]
fn a_system_has_a_link_and_a_command_none() {
    let nothing = LinksRequest::default();
    let (network, links) = planned(None, Network::Veth, &nothing);
    assert_eq!((network, links.host0), (Network::Veth, Some(Uplink::Host)));
    let (network, links) = planned(None, Network::Private, &nothing);
    assert!(network == Network::Private && links.is_empty());
}

#[test]
fn bridge_and_zone_are_host0s_whatever_is_usual() {
    let zone = LinksRequest {
        zone: Some("lan".parse().unwrap()),
        ..LinksRequest::default()
    };
    for asked in [None, Some(Network::Private), Some(Network::Veth)] {
        let (network, links) = planned(asked, Network::Private, &zone);
        assert_eq!(network, Network::Veth);
        assert!(links.is_routed());
        assert_eq!(links.host0.unwrap().to_string(), "zone lan");
    }
    let bridge = LinksRequest {
        bridge: Some("br0".parse().unwrap()),
        ..LinksRequest::default()
    };
    assert!(!planned(None, Network::Private, &bridge).1.is_routed());
    let both = LinksRequest {
        bridge: bridge.bridge,
        ..zone
    };
    assert!(refused(None, &both).contains("at once"));
}

#[test]
fn who_asks_for_other_links_gets_those_alone_unless_host0_is_asked_for() {
    let request = LinksRequest {
        macvlans: vec![pair("eth0"), pair("eth1:lan")],
        vlans: vec!["7:2".parse().unwrap()],
        ..LinksRequest::default()
    };
    let (network, links) = planned(None, Network::Veth, &request);
    assert_eq!((network, &links.host0), (Network::Private, &None));
    let names: Vec<String> = links.others.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "mv-eth0, a macvlan of eth0",
            "lan, a macvlan of eth1",
            "eth1 in vlan 7 as number 2"
        ]
    );
    let (network, links) = planned(Some(Network::Veth), Network::Veth, &request);
    assert_eq!((network, links.host0), (Network::Veth, Some(Uplink::Host)));
    let vlan = LinksRequest {
        vlans: request.vlans,
        ..LinksRequest::default()
    };
    assert_eq!(planned(None, Network::Veth, &vlan).0, Network::Veth);
}

#[test]
fn the_hosts_network_gets_no_links() {
    let request = LinksRequest {
        extra: vec![pair("lan")],
        ..LinksRequest::default()
    };
    for network in [Network::Host, Network::Joined] {
        let told = refused(Some(network), &request);
        assert!(told.contains(network.word()), "{told}");
    }
}

#[test]
fn a_name_inside_is_one_links() {
    for (first, second) in [("a", "a"), ("a:lo", "b"), ("a:host0", "b"), ("a:c", "b:c")] {
        let request = LinksRequest {
            extra: vec![pair(first)],
            interfaces: vec![pair(second)],
            ..LinksRequest::default()
        };
        let told = refused(Some(Network::Veth), &request);
        assert!(told.contains("two links"), "{told}");
    }
}

#[test]
fn a_gateway_is_in_the_network_and_another_address() {
    let request = |ip: &str, gateways: &[&str]| {
        let addressing = Addressing {
            ip: ip.parse().unwrap(),
            gateways: gateways.iter().map(|text| text.parse().unwrap()).collect(),
            ..Addressing::default()
        };
        LinksRequest {
            addressing,
            ..LinksRequest::default()
        }
    };
    for (ip, gateways) in [
        ("auto", &["10.0.0.1"][..]),
        ("10.0.0.2/24", &["10.0.1.1"]),
        ("10.0.0.2/24", &["10.0.0.2"]),
        ("10.0.0.2/24", &["fd00::1"]),
        ("10.0.0.2/24", &["10.0.0.1", "10.0.0.3"]),
    ] {
        let told = refused(None, &request(ip, gateways));
        assert!(told.contains("gateway"), "{told}");
    }
    let fine = request("10.0.0.2/24", &["10.0.0.1"]);
    assert!(plan(None, Network::Veth, &fine).is_ok());
    assert!(plan(None, Network::Private, &fine).is_err(), "no link");
}

#[test]
fn values_have_their_limits() {
    for text in ["", "0", "256", "1:0", "1:255", "1:", "+1", "1:2:3"] {
        assert!(text.parse::<Vlan>().is_err(), "{text}");
    }
    for text in ["", "1279", "65536", "-1", "x"] {
        assert!(text.parse::<Mtu>().is_err(), "{text}");
    }
    for text in [
        "10.0.0.1",
        "10.0.0.0/24",
        "10.0.0.255/24",
        "127.0.0.1/8",
        "fd00::1/64",
        "",
    ] {
        assert!(text.parse::<Choice<Ipv4Net>>().is_err(), "{text}");
    }
    for text in ["fd00::1", "ff02::1/64", "::1/128", "10.0.0.1/24", ""] {
        assert!(text.parse::<Choice<Ipv6Net>>().is_err(), "{text}");
    }
    assert!("10.0.0.0/31".parse::<Choice<Ipv4Net>>().is_ok());
    assert_eq!("none".parse::<Choice<Ipv6Net>>().unwrap(), Choice::No);
    assert!("twelve-bytes".parse::<Zone>().is_ok());
    assert!("thirteen-byte".parse::<Zone>().is_err());
    assert!("a/b".parse::<LinkPair>().is_err());
}

#[test]
fn ports_have_an_address_a_protocol_a_range_and_a_port_inside() {
    for (text, shown) in [
        ("80", "tcp:80:80"),
        ("udp:53:5353", "udp:53:5353"),
        ("127.0.0.1:8080:80", "127.0.0.1:tcp:8080:80"),
        ("[::1]:udp:1-3:11", "[::1]:udp:1-3:11"),
        ("0.0.0.0:80", "tcp:80:80"),
        ("8000-8010", "tcp:8000-8010:8000"),
    ] {
        let publish: Publish = text.parse().unwrap();
        assert_eq!(publish.to_string(), shown);
        assert_eq!(shown.parse::<Publish>().unwrap(), publish);
    }
    for text in [
        "",
        "0",
        "65536",
        "+1",
        "sctp:1",
        "tcp:",
        "1:2:3",
        "2-1",
        "1-300",
        "1-2:65535",
        "::1:80",
        "1.2.3:1",
    ] {
        assert!(text.parse::<Publish>().is_err(), "{text}");
    }
    assert_eq!(
        "udp:53".parse::<PublishHost>().unwrap().to_string(),
        "udp:53"
    );
    assert!("53:54".parse::<PublishHost>().is_err());
    let three: Publish = "1-3:11".parse().unwrap();
    assert_eq!(
        three.pairs().collect::<Vec<_>>(),
        [(1, 11), (2, 12), (3, 13)]
    );
}

#[test]
fn ports_take_a_link_that_the_host_routes() {
    let request = LinksRequest {
        ports: vec!["80".parse().unwrap()],
        ..LinksRequest::default()
    };
    assert!(plan(None, Network::Veth, &request).is_ok());
    for network in [Network::Private, Network::Host] {
        assert!(refused(Some(network), &request).contains("tcp:80:80"));
    }
    let twice = LinksRequest {
        ports: vec!["80-82".parse().unwrap(), "82:1".parse().unwrap()],
        ..LinksRequest::default()
    };
    assert!(refused(None, &twice).contains("82"));
}

proptest! {
    #[test]
    fn reading_never_panics(text in "\\PC{0,40}|[:/0-9a-z.]{0,30}") {
        let _ = text.parse::<LinkPair>();
        let _ = text.parse::<Zone>().map(|zone| zone.bridge());
        let _ = text.parse::<Vlan>();
        if let Ok(publish) = text.parse::<Publish>() {
            let again = publish.to_string().parse::<Publish>();
            prop_assert!(again.is_ok_and(|again| again == publish));
        }
        let _ = text.parse::<Mtu>();
        let _ = text.parse::<Choice<Ipv4Net>>();
        let _ = text.parse::<Choice<Ipv6Net>>();
    }
}
