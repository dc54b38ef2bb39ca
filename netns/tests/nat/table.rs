//! What is in the tables, when, and for whom.

use std::net::SocketAddr;
use std::slice::from_ref;

use nsrun_netns::nft::{Guard, LinkRules, Port, Protocol, Rules, Table, Tag};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::world::{Namespace, ruleset};

const EMPTY: [String; 0] = [];

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Rules with a link and one port.
fn rules(name: &str, port: u16) -> Rules {
    let mut rules = Rules::new(tag(name));
    rules.links = vec![LinkRules {
        link: format!("ve-{port}").parse().unwrap(),
        masquerade: true,
    }];
    rules.ports = vec![Port {
        address: None,
        protocol: Protocol::Tcp,
        host: port,
        target: SocketAddr::from(([192, 168, 1, 2], 80)),
    }];
    rules
}

/// Runs `f` in a namespace in which somebody else has rules, and expects those alone
/// afterwards.
fn beside_others(f: impl FnOnce(&Table) + Send) {
    const OTHERS: [&str; 2] = [
        "add table ip nsrun",
        "add chain ip nsrun input { type filter hook input priority 0; policy drop; }",
    ];
    Namespace::new().with(|| {
        for command in OTHERS {
            crate::world::run("nft", &[command]);
        }
        let before = ruleset();
        f(&Table::open().unwrap());
        assert_eq!(ruleset(), before);
    });
}

#[test]
fn the_last_owner_takes_the_tables_along() {
    beside_others(|table| {
        assert_eq!(table.owners().unwrap(), EMPTY);
        let (one, two) = (rules("one", 1), rules("two", 2));
        table.install(&[one.clone(), two.clone()]).unwrap();
        table.remove(&[one]).unwrap();
        assert_eq!(table.owners().unwrap(), ["two"]);
        table.remove(&[two]).unwrap();
    });
}

/// nft shows names of links and whose they are, so that people can tell.
#[test]
fn what_nft_lists_can_be_read() {
    beside_others(|table| {
        let one = rules("one", 1);
        table.install(from_ref(&one)).unwrap();
        let listed = ruleset();
        for line in [
            "set links {\n\t\ttype ifname\n\t\telements = { \"ve-1\" comment \"one\" }",
            "elements = { tcp . 1 comment \"one\" : 192.168.1.2 . 80 }",
            "fib saddr . iif oif missing drop",
        ] {
            assert!(listed.contains(line), "{listed}");
        }
        table.remove(&[one]).unwrap();
    });
}

#[test]
fn installing_again_changes_nothing() {
    beside_others(|table| {
        let one = rules("one", 1);
        table.install(from_ref(&one)).unwrap();
        let first = ruleset();
        table.install(from_ref(&one)).unwrap();
        assert_eq!(ruleset(), first);
        table.remove(from_ref(&one)).unwrap();
        table.remove(&[one]).unwrap();
    });
}

#[test]
fn a_port_that_is_published_is_told_with_its_owner() {
    beside_others(|table| {
        let one = rules("one", 8080);
        table.install(from_ref(&one)).unwrap();
        let installed = ruleset();
        let mut two = rules("two", 8080);
        two.ports[0].target = SocketAddr::from(([192, 168, 2, 2], 80));
        let error = table.install(&[two]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot publish tcp port 8080: it is published by one already"
        );
        assert_eq!(ruleset(), installed);
        table.remove(&[one]).unwrap();
    });
}

#[test]
fn what_a_killed_run_of_the_same_owner_left_is_replaced() {
    beside_others(|table| {
        let mut one = rules("one", 8080);
        table.install(from_ref(&one)).unwrap();
        one.ports[0].target = SocketAddr::from(([192, 168, 9, 9], 80));
        table.install(from_ref(&one)).unwrap();
        assert!(ruleset().contains(": 192.168.9.9 . 80"));
        table.remove(&[one]).unwrap();
    });
}

#[test]
fn a_sweep_removes_what_the_dead_left() {
    beside_others(|table| {
        let dead = [rules("x:one", 1), rules("x:two", 2)];
        let mut live = rules("x:three", 3);
        live.ports[0].target = SocketAddr::from(([192, 168, 3, 2], 80));
        let other = rules("y:four", 4);
        table.install(&[live.clone(), other.clone()]).unwrap();
        let expected = ruleset();
        table.install(&dead).unwrap();
        let mut swept = table.sweep("x:", &[tag("x:three")]).unwrap();
        swept.sort();
        assert_eq!(swept, ["x:one", "x:two"]);
        assert_eq!(ruleset(), expected);
        assert_eq!(table.sweep("x:", &[tag("x:three")]).unwrap(), EMPTY);
        assert_eq!(table.sweep("", &[]).unwrap().len(), 2);
    });
}

#[test]
fn one_owner_goes_and_whose_tag_begins_alike_stays() {
    beside_others(|table| {
        let (one, more) = (rules("one", 1), rules("one-more", 2));
        table.install(from_ref(&more)).unwrap();
        let expected = ruleset();
        table.install(&[one]).unwrap();
        assert!(table.remove_owner(&tag("one")).unwrap());
        assert_eq!(ruleset(), expected);
        assert!(!table.remove_owner(&tag("one")).unwrap());
        table.remove(&[more]).unwrap();
    });
}

fn any_link() -> impl Strategy<Value = LinkRules> {
    ("[a-z][a-z0-9.-]{0,13}", any::<bool>()).prop_map(|(name, masquerade)| LinkRules {
        link: name.parse().unwrap(),
        masquerade,
    })
}

/// Ports that differ from owner to owner, and maybe from each other.
fn any_port(owner: u16) -> impl Strategy<Value = Port> {
    let v4 = (any::<Option<[u8; 4]>>(), any::<([u8; 4], u16)>())
        .prop_map(|(address, target)| (address.map(Into::into), target.into()));
    let v6 = (any::<Option<[u8; 16]>>(), any::<([u8; 16], u16)>())
        .prop_map(|(address, target)| (address.map(Into::into), target.into()));
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    (prop_oneof![v4, v6], protocol, 0..100_u16).prop_map(move |((address, target), protocol, n)| {
        Port {
            address,
            protocol,
            host: owner * 100 + n,
            target,
        }
    })
}

fn any_guard() -> impl Strategy<Value = Guard> {
    let addresses = vec(any::<std::net::IpAddr>(), 0..4);
    ("[a-z]{1,15}", any::<[u8; 6]>(), addresses).prop_map(|(name, mac, addresses)| Guard {
        port: name.parse().unwrap(),
        mac: mac.into(),
        addresses,
    })
}

fn any_rules() -> impl Strategy<Value = Vec<Rules>> {
    let one = |owner: u16| {
        (
            vec(any_link(), 0..3),
            vec(any_port(owner), 0..5),
            vec(any_guard(), 0..3),
            vec(any::<std::net::Ipv6Addr>(), 0..2),
        )
            .prop_map(move |(links, mut ports, guards, reserved)| {
                // Two targets of one port are refused.
                ports.sort_by_key(|port| (port.host, port.protocol as u8));
                ports.dedup_by_key(|port| (port.host, port.protocol as u8));
                Rules {
                    tag: tag(&format!("owner{owner}")),
                    links,
                    ports,
                    guards,
                    reserved,
                }
            })
    };
    (1..4_u16).prop_flat_map(move |count| (0..count).map(one).collect::<Vec<_>>())
}

#[test]
fn whatever_is_installed_leaves_nothing_once_removed() {
    Namespace::new().with(|| {
        let table = Table::open().unwrap();
        let before = ruleset();
        let removed = |rules: Vec<Rules>| {
            table.install(&rules).unwrap();
            prop_assert_ne!(ruleset(), before.as_str());
            table.remove(&rules).unwrap();
            prop_assert_eq!(ruleset(), before.as_str());
            table.install(&rules).unwrap();
            prop_assert_eq!(table.sweep("owner", &[]).unwrap().len(), rules.len());
            prop_assert_eq!(ruleset(), before.as_str());
            Ok(())
        };
        let mut runner = TestRunner::new(Config::with_cases(40));
        runner.run(&any_rules(), removed).unwrap();
    });
}

#[test]
fn a_table_that_somebody_else_has_made_is_told() {
    Namespace::new().with(|| {
        crate::world::run("nft", &["add table inet nsrun"]);
        let before = ruleset();
        let table = Table::open().unwrap();
        let error = table.install(&[rules("one", 1)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot add rules to nftables' table nsrun: it is not as this release makes it, \
             or others keep changing it"
        );
        assert_eq!(ruleset(), before);
    });
}

#[test]
fn a_range_of_thousands_of_ports_is_one_transaction() {
    beside_others(|table| {
        let mut many = rules("one", 0);
        let port = many.ports[0];
        many.ports = (1..=5000)
            .map(|number| Port {
                host: number,
                ..port
            })
            .collect();
        table.install(from_ref(&many)).unwrap();
        assert_eq!(ruleset().matches("tcp . ").count(), 5000);
        table.remove(&[many]).unwrap();
    });
}
