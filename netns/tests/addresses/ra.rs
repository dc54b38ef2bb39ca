//! Router advertisements and those who take them.

use nsrun_netns::MacAddr;
use nsrun_netns::ra::{Advertiser, RaPlan};

use crate::peer::{CLIENT, Pair, SERVER, Serving, wait_until};

/// What the kernel makes of the prefix and the client's Ethernet address.
const ADDRESS: &str = "fd00:7::ff:fe00:2";
const ROUTER: &str = "fe80::ff:fe00:1";

fn plan() -> RaPlan {
    RaPlan {
        mtu: Some(1400),
        dns: vec!["fd00:7::1".parse().unwrap()],
        search: vec!["nsrun".to_owned()],
        ..RaPlan::new(SERVER.into(), "fd00:7::/64".parse().unwrap())
    }
}

fn advertise(pair: &Pair, plan: RaPlan) -> Serving {
    let index = pair.index;
    pair.serve(move || {
        let client = MacAddr::from(CLIENT);
        Advertiser::open(index, client, &plan).unwrap().run()
    })
}

fn client_has(pair: &Pair, what: &str) -> bool {
    let addresses = pair
        .client
        .shell("ip -6 address show dev host0; ip -6 route");
    addresses.contains(what)
}

/// The host end's link-local address is tentative for a second or two.
fn router_is_up(pair: &Pair) {
    wait_until("the router has its address", || {
        let shown = pair.server.shell("ip -6 address show dev ve-a scope link");
        shown.contains(ROUTER) && !shown.contains("tentative")
    });
}

#[test]
fn the_kernel_takes_address_route_and_mtu_and_finds_them_again() {
    let pair = Pair::new();
    let _advertiser = advertise(&pair, plan());
    wait_until("there is an address", || client_has(&pair, ADDRESS));
    assert!(client_has(&pair, &format!("default via {ROUTER}")));
    let mtu = pair.client.shell("cat /proc/sys/net/ipv6/conf/host0/mtu");
    assert_eq!(mtu, "1400\n");

    pair.client
        .shell("ip -6 address flush dev host0 scope global");
    pair.client
        .shell("ip link set host0 down; ip link set host0 up");
    wait_until("the address is back", || client_has(&pair, ADDRESS));
    wait_until("the route is back", || {
        client_has(&pair, &format!("default via {ROUTER}"))
    });
    router_is_up(&pair);
    pair.client
        .shell(&format!("busybox ping -6 -c 1 -W 20 {ROUTER}%host0"));
}

#[test]
fn an_address_that_is_there_stays_the_only_one() {
    let pair = Pair::new();
    pair.client
        .shell(&format!("ip address add {ADDRESS}/64 dev host0 nodad"));
    let _advertiser = advertise(&pair, plan());
    wait_until("the advertisement is taken", || {
        client_has(&pair, &format!("default via {ROUTER}"))
    });
    let shown = pair
        .client
        .shell("ip -6 address show dev host0 scope global");
    assert_eq!(shown.matches("inet6").count(), 1, "{shown}");
    assert!(shown.contains("valid_lft forever"), "{shown}");
}

#[test]
fn without_autoconf_there_is_a_route_and_no_address() {
    let pair = Pair::new();
    let _advertiser = advertise(
        &pair,
        RaPlan {
            autoconf: false,
            ..plan()
        },
    );
    wait_until("the advertisement is taken", || {
        client_has(&pair, "fd00:7::/64") && client_has(&pair, &format!("default via {ROUTER}"))
    });
    assert!(!client_has(&pair, ADDRESS));
}

#[test]
fn rdisc6_is_told_all() {
    let pair = Pair::new();
    let _advertiser = advertise(&pair, plan());
    wait_until("rdisc6 has a source address", || {
        let shown = pair.client.shell("ip -6 address show dev host0 scope link");
        shown.contains("inet6") && !shown.contains("tentative")
    });
    let told = pair.client.shell("rdisc6 -1 host0");
    for line in [
        "Stateful address conf.    :           No",
        "Stateful other conf.      :           No",
        "Router lifetime           :         1800",
        "Prefix                   : fd00:7::/64",
        "On-link                 :          Yes",
        "Autonomous address conf.:          Yes",
        "MTU                      :         1400",
        "Source link-layer address: 02:00:00:00:00:01",
        "Recursive DNS server     : fd00:7::1",
        "DNS search list          : nsrun",
        "from fe80::ff:fe00:1",
    ] {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            squeezed(&told).contains(&squeezed(line)),
            "{line} in {told}"
        );
    }
}

#[test]
fn a_stranger_who_solicits_gets_nothing() {
    let pair = Pair::new();
    let _advertiser = advertise(
        &pair,
        RaPlan {
            autoconf: false,
            ..plan()
        },
    );
    wait_until("the first advertisement is taken", || {
        client_has(&pair, ROUTER)
    });
    pair.client
        .shell("ip link set host0 address 02:00:00:00:00:03");
    pair.client
        .shell("ip link set host0 down; ip link set host0 up");
    wait_until("there is a source address", || {
        client_has(&pair, "fe80::ff:fe00:3") && !client_has(&pair, "tentative")
    });
    let stranger = pair
        .client
        .shell("rdisc6 -1 -r 2 -w 300 host0 || echo nothing");
    assert!(stranger.ends_with("nothing\n"), "{stranger}");
}
