use super::*;
use proptest::prelude::*;

fn mac() -> MacAddr {
    "02:00:5e:10:00:01".parse().unwrap()
}

fn networks(v4: &str, v6: &str) -> Networks {
    Networks {
        v4: v4.parse().ok(),
        v6: v6.parse().ok(),
    }
}

fn asked(ip: &str, ip6: &str, gateways: &[&str]) -> Addressing {
    Addressing {
        ip: ip.parse().unwrap(),
        ip6: ip6.parse().unwrap(),
        gateways: gateways.iter().map(|text| text.parse().unwrap()).collect(),
        ..Addressing::default()
    }
}

fn told(ends: &Ends) -> String {
    let list = |nets: &[IpNet]| -> Vec<String> { nets.iter().map(ToString::to_string).collect() };
    let gateways: Vec<String> = ends
        .inside
        .gateways
        .iter()
        .map(ToString::to_string)
        .collect();
    format!(
        "{} | {} | {}",
        list(&ends.host).join(" "),
        list(&ends.inside.addresses).join(" "),
        gateways.join(" ")
    )
}

#[test]
fn the_ends_of_a_pair_have_the_first_addresses_or_the_users() {
    let free = networks("192.168.7.16/28", "fd00:1::/64");
    for (ip, ip6, gateways, expected) in [
        (
            "auto",
            "auto",
            &[][..],
            "192.168.7.17/28 fd00:1::1/64 | 192.168.7.18/28 fd00:1::5eff:fe10:1/64 | 192.168.7.17 fd00:1::1",
        ),
        ("none", "none", &[], " |  | "),
        (
            "10.1.1.2/24",
            "none",
            &[],
            "10.1.1.1/24 | 10.1.1.2/24 | 10.1.1.1",
        ),
        (
            "10.1.1.1/24",
            "fd00::1/64",
            &[],
            "10.1.1.2/24 fd00::2/64 | 10.1.1.1/24 fd00::1/64 | 10.1.1.2 fd00::2",
        ),
        (
            "10.1.1.2/24",
            "fd00::2/64",
            &["10.1.1.254", "fd00::fe"],
            "10.1.1.254/24 fd00::fe/64 | 10.1.1.2/24 fd00::2/64 | 10.1.1.254 fd00::fe",
        ),
        (
            "10.1.1.2/31",
            "none",
            &[],
            "10.1.1.3/31 | 10.1.1.2/31 | 10.1.1.3",
        ),
        ("10.1.1.2/32", "none", &[], " | 10.1.1.2/32 | "),
    ] {
        let ends = pair(&asked(ip, ip6, gateways), free, mac());
        assert_eq!(told(&ends), expected);
    }
    let ends = pair(&Addressing::default(), Networks::default(), mac());
    assert_eq!(told(&ends), " |  | ", "nothing is free");
}

#[test]
fn a_link_that_does_not_end_at_the_host_gets_what_the_user_says() {
    let ends = fixed(&asked("10.1.1.2/24", "auto", &["10.1.1.1"]));
    assert_eq!(told(&ends), " | 10.1.1.2/24 | 10.1.1.1");
    assert_eq!(told(&fixed(&Addressing::default())), " |  | ");
}

#[test]
fn members_of_a_zone_have_addresses_of_their_own() {
    let gateways = networks("192.168.9.1/29", "fd00:2::1/64");
    let mut taken: Vec<IpAddr> = Vec::new();
    for number in 0..5 {
        let name = format!("m{number}");
        let ends = member(&Addressing::default(), gateways, mac(), &name, &taken);
        let address = ends.inside.addresses[0].addr();
        assert!(!taken.contains(&address) && address != gateways.v4.unwrap().addr());
        assert_eq!(ends.inside.gateways.len(), 2);
        taken.push(address);
    }
    let ends = member(&Addressing::default(), gateways, mac(), "m5", &taken);
    assert_eq!(ends.inside.addresses.len(), 1, "the network is full");
    let again = member(&Addressing::default(), gateways, mac(), "m0", &[]);
    assert_eq!(again.inside.addresses[0].addr(), taken[0]);
    let other = member(
        &asked("10.0.0.2/24", "none", &[]),
        gateways,
        mac(),
        "m0",
        &[],
    );
    assert_eq!(told(&other), " | 10.0.0.2/24 | ");
}

#[test]
fn vlans_are_numbered_in_decimal_in_both_families() {
    let setup = vlan(12, 254);
    let addresses: Vec<String> = setup.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.168.12.254/24", "2001:db8:12::254/64"]);
    assert!(setup.gateways.is_empty());
}

proptest! {
    #[test]
    fn a_members_address_is_a_free_one_of_the_network(bits: u32, prefix in 1_u8..=32, name in ".{0,20}") {
        let gateway = Ipv4Net::new(bits.into(), prefix).unwrap();
        if let Some(found) = free(gateway, &name, &[]) {
            prop_assert!(gateway.contains(&found.addr()) && found.addr() != gateway.addr());
            prop_assert!(found.addr() != gateway.network() && found.addr() != gateway.broadcast());
        } else {
            prop_assert!(prefix >= 30);
        }
    }
}
