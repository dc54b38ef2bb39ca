//! systemd-networkd, which most systemd systems have. It runs without systemd too.

use std::fs;

use nsrun_netns::ra::{Advertiser, RaPlan};

use crate::peer::{CLIENT, Pair, SERVER};
use crate::udhcpc::{host_is_reached, offer, serve};

/// Runs it in the client's namespace until it has a lease and an address from the
/// prefix; returns the lease and the addresses and routes.
const SCRIPT: &str = "
    set -e
    mount -t tmpfs tmpfs /run
    mount --bind /sys /sys
    # Where it is read only, there is no udev to be waited for.
    mount -o remount,bind,ro /sys
    mkdir -p /run/systemd/netif/leases /run/systemd/netif/links /run/systemd/network
    chown -R systemd-network:systemd-network /run/systemd/netif
    printf '%s\n' '[Match]' 'Name=host0' '[Network]' 'DHCP=yes' 'IPv6AcceptRA=yes' \
        '[DHCPv4]' 'UseMTU=yes' 'UseDomains=yes' 'UseTimezone=yes' >/run/systemd/network/50-host0.network
    /usr/lib/systemd/systemd-networkd &
    has() { ip address show dev host0 | grep -q \"$1\"; }
    until has '192.168.7.18.*dynamic' && has fd00:7::ff:fe00:2 && [ -s /run/systemd/netif/leases/* ]; do
        sleep 0.05
    done
    cat /run/systemd/netif/leases/*
    ip address show dev host0
    ip route
    ip -6 route
";

#[test]
fn networkd_is_told_all_and_has_one_address_of_each_family() {
    let pair = Pair::new();
    let _server = serve(&pair, offer());
    let index = pair.index;
    let _advertiser = pair.serve(move || {
        let plan = RaPlan::new(SERVER.into(), "fd00:7::/64".parse().unwrap());
        Advertiser::open(index, CLIENT.into(), &plan).unwrap().run()
    });
    let script = pair.path("script");
    fs::write(&script, SCRIPT).unwrap();
    let apart = "unshare --mount --pid --fork --kill-child --mount-proc";
    let told = pair
        .client
        .shell(&format!("{apart} timeout 30 sh {} 2>&1", script.display()));
    for line in [
        "ADDRESS=192.168.7.18",
        "NETMASK=255.255.255.240",
        "ROUTER=192.168.7.17",
        "SERVER_ADDRESS=192.168.7.17",
        "MTU=1400",
        "LIFETIME=3600",
        "DNS=192.168.7.17 192.0.2.53",
        "NTP=192.168.7.17",
        "DOMAINNAME=nsrun",
        "DOMAIN_SEARCH_LIST=nsrun lan.example",
        "HOSTNAME=web",
        "TIMEZONE=Europe/Berlin",
        "default via 192.168.7.17 dev host0 proto dhcp",
        "default via fe80::ff:fe00:1 dev host0 proto ra",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    assert_eq!(told.matches("inet 192.168.7.18/28").count(), 1, "{told}");
    assert_eq!(told.matches("inet6 fd00:7:").count(), 1, "{told}");
    host_is_reached(&pair);
}
