//! Sysctls that are changed, and put back.

use std::fs;

use nsrun_netns::forwarding::{Family, announce_router, enable, restore};

use crate::world::{INTERNET4, INTERNET6, Namespace, SERVICE, World, set};

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
