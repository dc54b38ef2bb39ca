//! What is answered without a server.

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
