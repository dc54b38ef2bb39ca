//! Sysctls that are changed, and put back.

use std::fs;
use std::time::Duration;

use nsrun_netns::MacAddr;
use nsrun_netns::forwarding::{Family, announce_router, enable, restore};
use nsrun_netns::ra::{Advertiser, RaPlan};

use crate::world::{INTERNET4, INTERNET6, Namespace, SERVICE, World, run, set};

fn all_settings() -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for family in ["ipv4", "ipv6"] {
        for link in ["all", "default", "up0"] {
            for key in ["forwarding", "accept_ra", "force_forwarding"] {
                let path = format!("/proc/sys/net/{family}/conf/{link}/{key}");
                settings.extend(fs::read_to_string(&path).ok().map(|value| (path, value)));
            }
        }
    }
    settings
}

#[test]
fn packets_are_passed_on_until_it_is_put_back() {
    let world = World::new();
    world.host.with(|| {
        set("net/ipv4/ip_forward", "0");
        set("net/ipv6/conf/all/forwarding", "0");
        set("net/ipv6/conf/up0/accept_ra", "1");
        let before = all_settings();
        let changes = [Family::V4, Family::V6].map(|family| enable(family).unwrap());
        assert!(changes.iter().all(|changes| !changes.is_empty()));
        // A link that comes later is no different.
        let peer = world.peer(1);
        world.install(&[peer.rules()]);
        for internet in [INTERNET4, INTERNET6] {
            peer.inside
                .asks(nsrun_netns::nft::Protocol::Tcp, internet, SERVICE);
        }
        assert_eq!(enable(Family::V4).unwrap(), []);
        assert_eq!(enable(Family::V6).unwrap(), []);
        for changes in changes.iter().rev() {
            restore(changes).unwrap();
        }
        assert_eq!(all_settings(), before);
    });
}

#[test]
fn what_somebody_else_has_set_since_stays() {
    Namespace::new().with(|| {
        set("net/ipv4/ip_forward", "0");
        let mut changes = enable(Family::V4).unwrap();
        changes[0].after = "2".to_owned();
        restore(&changes).unwrap();
        assert_eq!(
            fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
            "1\n"
        );
        changes[0].key = "ipv6/conf/gone/accept_ra".to_owned();
        restore(&changes).unwrap();
    });
}

#[test]
fn a_link_is_made_a_routers() {
    Namespace::new().with(|| {
        announce_router(&"lo".parse().unwrap()).unwrap();
        let all = fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding").unwrap();
        assert_eq!(all, "0\n");
        let error = announce_router(&"gone".parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read sysctl ipv6/conf/gone/forwarding: no such file or directory"
        );
    });
}

/// Advertises a router to a host, for half a second.
fn advertise(router: MacAddr, to: MacAddr) {
    let index = nix::net::if_::if_nametoindex("down0").unwrap();
    let plan = RaPlan::new(router, "2001:db8:2::/64".parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let advertiser = Advertiser::open(index, to, &plan).unwrap();
        let _ = tokio::time::timeout(Duration::from_millis(500), advertiser.run()).await;
    });
}

#[test]
fn a_host_that_announces_itself_keeps_the_route_that_it_has_learnt() {
    let (host, router) = (Namespace::new(), Namespace::new());
    host.connect("up0", &router, "down0");
    let [own, other] = [1, 2].map(|number| MacAddr::from([2, 0, 0, 0, 0, number]));
    host.ip(&format!("link set up0 address {own}"));
    host.ip("link add new0 type veth peer name new1");
    let routes = || host.with(|| run("ip", &["-6", "route", "show", "default"]));
    let mut tries = 0..20;
    while routes().is_empty() && tries.next().is_some() {
        router.with(|| advertise(other, own));
    }
    assert!(routes().contains("proto ra"), "{}", routes());
    let accepts = || host.with(|| fs::read_to_string("/proc/sys/net/ipv6/conf/up0/accept_ra"));
    let before = accepts().unwrap();
    host.with(|| announce_router(&"new0".parse().unwrap()).unwrap());
    assert!(routes().contains("proto ra"), "it is forgotten");
    assert_eq!(accepts().unwrap(), before);
    let said = host.with(|| fs::read_to_string("/proc/sys/net/ipv6/conf/new0/forwarding"));
    assert_eq!(said.unwrap(), "1\n");
}
