//! Hosts whose own firewall drops what is forwarded. The rule sets are those that the
//! programs load, down to the chains that matter for forwarding.

use nsrun_netns::nft::{Obstacle, Program, Protocol, Table};

use crate::world::{HOST4, HOST6, INTERNET4, INTERNET6, Peer, SERVICE, World, ruleset};

/// Docker by `iptables`, IPv6 included.
const DOCKER: &str = r#"
table ip filter {
    chain DOCKER { }
    chain DOCKER-ISOLATION-STAGE-1 {
        iifname "docker0" oifname != "docker0" counter jump DOCKER-ISOLATION-STAGE-2
        counter return
    }
    chain DOCKER-ISOLATION-STAGE-2 { oifname "docker0" counter drop; counter return; }
    chain DOCKER-USER { counter return; }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        counter jump DOCKER-USER
        counter jump DOCKER-ISOLATION-STAGE-1
        oifname "docker0" ct state related,established counter accept
        oifname "docker0" counter jump DOCKER
        iifname "docker0" oifname != "docker0" counter accept
    }
}
table ip6 filter {
    chain DOCKER-USER { counter return; }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        counter jump DOCKER-USER
    }
}
"#;

const UFW: &str = r#"
table ip filter {
    chain ufw-before-forward { ct state related,established counter accept; }
    chain ufw-user-forward { }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        counter jump ufw-before-forward
        counter jump ufw-user-forward
    }
}
table ip6 filter {
    chain ufw6-before-forward { ct state related,established counter accept; }
    chain ufw6-user-forward { }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        counter jump ufw6-before-forward
        counter jump ufw6-user-forward
    }
}
"#;

const FIREWALLD: &str = r#"
table inet firewalld {
    chain filter_FWD_trusted { accept; }
    chain filter_FORWARD_ZONES { }
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        jump filter_FORWARD_ZONES
        ct state { invalid } drop
        reject with icmpx admin-prohibited
    }
}
"#;

const NIXOS: &str = r#"
table inet nixos-fw {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state vmap { invalid : drop, established : accept, related : accept, new : jump forward-allow, untracked : jump forward-allow }
    }
    chain forward-allow {
        icmpv6 type != { router-renumbering, 139 } accept
        ct status dnat accept comment "allow port forward"
    }
}
"#;

/// A world with such a firewall, and a peer that has all it needs but for that.
fn behind(firewall: &str) -> (World, Peer) {
    let world = World::new();
    let peer = world.peer(1);
    world.load(firewall);
    let mut rules = peer.rules();
    rules.ports = peer.ports(8080);
    world.install(&[rules]);
    assert!(peer.inside.is_cut_off(Protocol::Tcp, INTERNET4, SERVICE));
    (world, peer)
}

fn obstacles(world: &World, peer: &Peer) -> Vec<Obstacle> {
    world.host.with(|| {
        let table = Table::open().unwrap();
        let links = [peer.link.parse().unwrap()];
        table.pass_firewalls(&peer.rules().tag, &links).unwrap()
    })
}

fn connected(world: &World, peer: &Peer) {
    assert_eq!(peer.inside.asks(Protocol::Tcp, INTERNET4, SERVICE), HOST4);
    assert_eq!(peer.inside.asks(Protocol::Tcp, INTERNET6, SERVICE), HOST6);
    assert_eq!(world.internet.asks(Protocol::Tcp, HOST4, 8080), INTERNET4);
    assert_eq!(world.internet.asks(Protocol::Udp, HOST6, 8080), INTERNET6);
}

/// The firewall is named; what its own command does makes it let the peer's link pass.
fn named(firewall: &str, program: Program, remedy: &str, commands: &[&str]) {
    let (world, peer) = behind(firewall);
    let found = obstacles(&world, &peer);
    assert!(!found.is_empty());
    for obstacle in &found {
        assert_eq!(
            (obstacle.program, obstacle.remedy().as_str()),
            (program, remedy)
        );
    }
    for command in commands {
        world.load(command);
    }
    assert_eq!(obstacles(&world, &peer), []);
    connected(&world, &peer);
}

#[test]
fn docker_lets_pass_and_is_left_as_it_was() {
    let world = World::new();
    world.load(DOCKER);
    let before = world.host.with(ruleset);
    drop(world);
    let (world, peer) = behind(DOCKER);
    assert_eq!(obstacles(&world, &peer), []);
    connected(&world, &peer);
    let once = world.host.with(ruleset);
    assert_eq!(obstacles(&world, &peer), []);
    assert_eq!(world.host.with(ruleset), once);
    let mut rules = peer.rules();
    rules.ports = peer.ports(8080);
    world.remove(&[rules]);
    assert_eq!(world.host.with(ruleset), before);
}

#[test]
fn a_sweep_removes_rules_in_dockers_chain_and_no_other_comments() {
    let world = World::new();
    let peer = world.peer(1);
    world.load(DOCKER);
    world.load(r#"insert rule ip filter DOCKER-USER counter accept comment "test:mine""#);
    let before = world.host.with(ruleset);
    assert_eq!(obstacles(&world, &peer), []);
    assert_ne!(world.host.with(ruleset), before);
    world.host.with(|| {
        let table = Table::open().unwrap();
        table.sweep("test:", &[peer.rules().tag]).unwrap();
        assert_ne!(ruleset(), before);
        table.sweep("test:", &[]).unwrap();
        assert_eq!(ruleset(), before);
    });
}

#[test]
fn ufw_is_named() {
    let remedy = "ufw route allow in on ve-1 && ufw route allow out on ve-1";
    let commands = [
        r#"add rule ip filter ufw-user-forward iifname "ve-1" counter accept"#,
        r#"add rule ip filter ufw-user-forward oifname "ve-1" counter accept"#,
        r#"add rule ip6 filter ufw6-user-forward iifname "ve-1" counter accept"#,
        r#"add rule ip6 filter ufw6-user-forward oifname "ve-1" counter accept"#,
    ];
    named(UFW, Program::Ufw, remedy, &commands);
}

#[test]
fn firewalld_is_named() {
    let remedy = "firewall-cmd --zone=trusted --add-interface=ve-1";
    let commands =
        [r#"add rule inet firewalld filter_FORWARD_ZONES iifname "ve-1" goto filter_FWD_trusted"#];
    named(FIREWALLD, Program::Firewalld, remedy, &commands);
}

#[test]
fn the_nixos_firewall_is_named() {
    let remedy = "networking.firewall.extraForwardRules = \
                  ''iifname \"ve-1\" accept; oifname \"ve-1\" accept;'';";
    // A beginning of the name with an asterisk counts as well.
    let commands = [r#"add rule inet nixos-fw forward-allow iifname "ve-*" accept"#];
    named(NIXOS, Program::NixOs, remedy, &commands);
}

#[test]
fn an_unknown_firewall_is_named_by_table_and_chain() {
    let own = "table inet mine { chain passing { type filter hook forward priority 5; policy drop; \
               ct state established accept; }; }";
    let (world, peer) = behind(own);
    let found = obstacles(&world, &peer);
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["a firewall (table inet mine, chain passing) drops what is forwarded from and to ve-1"]
    );
    for command in found[0].remedy().split(" && ") {
        world.load(command.strip_prefix("nft ").unwrap());
    }
    assert_eq!(obstacles(&world, &peer), []);
    connected(&world, &peer);
}

#[test]
fn a_host_that_drops_nothing_has_nothing_in_the_way() {
    let world = World::new();
    let peer = world.peer(1);
    world.load(
        "table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }; }",
    );
    assert_eq!(obstacles(&world, &peer), []);
}
