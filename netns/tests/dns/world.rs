//! The host with its server, and the inside with a forwarder.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use nsrun_netns::dns::{ADDRESS, Forwarder, Names, Servers, Zone};
use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};

use crate::scratch::{Driven, Namespace, PATIENCE, datagrams};

pub const WEB: [&str; 2] = ["192.168.7.18", "fd12::2"];

/// `web` and `host` in 192.168.7.0/24.
struct Known;

impl Names for Known {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        match name {
            "web" => Some(WEB.map(|address| address.parse().unwrap()).into()),
            "host" => Some(vec!["192.168.7.17".parse().unwrap()]),
            _ => None,
        }
    }

    fn name(&self, address: IpAddr) -> Option<String> {
        let known = ["web", "host"].into_iter();
        let mut known =
            known.filter(|name| self.addresses(name).is_some_and(|a| a.contains(&address)));
        known.next().map(str::to_owned)
    }

    fn covers(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(four) if four.octets()[..3] == [192, 168, 7])
    }
}

pub struct World {
    pub host: Namespace,
    pub inside: Namespace,
    _forwarder: Driven,
}

impl World {
    /// A forwarder that asks these servers of the host.
    pub fn new(servers: &[&str]) -> Self {
        let servers = servers.iter().map(|server| server.parse().unwrap());
        Self::with(Namespace::new(), Servers::Fixed(servers.collect()))
    }

    pub fn with(host: Namespace, servers: Servers) -> Self {
        Self::between(host, Namespace::new(), &[], servers)
    }

    /// A forwarder that has further addresses of the inside.
    pub fn between(
        host: Namespace,
        inside: Namespace,
        further: &[IpAddr],
        servers: Servers,
    ) -> Self {
        inside.add_address(&ADDRESS.to_string());
        let zone = || Zone {
            domain: "nsrun".to_owned(),
            names: Box::new(Known),
        };
        let place = inside.place();
        let addresses = [&[ADDRESS.into()], further].concat();
        let forwarder = host.drive(move || {
            let forwarder = Forwarder::open(&place, &addresses, zone(), servers).unwrap();
            forwarder.run()
        });
        let world = Self {
            host,
            inside,
            _forwarder: forwarder,
        };
        world.wait_for_start();
        world
    }

    /// Connections are taken from the moment that the sockets are open.
    fn wait_for_start(&self) {
        crate::scratch::wait_until("the forwarder is there", || {
            self.inside
                .with(|| TcpStream::connect((ADDRESS, 53)))
                .is_ok()
        });
    }

    pub fn client(&self) -> UdpSocket {
        let socket = self.inside.with(|| datagrams("0.0.0.0:0"));
        socket.connect((ADDRESS, 53)).unwrap();
        socket
    }

    pub fn stream(&self) -> TcpStream {
        let address = SocketAddr::from((ADDRESS, 53));
        let stream = self.inside.with(|| TcpStream::connect(address)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Asks over UDP, as often as clients do.
    pub fn ask(&self, name: &str, kind: TYPE) -> Reply {
        self.ask_message(&question(name, kind, None))
    }

    pub fn ask_message(&self, message: &[u8]) -> Reply {
        let client = self.client();
        // As long as a question takes that no server answers.
        client
            .set_read_timeout(Some(Duration::from_secs(6)))
            .unwrap();
        let mut buffer = vec![0; 65536];
        for _ in 0..4 {
            client.send(message).unwrap();
            if let Ok(length) = client.recv(&mut buffer) {
                buffer.truncate(length);
                return Reply(buffer);
            }
        }
        panic!("no answer to {message:?}");
    }

    /// Asks over TCP.
    pub fn ask_by_stream(&self, name: &str, kind: TYPE) -> Reply {
        let mut stream = self.stream();
        send(&mut stream, &question(name, kind, None));
        receive(&mut stream)
    }
}

pub fn send(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap();
    let framed = [&length.to_be_bytes(), message].concat();
    stream.write_all(&framed).unwrap();
}

pub fn receive(stream: &mut TcpStream) -> Reply {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).unwrap();
    Reply(message)
}

pub fn question(name: &str, kind: TYPE, size: Option<u16>) -> Vec<u8> {
    let mut packet = Packet::new_query(0x4e53);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new_unchecked(name);
    packet
        .questions
        .push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    if let Some(udp_packet_size) = size {
        *packet.opt_mut() = Some(OPT {
            opt_codes: Vec::new(),
            udp_packet_size,
            version: 0,
        });
    }
    packet.build_bytes_vec().unwrap()
}

/// What a client got.
pub struct Reply(pub Vec<u8>);

impl Reply {
    pub fn packet(&self) -> Packet<'_> {
        let packet = Packet::parse(&self.0).unwrap();
        assert_eq!(packet.id(), 0x4e53, "another number than was asked with");
        packet
    }

    pub fn rcode(&self) -> RCODE {
        self.packet().rcode()
    }

    /// Addresses and names of the answer.
    pub fn answers(&self) -> Vec<String> {
        let text = |record: &simple_dns::ResourceRecord<'_>| match &record.rdata {
            RData::A(a) => std::net::Ipv4Addr::from(a.address).to_string(),
            RData::AAAA(aaaa) => std::net::Ipv6Addr::from(aaaa.address).to_string(),
            RData::PTR(name) => name.to_string(),
            other => format!("{other:?}"),
        };
        self.packet().answers.iter().map(text).collect()
    }
}
