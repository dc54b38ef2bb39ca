//! Clients that mean harm: they are told so or ignored, take what they may take, and leave
//! the others their answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, connect, send, socket,
};
use nsrun_netns::dns::ADDRESS;
use simple_dns::{RCODE, TYPE};

use crate::scratch::wait_until;
use crate::server::Server;
use crate::world::{self, Reply, WEB, World, question};

fn still_answers(world: &World) {
    assert_eq!(world.ask("web", TYPE::A).answers(), WEB[..1]);
    assert_eq!(world.ask_by_stream("web", TYPE::A).answers(), WEB[..1]);
}

/// Numbers that are the same in each run.
fn numbers() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(0x9e37_79b9_7f4a_7c15_u64), |x| {
        let x = x ^ (x << 13);
        let x = x ^ (x >> 7);
        Some(x ^ (x << 17))
    })
}

/// A kilobyte that this process has taken.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.unwrap().split_whitespace();
    words.filter_map(|word| word.parse().ok()).next().unwrap()
}

#[test]
fn bytes_of_any_kind_over_udp() {
    let world = World::new(&["127.0.0.1:53"]);
    let client = world.client();
    let good = question("web.nsrun", TYPE::A, Some(1232));
    let mut random = numbers();
    let before = resident();
    for _ in 0..20_000 {
        let mut next = || random.next().unwrap().to_be_bytes();
        let mut message = good.clone();
        match next()[0] % 3 {
            0 => message = (0..next()[1] / 4).flat_map(|_| next()).collect(),
            1 => {
                let [at, value, ..] = next();
                let at = usize::from(at) % message.len();
                message[at] = value;
            }
            _ => message.truncate(usize::from(next()[0]) % good.len()),
        }
        // A full socket is what loses them, as it should.
        let _ = client.send(&message);
    }
    client.send(&[0x41; 60_000]).unwrap();
    still_answers(&world);
    let taken = resident().saturating_sub(before);
    assert!(taken < 8 << 10, "{taken} KiB");
}

#[test]
fn names_that_refer_to_themselves() {
    let world = World::new(&["127.0.0.1:53"]);
    let mut message = question("web.nsrun", TYPE::A, None);
    message.truncate(12);
    message.extend([0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(world.ask_message(&message).rcode(), RCODE::FormatError);

    // Behind the question nothing is followed.
    let mut message = question("web.nsrun", TYPE::A, None);
    let at = u8::try_from(message.len()).unwrap();
    message[11] = 200;
    message.extend([0xc0, at].repeat(400));
    assert_eq!(world.ask_message(&message).answers(), WEB[..1]);
}

#[test]
fn what_servers_would_say_is_no_question() {
    let world = World::new(&["127.0.0.1:53"]);
    let client = world.client();
    let mut response = question("web.nsrun", TYPE::A, None);
    response[2] |= 0x80;
    client.send(&response).unwrap();
    client
        .send(&question("web.nsrun", TYPE::AAAA, None))
        .unwrap();
    let mut buffer = [0; 512];
    let length = client.recv(&mut buffer).unwrap();
    assert_eq!(Reply(buffer[..length].to_vec()).answers(), WEB[1..]);
}

#[test]
fn streams_of_any_kind() {
    let world = World::new(&["127.0.0.1:53"]);
    let closed = |bytes: &[u8]| {
        let mut stream = world.stream();
        stream.write_all(bytes).unwrap();
        // With what was not read, the close may be a reset.
        matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_))
    };
    assert!(closed(&[0xff; 65537]), "the longest message");
    assert!(closed(&[0, 0]), "the shortest message");
    assert!(closed(&[0, 3, 1, 2, 3]), "no header");

    let mut slow = world.stream();
    let message = question("web", TYPE::A, None);
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    for byte in [&length[..], &message].concat() {
        slow.write_all(&[byte]).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(world::receive(&mut slow).answers(), WEB[..1]);
    for _ in 0..3 {
        world::send(&mut slow, &message);
    }
    for _ in 0..3 {
        assert_eq!(world::receive(&mut slow).answers(), WEB[..1]);
    }
    still_answers(&world);
}

/// Begins a connection and half of a message on it, without waiting for either.
fn half_open() -> OwnedFd {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    let address = SockaddrStorage::from(SocketAddr::from((ADDRESS, 53)));
    match connect(stream.as_raw_fd(), &address) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(error) => panic!("{error}"),
    }
    let _ = send(stream.as_raw_fd(), &[1], MsgFlags::MSG_DONTWAIT);
    stream
}

/// How many connections the inside has, by /proc/net/tcp: state 1 is "established".
fn established(world: &World) -> usize {
    let read = || std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let table = world.inside.with(read);
    let port = format!("{:08X}:0035", u32::from(ADDRESS).swap_bytes());
    let mine = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&port) && words.nth(1) == Some("01")
    };
    table.lines().filter(mine).count()
}

#[test]
fn ten_thousand_connections_with_half_a_message() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let world = World::new(&["127.0.0.1:53"]);
    let before = resident();
    let streams = world
        .inside
        .with(|| (0..10_000).map(|_| half_open()).collect::<Vec<_>>());
    wait_until("the forwarder has all that it takes", || {
        established(&world) >= 64
    });
    // Names are known to those who ask by datagram, as everybody does first.
    assert_eq!(world.ask("web", TYPE::A).answers(), WEB[..1]);
    let open = established(&world);
    assert!(open <= 64 + 130, "{open} connections");
    let taken = resident().saturating_sub(before);
    assert!(taken < 8 << 10, "{taken} KiB");
    drop(streams);
    still_answers(&world);
}

#[test]
fn questions_that_nobody_answers() {
    let world = World::new(&["127.0.0.53:53"]);
    let server = Server::start(&world.host, "127.0.0.53:53", "192.0.2.1");
    let client = world.client();
    for _ in 0..10 {
        for _ in 0..100 {
            client
                .send(&question("silent.example", TYPE::A, None))
                .unwrap();
        }
        // What is known is told in the meantime.
        assert_eq!(world.ask("web", TYPE::A).answers(), WEB[..1]);
    }
    let mut buffer = [0; 512];
    let length = client.recv(&mut buffer).unwrap();
    let refusal = Reply(buffer[..length].to_vec());
    assert_eq!(refusal.rcode(), RCODE::ServerFailure);
    let asked = server.questions();
    assert!(asked <= 2 * 128, "{asked} at once");
    let wait = || world.ask("plain.example", TYPE::A).rcode() == RCODE::NoError;
    wait_until("the others have been given up", wait);
}

#[test]
fn connections_that_do_not_read() {
    let world = World::new(&["127.0.0.1:53"]);
    let before = resident();
    let greedy: Vec<TcpStream> = (0..32).map(|_| world.stream()).collect();
    let message = question("web.nsrun", TYPE::A, None);
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    let many = [&length[..], &message].concat().repeat(10_000);
    for mut stream in &greedy {
        stream.set_nonblocking(true).unwrap();
        while stream.write(&many).is_ok() {}
    }
    still_answers(&world);
    let taken = resident().saturating_sub(before);
    assert!(taken < 8 << 10, "{taken} KiB");
}
