//! What is answered without a server.

use std::net::{TcpListener, UdpSocket};

use simple_dns::{RCODE, TYPE};

use crate::server::Server;
use crate::world::{WEB, World};

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
        let mut ip = std::process::Command::new("ip");
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
