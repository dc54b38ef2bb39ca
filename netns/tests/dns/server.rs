//! A server whose behaviour is in the first label of the name that it is asked for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use simple_dns::rdata::{A, RData, TXT};
use simple_dns::{CLASS, Packet, PacketFlag, RCODE, ResourceRecord};

use crate::scratch::Namespace;

/// It lives until the process ends: tests are processes.
pub struct Server {
    pub questions: Arc<AtomicUsize>,
    /// The numbers and ports that it was asked from.
    pub seen: Arc<Mutex<Vec<(u16, u16)>>>,
}

impl Server {
    /// A server that gives out `address`.
    pub fn start(host: &Namespace, at: &str, address: &str) -> Self {
        let at: SocketAddr = at.parse().unwrap();
        let address: Ipv4Addr = address.parse().unwrap();
        let sockets = || (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap());
        let (udp, tcp) = host.with(sockets);
        // Another socket of the same host, which answers what it was not asked.
        let other = host.with(|| UdpSocket::bind((at.ip(), 0)).unwrap());
        let server = Self {
            questions: Arc::default(),
            seen: Arc::default(),
        };
        let (questions, seen) = (Arc::clone(&server.questions), Arc::clone(&server.seen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let (length, client) = udp.recv_from(&mut buffer).unwrap();
                questions.fetch_add(1, Ordering::SeqCst);
                let number = u16::from_be_bytes([buffer[0], buffer[1]]);
                seen.lock().unwrap().push((number, client.port()));
                by_datagram(&udp, &other, client, &buffer[..length], address);
            }
        });
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                if stream.read_exact(&mut length).is_ok() {
                    let mut message = vec![0; u16::from_be_bytes(length).into()];
                    stream.read_exact(&mut message).unwrap();
                    let answer = answer(&message, address, true);
                    let length = u16::try_from(answer.len()).unwrap();
                    stream.write_all(&length.to_be_bytes()).unwrap();
                    stream.write_all(&answer).unwrap();
                }
            }
        });
        server
    }

    pub fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

fn behaviour(message: &[u8]) -> String {
    let packet = Packet::parse(message).unwrap();
    let name = packet.questions[0].qname.to_string();
    name.split('.').next().unwrap_or_default().to_lowercase()
}

fn by_datagram(
    udp: &UdpSocket,
    other: &UdpSocket,
    client: SocketAddr,
    message: &[u8],
    address: Ipv4Addr,
) {
    let good = answer(message, address, false);
    let forged = || answer(message, Ipv4Addr::new(6, 6, 6, 6), false);
    match behaviour(message).as_str() {
        "silent" => return,
        "number" => {
            let mut wrong = forged();
            wrong[1] ^= 1;
            udp.send_to(&wrong, client).unwrap();
        }
        "question" => {
            let mut wrong = forged();
            wrong[13] ^= 1;
            udp.send_to(&wrong, client).unwrap();
            udp.send_to(&[], client).unwrap();
            udp.send_to(&[0xff; 700], client).unwrap();
        }
        "source" => {
            other.send_to(&forged(), client).unwrap();
        }
        _ => {}
    }
    udp.send_to(&good, client).unwrap();
}

fn answer(message: &[u8], address: Ipv4Addr, by_stream: bool) -> Vec<u8> {
    let query = Packet::parse(message).unwrap();
    let mut packet = Packet::new_reply(query.id());
    packet.questions.clone_from(&query.questions);
    *packet.opt_mut() = query.opt().cloned();
    let name = query.questions[0].qname.clone();
    let record = |data| ResourceRecord::new(name.clone(), CLASS::IN, 60, data);
    match behaviour(message).as_str() {
        "broken" => *packet.rcode_mut() = RCODE::ServerFailure,
        "nobody" => *packet.rcode_mut() = RCODE::NameError,
        "large" if !by_stream => packet.set_flags(PacketFlag::TRUNCATION),
        "large" | "careless" => {
            let text = "x".repeat(250);
            for _ in 0..8 {
                let text = TXT::new().with_string(&text).unwrap().into_owned();
                packet.answers.push(record(RData::TXT(text)));
            }
        }
        _ => packet.answers.push(record(RData::A(A::from(address)))),
    }
    packet.build_bytes_vec().unwrap()
}
