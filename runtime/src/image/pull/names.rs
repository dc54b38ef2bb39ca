//! Names of hosts to addresses, without the C library's name service: that would load the
//! host's modules into a static program.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};

/// Port of name servers.
const PORT: u16 = 53;

/// Longest answer over UDP without extensions, RFC 1035.
const UDP: usize = 512;

/// Limits of resolv.conf(5) on what it may ask for.
const TIMEOUT: u32 = 30;
const ATTEMPTS: u32 = 5;

/// What the host says of names.
#[derive(Debug)]
pub(super) struct Names {
    hosts: Vec<(IpAddr, String)>,
    servers: Vec<SocketAddr>,
    suffixes: Vec<String>,
    dots: usize,
    timeout: Duration,
    attempts: u32,
}

impl Names {
    /// Reads `/etc/hosts` and `/etc/resolv.conf`; what is missing counts as empty.
    pub(super) fn of_host() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/etc/hosts"), &read("/etc/resolv.conf"))
    }

    fn parse(hosts: &str, resolv_conf: &str) -> Self {
        let (config, _) = resolv_conf::Config::parse_with_errors(resolv_conf.as_bytes());
        let servers = config.nameservers.iter().map(|server| match server {
            resolv_conf::ScopedIp::V4(address) => SocketAddr::from((*address, PORT)),
            resolv_conf::ScopedIp::V6(address, _) => SocketAddr::from((*address, PORT)),
        });
        let mut servers: Vec<SocketAddr> = servers.collect();
        if servers.is_empty() {
            servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        Self {
            hosts: hosts.lines().flat_map(host_line).collect(),
            servers,
            suffixes: config.get_last_search_or_domain().cloned().collect(),
            dots: usize::try_from(config.ndots).unwrap_or(1),
            timeout: Duration::from_secs(config.timeout.clamp(1, TIMEOUT).into()),
            attempts: config.attempts.clamp(1, ATTEMPTS),
        }
    }

    /// The addresses of a host, those of IPv4 first; none if it is not known.
    ///
    /// # Errors
    /// If no name server answers.
    pub(super) fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Ok(vec![address]);
        }
        let host = host.to_ascii_lowercase();
        let known = self.hosts.iter().filter(|(_, name)| *name == host);
        let mut known: Vec<IpAddr> = known.map(|(address, _)| *address).collect();
        if known.is_empty() && (host == "localhost" || host.ends_with(".localhost")) {
            known = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        if !known.is_empty() {
            return Ok(known);
        }
        for name in self.candidates(&host) {
            let mut found = self.ask(&name, TYPE::A)?;
            found.extend(self.ask(&name, TYPE::AAAA)?);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// The full names that a name may stand for, resolv.conf(5).
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(full) = host.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let suffixes = self.suffixes.iter().filter(|suffix| *suffix != ".");
        let mut names: Vec<_> = suffixes.map(|suffix| format!("{host}.{suffix}")).collect();
        let enough_dots = host.matches('.').count() >= self.dots;
        let at = if enough_dots { 0 } else { names.len() };
        names.insert(at, host.to_owned());
        names
    }

    fn ask(&self, name: &str, kind: TYPE) -> io::Result<Vec<IpAddr>> {
        let mut failure = io::Error::other("no name server");
        for _ in 0..self.attempts {
            for server in &self.servers {
                match query(*server, self.timeout, name, kind) {
                    Ok(found) => return Ok(found),
                    Err(error) => failure = error,
                }
            }
        }
        Err(failure)
    }
}

fn host_line(line: &str) -> Vec<(IpAddr, String)> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let Some(address) = words.next().and_then(|word| word.parse().ok()) else {
        return Vec::new();
    };
    words
        .map(|name| (address, name.to_ascii_lowercase()))
        .collect()
}

/// Asks one server; over TCP if the answer does not fit a datagram.
fn query(server: SocketAddr, timeout: Duration, name: &str, kind: TYPE) -> io::Result<Vec<IpAddr>> {
    let mut random = [0; 2];
    getrandom(&mut random, GetRandomFlags::empty())?;
    let id = u16::from_ne_bytes(random);
    let question = question(id, name, kind)?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // From here on the kernel drops what others send.
    socket.connect(server)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.send(&question)?;
    let mut buffer = [0; UDP];
    loop {
        let length = socket.recv(&mut buffer)?;
        match read(&buffer[..length], id, name) {
            Some(Answer::Addresses(found)) => return Ok(found),
            Some(Answer::Truncated) => return query_stream(server, timeout, &question, id, name),
            Some(Answer::Failed) => return Err(io::Error::other("the name server failed")),
            None => {}
        }
    }
}

fn query_stream(
    server: SocketAddr,
    timeout: Duration,
    question: &[u8],
    id: u16,
    name: &str,
) -> io::Result<Vec<IpAddr>> {
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    match read(&answer, id, name) {
        Some(Answer::Addresses(found)) => Ok(found),
        _ => Err(io::Error::other("the name server's answer makes no sense")),
    }
}

fn question(id: u16, name: &str, kind: TYPE) -> io::Result<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|_| io::Error::other("it is no host's name"))?;
    let question = Question::new(name, kind.into(), CLASS::IN.into(), false);
    packet.questions.push(question);
    packet.build_bytes_vec().map_err(io::Error::other)
}

enum Answer {
    Addresses(Vec<IpAddr>),
    Truncated,
    Failed,
}

/// An answer to the question; `None` for anything else.
fn read(bytes: &[u8], id: u16, name: &str) -> Option<Answer> {
    let packet = Packet::parse(bytes).ok()?;
    let asked = packet.questions.first()?.qname.to_string();
    let ours = packet.id() == id && asked.eq_ignore_ascii_case(name);
    if !ours || !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some(Answer::Truncated);
    }
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Some(Answer::Addresses(Vec::new())),
        _ => return Some(Answer::Failed),
    }
    let addresses = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
            RData::AAAA(a) => Some(Ipv6Addr::from(a.address).into()),
            _ => None,
        });
    Some(Answer::Addresses(addresses.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::A;

    const HOSTS: &str = "127.0.0.1 localhost\n# no\n10.0.0.7 Web web.lan # x\n::7 web\nbad name\n";

    #[test]
    fn addresses_and_known_hosts_need_no_server() {
        let names = Names::parse(HOSTS, "");
        let found = |host: &str| names.look_up(host).unwrap();
        assert_eq!(found("10.1.2.3"), ["10.1.2.3".parse::<IpAddr>().unwrap()]);
        assert_eq!(found("[::1]"), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
        assert_eq!(found("WEB").len(), 2);
        assert_eq!(found("a.localhost")[0], IpAddr::from(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn short_names_are_completed_first_and_full_ones_last() {
        let names = Names::parse("", "search lan example.org\noptions ndots:1\n");
        assert_eq!(
            names.candidates("web"),
            ["web.lan", "web.example.org", "web"]
        );
        assert_eq!(
            names.candidates("a.b"),
            ["a.b", "a.b.lan", "a.b.example.org"]
        );
        assert_eq!(names.candidates("a.b."), ["a.b"]);
    }

    fn answer(id: u16, flags: PacketFlag) -> Vec<u8> {
        let mut packet = Packet::new_reply(id);
        packet.set_flags(flags);
        let name = Name::new_unchecked("web.lan");
        let question = Question::new(name.clone(), TYPE::A.into(), CLASS::IN.into(), false);
        packet.questions.push(question);
        let address = u32::from(Ipv4Addr::new(10, 0, 0, 9));
        let record = ResourceRecord::new(name, CLASS::IN, 1, RData::A(A { address }));
        packet.answers.push(record);
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn a_server_is_asked_and_forgeries_are_passed_over() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let replies = std::thread::spawn(move || {
            let mut buffer = [0; UDP];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            let id = Packet::parse(&buffer[..length]).unwrap().id();
            let forged = answer(id.wrapping_add(1), PacketFlag::RESPONSE);
            server.send_to(b"noise", from).unwrap();
            server.send_to(&forged, from).unwrap();
            let real = answer(id, PacketFlag::RESPONSE);
            server.send_to(&real, from).unwrap();
        });
        let found = query(address, Duration::from_secs(20), "web.lan", TYPE::A).unwrap();
        assert_eq!(found, [IpAddr::from([10, 0, 0, 9])]);
        replies.join().unwrap();
    }

    #[test]
    fn what_is_cut_off_is_asked_for_again_over_tcp() {
        let (udp, tcp) = loop {
            let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let replies = std::thread::spawn(move || {
            let mut buffer = [0; UDP];
            let (length, from) = udp.recv_from(&mut buffer).unwrap();
            let id = Packet::parse(&buffer[..length]).unwrap().id();
            let cut = answer(id, PacketFlag::RESPONSE | PacketFlag::TRUNCATION);
            udp.send_to(&cut, from).unwrap();
            let (mut stream, _) = tcp.accept().unwrap();
            stream.read_exact(&mut buffer[..2 + length]).unwrap();
            let full = answer(id, PacketFlag::RESPONSE);
            let size = u16::try_from(full.len()).unwrap().to_be_bytes();
            stream.write_all(&[&size[..], &full].concat()).unwrap();
        });
        let found = query(address, Duration::from_secs(20), "web.lan", TYPE::A).unwrap();
        assert_eq!(found, [IpAddr::from([10, 0, 0, 9])]);
        replies.join().unwrap();
    }

    proptest! {
        #[test]
        fn any_files_and_answers_will_do(text in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let _ = Names::parse(&text, &text).candidates(&text);
            let _ = read(&bytes, 1, "web");
        }
    }
}
