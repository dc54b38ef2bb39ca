//! What is answered without a server.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::BindToDevice};
use nsrun_netns::dns::{ADDRESS, Servers};
use simple_dns::{RCODE, TYPE};

use crate::scratch::{Namespace, datagrams, wait_until};
use crate::server::Server;
use crate::world::{WEB, World, question};

#[test]
fn names_of_the_network_are_known_with_and_without_the_domain() {
    let world = World::new(&[]);
    for name in ["web", "web.nsrun", "WEB.nsRun"] {
        assert_eq!(world.ask(name, TYPE::A).answers(), WEB[..1]);
        assert_eq!(world.ask(name, TYPE::AAAA).answers(), WEB[1..]);
        assert_eq!(world.ask_by_stream(name, TYPE::A).answers(), WEB[..1]);
    }
    let host = world.ask("host.nsrun", TYPE::AAAA);
    assert_eq!((host.rcode(), host.answers().len()), (RCODE::NoError, 0));
    assert_eq!(world.ask("localhost", TYPE::A).answers(), ["127.0.0.1"]);
    let pointer = world.ask("18.7.168.192.in-addr.arpa", TYPE::PTR);
    assert_eq!(pointer.answers(), ["web.nsrun"]);
}

#[test]
fn names_of_nobody_are_not_asked_for_elsewhere() {
    let world = World::new(&["127.0.0.53:53"]);
    let server = Server::start(&world.host, "127.0.0.53:53", "192.0.2.1");
    for name in ["other.nsrun", "www.web.nsrun", "19.7.168.192.in-addr.arpa"] {
        for reply in [world.ask(name, TYPE::A), world.ask_by_stream(name, TYPE::A)] {
            assert_eq!(reply.rcode(), RCODE::NameError, "{name}");
        }
    }
    assert_eq!(server.questions(), 0);
}

#[test]
fn other_name_servers_have_room_beside_it() {
    let world = World::new(&[]);
    world.inside.with(|| {
        for address in ["127.0.0.1:53", "127.0.0.53:53", "[::1]:53"] {
            TcpListener::bind(address).unwrap();
            UdpSocket::bind(address).unwrap();
        }
        // All addresses are one too many, as beside any that serves one.
        let taken = TcpListener::bind("0.0.0.0:53").unwrap_err();
        assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    });
    world.host.with(|| {
        TcpListener::bind("0.0.0.0:53").unwrap();
        UdpSocket::bind("0.0.0.0:53").unwrap();
    });
}

#[test]
fn the_address_may_go_and_come_back() {
    let world = World::new(&[]);
    let ip = |verb: &str| {
        let mut ip = Command::new("ip");
        ip.args(["address", verb, "169.254.0.53/32", "dev", "lo"]);
        assert!(world.inside.with(|| ip.status()).unwrap().success());
    };
    ip("delete");
    let lost = || UdpSocket::bind("169.254.0.53:0").unwrap_err();
    let lost = world.inside.with(lost);
    assert_eq!(lost.kind(), std::io::ErrorKind::AddrNotAvailable);
    ip("add");
    assert_eq!(world.ask("web", TYPE::A).answers(), WEB[..1]);
    assert_eq!(world.ask_by_stream("web", TYPE::A).answers(), WEB[..1]);
}

/// Links `one` by `name`, as 10.0.N.1, to `other`, as 10.0.N.2, which has its route there.
fn link(one: &Namespace, other: &Namespace, name: &str, number: u8) {
    let ip = |place: &Namespace, arguments: &str| {
        let mut ip = Command::new("ip");
        ip.args(arguments.split(' '));
        assert!(place.with(|| ip.status()).unwrap().success(), "{arguments}");
    };
    let path = other.path();
    ip(
        one,
        &format!("link add {name} type veth peer name eth0 netns {path}"),
    );
    ip(one, &format!("address add 10.0.{number}.1/24 dev {name}"));
    ip(one, &format!("link set {name} up"));
    ip(other, &format!("address add 10.0.{number}.2/24 dev eth0"));
    ip(other, "link set eth0 up");
    ip(other, &format!("route add {ADDRESS} via 10.0.{number}.1"));
}

#[test]
fn containers_inside_are_answered_and_neighbours_are_not() {
    let (inside, neighbour, container) = (Namespace::new(), Namespace::new(), Namespace::new());
    link(&inside, &neighbour, "host0", 1);
    let own = ["10.0.1.1".parse().unwrap()];
    let nobody = Servers::Fixed(Vec::new());
    let world = World::between(Namespace::new(), inside, &own, nobody);
    link(&world.inside, &container, "ve-c", 2);
    let question = question("web", TYPE::A, None);
    let answered = |from: &Namespace| {
        let client = from.with(|| datagrams("0.0.0.0:0"));
        client
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        client.send_to(&question, (ADDRESS, 53)).unwrap();
        let by_datagram = client.recv(&mut [0; 512]).is_ok();
        let address = (ADDRESS, 53).into();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300));
        (by_datagram, from.with(connect).is_ok())
    };
    wait_until("the container is answered", || {
        answered(&container) == (true, true)
    });
    assert_eq!(answered(&neighbour), (false, false));
    // As resolvers ask that have a server for each link: what goes to the link's own
    // address does not leave, and is no question from outside.
    let client = world.inside.with(|| datagrams("0.0.0.0:0"));
    setsockopt(&client, BindToDevice, &"host0".into()).unwrap();
    client.send_to(&question, "10.0.1.1:53").unwrap();
    client.recv(&mut [0; 512]).unwrap();
    assert_eq!(world.ask("web", TYPE::A).answers(), WEB[..1]);
}
