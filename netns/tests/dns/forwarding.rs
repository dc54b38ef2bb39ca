//! What servers are asked for.

use std::collections::HashSet;

use nsrun_netns::dns::Servers;
use simple_dns::{PacketFlag, RCODE, TYPE};

use crate::scratch::Namespace;
use crate::server::Server;
use crate::world::{World, question};

/// Where resolvers listen that serve their own host alone.
const LOCAL: &str = "127.0.0.53:53";

fn world() -> (World, Server) {
    let world = World::new(&[LOCAL]);
    let server = Server::start(&world.host, LOCAL, "192.0.2.1");
    (world, server)
}

#[test]
fn other_names_are_asked_of_the_host_even_if_it_serves_only_itself() {
    let (world, _server) = world();
    for reply in [
        world.ask("example.org", TYPE::A),
        world.ask_by_stream("example.org", TYPE::A),
        world.ask("printer", TYPE::A),
    ] {
        assert_eq!(reply.answers(), ["192.0.2.1"]);
    }
    assert_eq!(
        world.ask("nobody.example", TYPE::A).rcode(),
        RCODE::NameError
    );
}

#[test]
fn forged_answers_are_not_taken() {
    let (world, _server) = world();
    for lie in ["number", "question", "source"] {
        let reply = world.ask(&format!("{lie}.example"), TYPE::A);
        assert_eq!(reply.answers(), ["192.0.2.1"], "{lie}");
    }
}

#[test]
fn numbers_and_ports_are_not_the_clients() {
    let (world, server) = world();
    for _ in 0..20 {
        world.ask("example.org", TYPE::A);
    }
    let seen = server.seen.lock().unwrap();
    let numbers: HashSet<_> = seen.iter().map(|(number, _)| number).collect();
    let ports: HashSet<_> = seen.iter().map(|(_, port)| port).collect();
    assert!(numbers.len() > 15 && ports.len() > 10, "{seen:?}");
}

#[test]
fn a_large_answer_is_told_over_tcp() {
    let (world, _server) = world();
    let reply = world.ask("large.example", TYPE::TXT);
    assert!(reply.packet().has_flags(PacketFlag::TRUNCATION));
    let reply = world.ask_by_stream("large.example", TYPE::TXT);
    assert!(!reply.packet().has_flags(PacketFlag::TRUNCATION));
    assert_eq!(reply.packet().answers.len(), 8);
}

#[test]
fn no_datagram_is_longer_than_the_client_takes() {
    let (world, _server) = world();
    for size in [None, Some(1232)] {
        let reply = world.ask_message(&question("careless.example", TYPE::TXT, size));
        assert!(reply.packet().has_flags(PacketFlag::TRUNCATION));
        assert!(reply.0.len() < 512);
        assert_eq!(reply.packet().opt().is_some(), size.is_some());
    }
    let reply = world.ask_message(&question("careless.example", TYPE::TXT, Some(4096)));
    assert_eq!(reply.packet().answers.len(), 8);
    assert_eq!(reply.packet().opt().unwrap().udp_packet_size, 4096);
}

#[test]
fn the_next_server_is_asked_when_one_fails_and_stays_the_first() {
    let world = World::new(&["127.0.0.1:53", "127.0.0.2:53", "127.0.0.3:53"]);
    let second = Server::start(&world.host, "127.0.0.2:53", "192.0.2.2");
    let third = Server::start(&world.host, "127.0.0.3:53", "192.0.2.3");
    // The first is not there, the second silent or refuses.
    for name in ["silent.example", "broken.example"] {
        let before = third.questions();
        world.ask(name, TYPE::A);
        assert!(third.questions() > before, "{name}");
    }
    assert_eq!(world.ask("plain.example", TYPE::A).answers().len(), 1);
    let (asked, other) = (second.questions(), third.questions());
    for _ in 0..5 {
        world.ask("plain.example", TYPE::A);
    }
    let asked = [second.questions() - asked, third.questions() - other];
    assert!(asked == [5, 0] || asked == [0, 5], "{asked:?}");
}

#[test]
fn a_refusal_is_told_if_nobody_knows_better() {
    let (world, server) = world();
    assert_eq!(
        world.ask("broken.example", TYPE::A).rcode(),
        RCODE::ServerFailure
    );
    assert_eq!(server.questions(), 1);
}

#[test]
fn without_servers_the_answer_is_a_failure_and_names_are_known() {
    let world = World::new(&["127.0.0.1:53"]);
    for reply in [
        world.ask("example.org", TYPE::A),
        world.ask_by_stream("example.org", TYPE::A),
    ] {
        assert_eq!(reply.rcode(), RCODE::ServerFailure);
        assert_eq!(reply.packet().questions.len(), 1);
    }
    assert_eq!(world.ask("web", TYPE::A).answers().len(), 1);
}

#[test]
fn silent_servers_end_in_a_failure_before_clients_give_up() {
    let (world, server) = world();
    let reply = world.ask("silent.example", TYPE::A);
    assert_eq!(reply.rcode(), RCODE::ServerFailure);
    assert_eq!(server.questions(), 3);
}

#[test]
fn the_hosts_file_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("resolv.conf");
    let host = Namespace::new();
    let _one = Server::start(&host, "127.0.0.1:53", "192.0.2.1");
    let _two = Server::start(&host, "127.0.0.2:53", "192.0.2.2");
    let world = World::with(host, Servers::File(path.clone()));
    let answer = || world.ask("example.org", TYPE::A).answers();
    assert_eq!(answer(), ["192.0.2.1"], "no file is this host");
    let new = directory.path().join("new");
    std::fs::write(&new, "nameserver 127.0.0.2\n").unwrap();
    std::fs::rename(&new, &path).unwrap();
    assert_eq!(answer(), ["192.0.2.2"]);
    std::fs::write(&path, "nameserver 127.0.0.1\n").unwrap();
    assert_eq!(answer(), ["192.0.2.1"]);
}
