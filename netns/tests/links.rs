//! Real links between real namespaces. Needs root; every test has namespaces of its own
//! and touches no link of the host.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nsrun_netns::{
    Addresses, BridgePlan, IpNet, MacAddr, MovePlan, Moved, Net, Owner, Setup, StackedPlan,
    Stacking, VethPlan,
};

/// A network namespace that lives as long as this value.
struct Namespace(OwnedFd);

impl Namespace {
    fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            File::open("/proc/thread-self/ns/net").unwrap().into()
        });
        Self(made.join().unwrap())
    }

    /// Runs `f` inside.
    fn with<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            f()
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap())
    }
}

fn plan(name: &str, subnet: &str) -> VethPlan {
    let ends = Addresses::first_two(subnet.parse().unwrap()).unwrap();
    VethPlan {
        host: Owner {
            name: name.parse().unwrap(),
            mac: MacAddr::from([2, 0, 0, 0, 0, 1]),
            tag: format!("test:{name}:1"),
        },
        altname: None,
        bridge: None,
        addresses: vec![ends.host.into()],
        peer: "host0".parse().unwrap(),
        peer_mac: MacAddr::from([2, 0, 0, 0, 0, 2]),
        inside: Setup {
            addresses: vec![ends.peer.into()],
            gateways: vec![ends.host.addr().into()],
            mtu: None,
        },
    }
}

fn create(net: &Net, target: &Namespace, plan: &VethPlan) {
    net.create_veth(target.0.as_fd(), plan).unwrap();
}

fn tagged(net: &Net) -> Vec<String> {
    let links = net.find_tagged("test:").unwrap();
    links.into_iter().map(|link| link.name).collect()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a datagram to the namespace behind the pair and gets its answer.
fn udp_echo(server: &Namespace, address: Ipv4Addr) -> Vec<u8> {
    let socket = server.with(|| UdpSocket::bind((address, 0)).unwrap());
    let port = socket.local_addr().unwrap().port();
    let echo = thread::spawn(move || {
        let mut buffer = [0; 16];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..length], from).unwrap();
    });
    let client = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client.send_to(b"ping", (address, port)).unwrap();
    let mut buffer = [0; 16];
    let length = client.recv(&mut buffer).unwrap();
    echo.join().unwrap();
    buffer[..length].to_vec()
}

#[test]
fn the_pair_carries_traffic_both_ways() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));
        assert_eq!(udp_echo(&target, Ipv4Addr::new(192, 168, 7, 18)), b"ping");

        let listener = TcpListener::bind("192.168.7.17:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = target.with(|| TcpStream::connect(address).unwrap());
        client.write_all(b"hello").unwrap();
        drop(client);
        let mut text = String::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "hello");
    });
}

#[test]
fn the_peer_has_its_loopback_and_a_default_route() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));
        net.create_veth(
            target.0.as_fd(),
            &VethPlan {
                peer: "host1".parse().unwrap(),
                addresses: Vec::new(),
                inside: Setup::default(),
                ..plan("ve-b", "192.168.8.0/28")
            },
        )
        .unwrap();
    });
    target.with(|| {
        TcpListener::bind("127.0.0.1:0").unwrap();
        // Not connected to the subnet: needs the route by the gateway.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.connect("203.0.113.1:9").unwrap();
        assert_eq!(
            socket.local_addr().unwrap().ip().to_string(),
            "192.168.7.18"
        );
    });
}

#[test]
fn loopback_alone_can_be_brought_up() {
    let target = Namespace::new();
    let bind = || UdpSocket::bind("127.0.0.1:0").and_then(|s| s.connect("127.0.0.1:9"));
    assert!(target.with(bind).is_err());
    Net::new().unwrap().loopback_up(target.0.as_fd()).unwrap();
    target.with(bind).unwrap();
}

#[test]
fn a_taken_name_is_told_and_the_other_link_stays() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));
        let error = net.create_veth(Namespace::new().0.as_fd(), &plan("ve-a", "192.168.9.0/28"));
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "cannot create veth ve-a: file exists");
        assert_eq!(error.errno(), Some(Errno::EEXIST));
        assert_eq!(udp_echo(&target, Ipv4Addr::new(192, 168, 7, 18)), b"ping");
    });
}

#[test]
fn a_failure_at_either_end_leaves_nothing() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));

        let mut second = plan("ve-b", "192.168.8.0/28");
        second.peer = "host1".parse().unwrap();
        let error = net.create_veth(target.0.as_fd(), &second).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot add a default route by host1: file exists"
        );
        assert_eq!(tagged(&net), ["ve-a"]);

        second.addresses = vec!["224.0.0.1/28".parse().unwrap()];
        let error = net.create_veth(target.0.as_fd(), &second).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot add address 224.0.0.1/28 to ve-b: "),
            "{error}"
        );
        assert_eq!(tagged(&net), ["ve-a"]);
    });
}

#[test]
fn a_link_dies_with_the_namespace_since_nothing_else_holds_that() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));
        net.loopback_up(target.0.as_fd()).unwrap();
        drop(target);
        wait_until("the link is gone", || tagged(&net).is_empty());
    });
}

#[test]
fn retiring_frees_name_and_addresses_at_once() {
    let (host, old, new) = (Namespace::new(), Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        let mut plan = plan("ve-a", "192.168.7.16/28");
        plan.altname = Some("ve-a-very-long-name".to_owned());
        create(&net, &old, &plan);
        assert_eq!(net.retire(&plan.host).unwrap(), 1);
        assert_eq!(net.retire(&plan.host).unwrap(), 0);
        let subnet: IpNet = "192.168.7.16/28".parse().unwrap();
        let used = net.used_networks().unwrap();
        assert!(!used.iter().any(|net| subnet.contains(net)), "{used:?}");

        plan.host.tag = "test:ve-a:2".to_owned();
        create(&net, &new, &plan);
        assert_eq!(udp_echo(&new, Ipv4Addr::new(192, 168, 7, 18)), b"ping");
        let named = net.find_tagged("test:ve-a:2").unwrap();
        assert_eq!(named[0].altnames, ["ve-a-very-long-name"]);

        let retired = net.find_tagged("test:ve-a:1").unwrap();
        assert_eq!(retired[0].name, format!("nsrun-x{:x}", retired[0].index));
        assert_eq!(net.delete_retired("test:").unwrap(), 1);
        assert_eq!(tagged(&net), ["ve-a"]);
    });
}

#[test]
fn a_squatter_on_the_retired_name_does_not_keep_the_name_taken() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        let first = plan("ve-a", "192.168.7.16/28");
        create(&net, &target, &first);
        let index = net.find_tagged("test:").unwrap()[0].index;
        let squatter = plan(&format!("nsrun-x{index:x}"), "192.168.8.0/28");
        let elsewhere = Namespace::new();
        create(&net, &elsewhere, &squatter);
        assert_eq!(net.retire(&first.host).unwrap(), 1);
        assert_eq!(tagged(&net), [squatter.host.name.as_str()]);
    });
}

#[test]
fn a_namespace_of_another_user_namespace_is_served_too() {
    let host = Namespace::new();
    let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let mut child = Command::new("unshare")
        .args(["--user", "--net", "cat"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let path = format!("/proc/{}/ns/net", child.id());
    wait_until("the child is inside", || {
        std::fs::read_link(&path).is_ok_and(|ns| ns != own)
    });
    let target = Namespace(File::open(&path).unwrap().into());
    host.with(|| {
        let net = Net::new().unwrap();
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));
        assert_eq!(udp_echo(&target, Ipv4Addr::new(192, 168, 7, 18)), b"ping");
    });
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_orphan_without_a_tag_is_known_by_name_and_address() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        // An empty alias is none: as if the creator was killed before it could tag.
        let mut untagged = plan("ve-a", "192.168.7.16/28");
        untagged.host.tag = String::new();
        create(&net, &target, &untagged);

        let mut stranger = untagged.host.clone();
        stranger.mac = MacAddr::from([2, 0, 0, 0, 0, 9]);
        assert_eq!(net.retire(&stranger).unwrap(), 0);
        assert_eq!(
            net.retire(&plan("ve-a", "192.168.7.16/28").host).unwrap(),
            1
        );
    });
}

#[test]
fn a_renamed_link_is_found_by_its_tag() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        let created = plan("ve-a", "192.168.7.16/28");
        create(&net, &target, &created);
        let mut owner = created.host;
        owner.name = "ve-before".parse().unwrap();
        assert_eq!(net.retire(&owner).unwrap(), 1);
    });
}

#[test]
fn deleting_a_link_that_is_gone_is_no_failure() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));
        let index = net.find_tagged("test:").unwrap()[0].index;
        net.delete(index).unwrap();
        assert!(tagged(&net).is_empty());
        net.delete(index).unwrap();
    });
}

#[test]
fn addresses_and_routes_count_as_used() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        assert_eq!(net.used_networks().unwrap(), []);
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));
        let subnet: IpNet = "192.168.7.16/28".parse().unwrap();
        assert!(
            net.used_networks()
                .unwrap()
                .iter()
                .any(|net| net.trunc() == subnet)
        );
    });
}

fn bridge(net: &Net, name: &str) -> bool {
    let plan = BridgePlan {
        name: name.parse().unwrap(),
        mac: MacAddr::from([2, 0, 0, 0, 0, 7]),
    };
    net.ensure_bridge(&plan).unwrap()
}

/// A port of the bridge `vz-a`, whose inner end has that address of 192.168.9.0/24.
fn port(name: &str, number: u8) -> VethPlan {
    VethPlan {
        host: Owner {
            name: name.parse().unwrap(),
            mac: MacAddr::from([2, 0, 0, 0, 1, number]),
            tag: format!("test:{name}:1"),
        },
        bridge: Some("vz-a".parse().unwrap()),
        addresses: Vec::new(),
        peer_mac: MacAddr::from([2, 0, 0, 0, 2, number]),
        inside: Setup {
            addresses: vec![format!("192.168.9.{number}/24").parse().unwrap()],
            gateways: vec!["192.168.9.1".parse().unwrap()],
            mtu: Some(1400),
        },
        ..plan(name, "192.168.8.0/28")
    }
}

#[test]
fn ports_of_a_bridge_reach_each_other_and_the_last_takes_it_away() {
    let (host, one, two) = (Namespace::new(), Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        let name = "vz-a".parse().unwrap();
        assert!(bridge(&net, "vz-a"));
        assert!(!bridge(&net, "vz-a"), "it is there");
        let address: IpNet = "192.168.9.1/24".parse().unwrap();
        for _ in 0..2 {
            net.address_bridge(&name, &[address]).unwrap();
        }
        assert_eq!(net.addresses(&name).unwrap(), [address]);
        let ports = [port("vb-a", 2), port("vb-b", 3)];
        create(&net, &one, &ports[0]);
        create(&net, &two, &ports[1]);
        assert_eq!(udp_echo(&one, Ipv4Addr::new(192, 168, 9, 2)), b"ping");
        two.with(|| assert_eq!(udp_echo(&one, Ipv4Addr::new(192, 168, 9, 2)), b"ping"));

        net.retire(&ports[0].host).unwrap();
        assert!(!net.delete_unused_bridge(&name).unwrap());
        net.retire(&ports[1].host).unwrap();
        assert!(net.delete_unused_bridge(&name).unwrap());
        assert!(!net.delete_unused_bridge(&name).unwrap());
        assert_eq!(net.find(&name).unwrap(), None);
    });
}

#[test]
fn a_bridge_that_is_missing_or_none_is_told() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        let refused = |plan: VethPlan| net.create_veth(target.0.as_fd(), &plan).unwrap_err();
        let error = refused(port("vb-a", 2));
        assert_eq!(error.to_string(), "cannot join bridge vz-a: no such device");
        create(&net, &target, &plan("vz-a", "192.168.7.16/28"));
        let error = refused(port("vb-a", 2));
        assert_eq!(
            error.to_string(),
            "cannot join bridge vz-a: it is no bridge"
        );
        assert_eq!(tagged(&net), ["vz-a"]);
        let taken = BridgePlan {
            name: "vz-a".parse().unwrap(),
            mac: MacAddr::from([2, 0, 0, 0, 0, 7]),
        };
        let error = net.ensure_bridge(&taken).unwrap_err();
        assert!(error.to_string().ends_with("is no bridge"), "{error}");
    });
}

#[test]
fn a_lent_link_comes_back_with_its_name_and_alias() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        // One end of a pair whose other end stays here.
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));
        let lent = MovePlan {
            name: "ve-a".parse().unwrap(),
            inside_name: "lan0".parse().unwrap(),
            tag: "test:moved:1".to_owned(),
            inside: Setup {
                addresses: vec!["10.9.8.7/24".parse().unwrap()],
                ..Setup::default()
            },
        };
        let alias = net.find(&lent.name).unwrap().unwrap().alias.unwrap();
        let moved = Moved {
            name: lent.name.clone(),
            tag: lent.tag.clone(),
            alias: alias.clone(),
        };
        let inner = Namespace::new();
        let index = net.lend(inner.0.as_fd(), &lent).unwrap();
        assert_eq!(net.find(&lent.name).unwrap(), None);
        inner.with(|| {
            let inside = Net::new().unwrap();
            let found = inside.find(&lent.inside_name).unwrap().unwrap();
            assert_eq!(
                (found.index, found.alias.as_deref()),
                (index, Some("test:moved:1"))
            );
            let addresses = inside.addresses(&lent.inside_name).unwrap();
            assert_eq!(addresses, lent.inside.addresses);
        });
        for index in [Some(index), None] {
            net.take_back(inner.0.as_fd(), index, &moved).unwrap();
            let back = net.find(&lent.name).unwrap().unwrap();
            assert_eq!(back.alias.as_deref(), Some(alias.as_str()));
        }
    });
}

/// As the kernel leaves a link of hardware behind whose namespace has died.
#[test]
fn a_link_that_the_kernel_gave_back_gets_its_name_again() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        let mut stray = plan("lan0", "192.168.7.16/28");
        stray.host.tag = "test:moved:1".to_owned();
        create(&net, &target, &stray);
        let moved = Moved {
            name: "eth7".parse().unwrap(),
            tag: stray.host.tag.clone(),
            alias: String::new(),
        };
        assert!(net.restore(&moved).unwrap());
        let back = net.find(&moved.name).unwrap().unwrap();
        assert_eq!(back.alias, None);
        assert!(net.restore(&moved).unwrap(), "it is there");
        let other = Moved {
            name: "eth8".parse().unwrap(),
            tag: "test:moved:2".to_owned(),
            alias: String::new(),
        };
        assert!(!net.restore(&other).unwrap());
    });
}

#[test]
fn what_lies_below_a_stacked_link_must_be_there() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        let mac = MacAddr::from([2, 0, 0, 0, 0, 8]);
        for stacking in [Stacking::Macvlan(mac), Stacking::Ipvlan] {
            let plan = StackedPlan {
                stacking,
                below: "eth9".parse().unwrap(),
                name: "mv-eth9".parse().unwrap(),
                inside: Setup::default(),
            };
            let error = net.create_stacked(target.0.as_fd(), &plan).unwrap_err();
            let kind = stacking.word();
            assert_eq!(
                error.to_string(),
                format!("cannot create {kind} mv-eth9 of eth9: no such device")
            );
        }
    });
}

#[test]
fn no_routers_are_believed_at_the_end_here() {
    let (host, target) = (Namespace::new(), Namespace::new());
    host.with(|| {
        let net = Net::new().unwrap();
        create(&net, &target, &plan("ve-a", "192.168.7.16/28"));
        let accepts = std::fs::read_to_string("/proc/sys/net/ipv6/conf/ve-a/accept_ra");
        assert_eq!(accepts.unwrap().trim(), "0");
    });
}
