//! What is in the tables, when, and for whom.

use std::net::SocketAddr;
use std::slice::from_ref;

use nsrun_netns::nft::{LinkRules, Port, Protocol, Rules, Table, Tag};

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
