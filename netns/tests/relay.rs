//! Relayed ports between namespaces of the tests' own. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scratch;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nsrun_netns::Place;
use nsrun_netns::relay::{Limits, Listener, Protocol, Relay, Target};
use scratch::{Driven, Namespace, PATIENCE, datagrams, wait_until};

const PORT: u16 = 8080;

fn here(address: &str) -> Target {
    Target {
        place: Place::Here,
        address: address.parse().unwrap(),
    }
}

/// Relays `PORT` of all addresses of `host`.
fn relay(host: &Namespace, protocol: Protocol, target: Target, limits: Limits) -> Driven {
    let listener = Listener::open_any(&host.place(), protocol, PORT).unwrap();
    host.drive(move || {
        let relay = Relay {
            listener,
            target,
            limits,
        };
        relay.run()
    })
}

fn connect(host: &Namespace, address: &str) -> TcpStream {
    let address: SocketAddr = address.parse().unwrap();
    let stream = host.with(|| TcpStream::connect(address)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn listen(host: &Namespace, address: &str) -> TcpListener {
    host.with(|| TcpListener::bind(address)).unwrap()
}

/// Bytes of which no two pieces of the same length are alike.
fn pattern(length: usize) -> Vec<u8> {
    let numbers = (0u32..).flat_map(u32::to_be_bytes);
    numbers.take(length).collect()
}

fn reads_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn tcp_passes_all_bytes_and_each_end_of_a_direction() {
    let host = Namespace::new();
    let service = listen(&host, "127.0.0.1:80");
    let _relay = relay(
        &host,
        Protocol::Tcp,
        here("127.0.0.1:80"),
        Limits::default(),
    );
    let (there, back) = (&pattern(5_000_001)[..], &pattern(3_000_003)[..]);
    for address in ["127.0.0.1:8080", "[::1]:8080", "127.0.0.9:8080"] {
        let client = connect(&host, address);
        let (server, _) = service.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                (&client).write_all(there).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            });
            assert!(reads_to_end(&server) == there);
            // The other direction is still open, and slow to be read.
            scope.spawn(|| {
                (&server).write_all(back).unwrap();
                server.shutdown(Shutdown::Write).unwrap();
            });
            assert!(reads_to_end(&client) == back);
        });
    }
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let host = Namespace::new();
    let _taken = listen(&host, "127.0.0.1:8080");
    let _udp = host.with(|| datagrams("[::1]:8080"));
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let error = Listener::open_any(&host.place(), protocol, PORT).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EADDRINUSE));
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {protocol} port 8080: address already in use")
        );
    }
    let missing = "192.0.2.1:80".parse().unwrap();
    let error = Listener::open(&host.place(), Protocol::Tcp, missing).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EADDRNOTAVAIL));
}

#[test]
fn an_address_of_one_family_leaves_the_other_free() {
    let host = Namespace::new();
    for address in ["[::]:8080", "0.0.0.0:8080"] {
        let address = address.parse().unwrap();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let listener = Listener::open(&host.place(), protocol, address).unwrap();
            assert_eq!(listener.address(), address);
            std::mem::forget(listener);
        }
    }
}

#[test]
fn resets_are_passed_on() {
    let host = Namespace::new();
    let service = listen(&host, "127.0.0.1:80");
    let _relay = relay(
        &host,
        Protocol::Tcp,
        here("127.0.0.1:80"),
        Limits::default(),
    );

    let mut client = connect(&host, "127.0.0.1:8080");
    let (server, _) = service.accept().unwrap();
    client.write_all(b"unread").unwrap();
    wait_until("the service has the bytes", || {
        server.peek(&mut [0; 6]).unwrap() == 6
    });
    // What is unread at the close makes it a reset.
    drop(server);
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    drop(service);
    let mut client = connect(&host, "127.0.0.1:8080");
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn connections_above_the_limit_wait_for_their_turn() {
    let host = Namespace::new();
    let service = listen(&host, "127.0.0.1:80");
    let limits = Limits {
        peers: 2,
        ..Limits::default()
    };
    let _relay = relay(&host, Protocol::Tcp, here("127.0.0.1:80"), limits);
    let first = connect(&host, "127.0.0.1:8080");
    let _second = connect(&host, "127.0.0.1:8080");
    let servers = [service.accept().unwrap(), service.accept().unwrap()];
    let mut third = connect(&host, "127.0.0.1:8080");
    third.write_all(b"third").unwrap();
    service.set_nonblocking(true).unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(service.accept().unwrap_err().kind(), ErrorKind::WouldBlock);

    drop(first);
    drop(servers);
    service.set_nonblocking(false).unwrap();
    let (mut server, _) = service.accept().unwrap();
    let mut text = [0; 5];
    server.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"third");
}

#[test]
fn a_reader_that_stops_holds_the_writer_back() {
    let host = Namespace::new();
    let service = listen(&host, "127.0.0.1:80");
    let _relay = relay(
        &host,
        Protocol::Tcp,
        here("127.0.0.1:80"),
        Limits::default(),
    );
    let mut client = connect(&host, "127.0.0.1:8080");
    let (server, _) = service.accept().unwrap();
    client
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut sent = 0;
    while let Ok(length) = client.write(&[7; 65536]) {
        sent += length;
        assert!(sent < 256 << 20, "somebody stores it all");
    }
    drop(client);
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(reads_to_end(&server).len(), sent);
}

#[test]
fn a_transfer_that_never_pauses_leaves_the_others_their_turn() {
    let host = Namespace::new();
    let service = listen(&host, "127.0.0.1:80");
    let _relay = relay(
        &host,
        Protocol::Tcp,
        here("127.0.0.1:80"),
        Limits::default(),
    );
    let mut busy = connect(&host, "127.0.0.1:8080");
    let (mut sink, _) = service.accept().unwrap();
    // Both end when the test does.
    thread::spawn(move || while busy.write(&[7; 65536]).is_ok() {});
    thread::spawn(move || while sink.read(&mut [0; 65536]).is_ok_and(|length| length > 0) {});
    for _ in 0..10 {
        let mut client = connect(&host, "127.0.0.1:8080");
        let (mut server, _) = service.accept().unwrap();
        client.write_all(b"ping").unwrap();
        server.read_exact(&mut [0; 4]).unwrap();
        server.write_all(b"pong").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
    }
}

#[test]
fn dropping_ends_port_and_connections() {
    let host = Namespace::new();
    let service = listen(&host, "127.0.0.1:80");
    let running = relay(
        &host,
        Protocol::Tcp,
        here("127.0.0.1:80"),
        Limits::default(),
    );
    let client = connect(&host, "127.0.0.1:8080");
    let (server, _) = service.accept().unwrap();
    drop(running);
    assert_eq!(reads_to_end(&client), b"");
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(reads_to_end(&server), b"");
    Listener::open_any(&host.place(), Protocol::Tcp, PORT).unwrap();
}

#[test]
fn a_service_of_the_host_is_reached_from_inside() {
    let (host, inside) = (Namespace::new(), Namespace::new());
    let service = listen(&host, "127.0.0.1:5432");
    let published = "127.0.0.1:5432".parse().unwrap();
    let listener = Listener::open(&inside.place(), Protocol::Tcp, published).unwrap();
    let _relay = host.drive(move || {
        let relay = Relay {
            listener,
            target: here("127.0.0.1:5432"),
            limits: Limits::default(),
        };
        relay.run()
    });
    let mut client = connect(&inside, "127.0.0.1:5432");
    client.write_all(b"select 1").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (server, _) = service.accept().unwrap();
    assert_eq!(reads_to_end(&server), b"select 1");
}

#[test]
fn a_service_behind_no_link_is_reached_inside_its_namespace() {
    let (host, inside) = (Namespace::new(), Namespace::new());
    let service = listen(&inside, "127.0.0.1:80");
    let echo = inside.with(|| datagrams("127.0.0.1:80"));
    let target = Target {
        place: inside.place(),
        ..here("127.0.0.1:80")
    };
    let _tcp = relay(&host, Protocol::Tcp, target.clone(), Limits::default());
    let _udp = relay(&host, Protocol::Udp, target, Limits::default());
    let mut client = connect(&host, "[::1]:8080");
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(reads_to_end(&service.accept().unwrap().0), b"hello");
    let client = host.with(|| datagrams("[::1]:0"));
    client.send_to(b"ping", "[::1]:8080").unwrap();
    assert_eq!(echo.recv_from(&mut [0; 8]).unwrap().0, 4);
}

/// Asks `address` from a socket of its own, and has `service` answer; returns the port
/// that the service saw.
fn exchange(client: &UdpSocket, address: &str, service: &UdpSocket) -> u16 {
    let address: SocketAddr = address.parse().unwrap();
    let mut buffer = [0; 64];
    client.send_to(b"ping", address).unwrap();
    let (length, seen) = service.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"ping");
    service.send_to(b"pong", seen).unwrap();
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"pong");
    assert_eq!(from, address, "answered from another address");
    seen.port()
}

#[test]
fn udp_answers_come_from_the_address_that_was_asked() {
    let host = Namespace::new();
    let service = host.with(|| datagrams("127.0.0.1:80"));
    let _relay = relay(
        &host,
        Protocol::Udp,
        here("127.0.0.1:80"),
        Limits::default(),
    );
    let four = host.with(|| datagrams("0.0.0.0:0"));
    let six = host.with(|| datagrams("[::]:0"));
    let first = exchange(&four, "127.0.0.1:8080", &service);
    let second = exchange(&four, "127.0.0.2:8080", &service);
    assert_ne!(first, second, "two conversations, not one");
    exchange(&six, "[::1]:8080", &service);
    assert_eq!(exchange(&four, "127.0.0.1:8080", &service), first);
}

#[test]
fn udp_carries_the_largest_and_the_empty_datagram() {
    let host = Namespace::new();
    let service = host.with(|| datagrams("127.0.0.1:80"));
    let _relay = relay(
        &host,
        Protocol::Udp,
        here("127.0.0.1:80"),
        Limits::default(),
    );
    let client = host.with(|| datagrams("127.0.0.1:0"));
    client.connect("127.0.0.1:8080").unwrap();
    let mut buffer = vec![0; 65536];
    for length in [0, 1, 65507] {
        let sent = pattern(length);
        client.send(&sent).unwrap();
        let (received, from) = service.recv_from(&mut buffer).unwrap();
        assert!(buffer[..received] == sent);
        service.send_to(&sent, from).unwrap();
        let received = client.recv(&mut buffer).unwrap();
        assert!(buffer[..received] == sent);
    }
}

#[test]
fn udp_flows_are_bounded_and_the_longest_silent_makes_room() {
    let host = Namespace::new();
    let service = host.with(|| datagrams("127.0.0.1:80"));
    let limits = Limits {
        peers: 2,
        ..Limits::default()
    };
    let _relay = relay(&host, Protocol::Udp, here("127.0.0.1:80"), limits);
    let clients: Vec<_> = (0..3)
        .map(|_| host.with(|| datagrams("127.0.0.1:0")))
        .collect();
    let ask = |index: usize| exchange(&clients[index], "127.0.0.1:8080", &service);
    let (first, second) = (ask(0), ask(1));
    assert_eq!(ask(0), first);
    ask(2);
    assert_eq!(ask(0), first, "it was not the longest silent");
    assert_ne!(ask(1), second, "its flow had made room");
}

#[test]
fn udp_flows_end_when_both_sides_are_silent() {
    let host = Namespace::new();
    let service = host.with(|| datagrams("127.0.0.1:80"));
    let limits = Limits {
        idle: Duration::from_millis(50),
        ..Limits::default()
    };
    let _relay = relay(&host, Protocol::Udp, here("127.0.0.1:80"), limits);
    let client = host.with(|| datagrams("127.0.0.1:0"));
    let first = exchange(&client, "127.0.0.1:8080", &service);
    let late = UdpSocket::try_clone(&service).unwrap();
    // What the service sends keeps it open: ask more seldom than it takes to end.
    let seldom = limits.idle * 4;
    late.set_read_timeout(Some(seldom)).unwrap();
    wait_until("the flow's socket is closed", || {
        thread::sleep(seldom);
        late.connect(("127.0.0.1", first)).unwrap();
        late.send(b"late").unwrap();
        late.recv(&mut [0]).unwrap_err().kind() == ErrorKind::ConnectionRefused
    });
}

#[test]
fn a_socket_that_was_passed_is_taken_over() {
    let host = Namespace::new();
    let listener = Listener::from_fd(listen(&host, "127.0.0.1:8080").into()).unwrap();
    assert_eq!(listener.to_string(), "TCP port 127.0.0.1:8080");
    let listener = Listener::from_fd(host.with(|| datagrams("[::1]:8080")).into()).unwrap();
    assert_eq!(listener.to_string(), "UDP port [::1]:8080");
    let unfit = [
        (UnixStream::pair().unwrap().0.into(), "it does not listen"),
        (
            std::fs::File::open("/dev/null").unwrap().into(),
            "socket operation on non-socket",
        ),
    ];
    for (descriptor, cause) in unfit {
        let error = Listener::from_fd(descriptor).unwrap_err();
        let expected = format!("cannot take over a listening socket: {cause}");
        assert_eq!(error.to_string(), expected);
    }
}
