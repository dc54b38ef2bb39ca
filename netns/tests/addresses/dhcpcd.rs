//! dhcpcd, which NixOS has: it makes sure that nobody else has the address.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::peer::{Pair, read};
use crate::udhcpc::{host_is_reached, offer, serve};

/// Runs shell commands in the client's namespace with dhcpcd's files apart from the
/// host's, and ends what they leave running. `$dhcpcd` starts it and returns with the
/// lease; each event of it is noted.
fn run(pair: &Pair, commands: &str) -> String {
    const HOOK: &str = r#"#!/bin/sh
        { env; echo "event=$reason"; } >>"${0%/*}/events"
    "#;
    const CONFIGURATION: &str = "
        clientid
        option domain_name_servers, domain_name, domain_search, host_name
        option interface_mtu, ntp_servers
        option rapid_commit
        require dhcp_server_identifier
    ";
    let (hook, configuration) = (pair.path("hook"), pair.path("dhcpcd.conf"));
    fs::write(&hook, HOOK).unwrap();
    fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(&configuration, CONFIGURATION).unwrap();
    let script = pair.path("script");
    let text = format!(
        "set -e
         for place in /run /var/lib/dhcpcd /var/lib/misc; do
             ! [ -d $place ] || mount -t tmpfs tmpfs $place
         done
         dhcpcd='dhcpcd --waitip=4 --ipv4only --timeout=30 --config {} --script {}'
         {commands}",
        configuration.display(),
        hook.display(),
    );
    fs::write(&script, text).unwrap();
    let apart = "unshare --mount --pid --fork --kill-child --mount-proc";
    pair.client
        .shell(&format!("{apart} sh {} 2>&1", script.display()))
}

fn events(pair: &Pair) -> Vec<String> {
    let text = read(&pair.path("events"));
    let events = text.lines().filter_map(|line| line.strip_prefix("event="));
    events.map(str::to_owned).collect()
}

fn told(pair: &Pair, name: &str) -> Option<String> {
    let text = read(&pair.path("events"));
    let values = text.lines().filter_map(|l| l.split_once('='));
    let mut values = values.filter(|(key, _)| *key == name);
    values.next_back().map(|(_, value)| value.to_owned())
}

#[test]
fn an_address_that_is_there_is_taken_without_looking_for_others() {
    let pair = Pair::new();
    let _server = serve(&pair, offer());
    let said = run(&pair, "$dhcpcd host0");
    assert!(!said.contains("probing"), "{said}");
    assert!(events(&pair).contains(&"BOUND".to_owned()), "{said}");
    for (name, value) in [
        ("new_ip_address", "192.168.7.18"),
        ("new_subnet_cidr", "28"),
        ("new_routers", "192.168.7.17"),
        ("new_domain_name_servers", "192.168.7.17 192.0.2.53"),
        ("new_domain_name", "nsrun"),
        ("new_domain_search", "nsrun lan.example"),
        ("new_host_name", "web"),
        ("new_interface_mtu", "1400"),
        ("new_ntp_servers", "192.168.7.17"),
        ("new_dhcp_lease_time", "3600"),
    ] {
        assert_eq!(
            told(&pair, name).as_deref(),
            Some(value),
            "{name} in {said}"
        );
    }
}

#[test]
fn nobody_else_is_found_on_the_address() {
    let pair = Pair::without_client_address();
    let _server = serve(&pair, offer());
    let said = run(
        &pair,
        "$dhcpcd host0
         ip -4 address show dev host0
         busybox ping -c 1 -W 20 192.168.7.17",
    );
    assert!(said.contains("probing address 192.168.7.18"), "{said}");
    assert!(said.contains("inet 192.168.7.18/28"), "{said}");
    assert!(!events(&pair).contains(&"DECLINE".to_owned()), "{said}");
}

#[test]
fn what_was_released_is_given_again() {
    let pair = Pair::new();
    let _server = serve(&pair, offer());
    let said = run(
        &pair,
        "$dhcpcd host0
         dhcpcd --ipv4only --release host0
         busybox timeout 20 sh -c 'while ip -4 address show dev host0 | grep -q inet; do sleep 0.1; done'
         $dhcpcd --noarp host0
         dhcpcd --ipv4only --rebind host0
         ip -4 address show dev host0",
    );
    assert!(said.contains("inet 192.168.7.18/28"), "{said}");
    let bound = events(&pair).iter().filter(|e| **e == "BOUND").count();
    assert_eq!(bound, 2, "{said}");
    host_is_reached(&pair);
}
