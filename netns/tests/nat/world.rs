//! A host with an uplink to an internet, and peers behind links, all of them network
//! namespaces of the test's own.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nsrun_netns::MacAddr;
use nsrun_netns::nft::{LinkRules, Port, Protocol, Rules, Table};

pub const INTERNET4: &str = "203.0.113.1";
pub const INTERNET6: &str = "2001:db8:1::1";
pub const HOST4: &str = "203.0.113.2";
pub const HOST6: &str = "2001:db8:1::2";
/// Where every namespace serves, over TCP and UDP.
pub const SERVICE: u16 = 80;

/// How long an answer may take that is on its way for certain.
const PATIENT: Duration = Duration::from_secs(20);
/// How long is waited for an answer that must not come.
const SHORT: Duration = Duration::from_millis(300);

/// A network namespace that lives as long as this value.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// With loopback, and without waiting whether an IPv6 address is somebody's: one
    /// that is not yet known to be free is not used for sending.
    pub fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            for scope in ["all", "default"] {
                set(&format!("net/ipv6/conf/{scope}/accept_dad"), "0");
            }
            ip("link set lo up");
            File::open("/proc/thread-self/ns/net").unwrap().into()
        });
        Self(made.join().unwrap())
    }

    /// Runs `f` inside.
    pub fn with<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            f()
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap())
    }

    /// Runs `ip` inside.
    pub fn ip(&self, arguments: &str) {
        self.with(|| ip(arguments));
    }

    /// A pair of links, one end here and one there.
    pub fn connect(&self, link: &str, other: &Self, other_link: &str) {
        let path = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&format!(
            "link add {link} type veth peer name {other_link} netns {path}"
        ));
        self.ip(&format!("link set {link} up"));
        other.ip(&format!("link set {other_link} up"));
    }

    /// Serves at every address: whoever asks is told the address it has come from.
    pub fn serve(&self) {
        let (tcp, udp) = self.with(|| {
            let any = ("::", SERVICE);
            (
                TcpListener::bind(any).unwrap(),
                UdpSocket::bind(any).unwrap(),
            )
        });
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let from = stream.peer_addr().unwrap();
                let _ = stream.write_all(from.ip().to_canonical().to_string().as_bytes());
            }
        });
        thread::spawn(move || {
            let mut buffer = [0; 16];
            loop {
                let (_, from) = udp.recv_from(&mut buffer).unwrap();
                let seen = from.ip().to_canonical().to_string();
                let _ = udp.send_to(seen.as_bytes(), from);
            }
        });
    }

    /// The address that the service there sees this namespace's question come from.
    pub fn asks(&self, protocol: Protocol, at: &str, port: u16) -> String {
        let at = SocketAddr::new(at.parse().unwrap(), port);
        let seen = self.with(|| ask(protocol, at, PATIENT));
        seen.unwrap_or_else(|error| panic!("{protocol} {at}: {error}"))
    }

    /// Whether there is no answer from there.
    pub fn is_cut_off(&self, protocol: Protocol, at: &str, port: u16) -> bool {
        let at = SocketAddr::new(at.parse().unwrap(), port);
        self.with(|| ask(protocol, at, SHORT)).is_err()
    }
}

fn ask(protocol: Protocol, at: SocketAddr, patience: Duration) -> io::Result<String> {
    let mut buffer = [0; 64];
    let length = match protocol {
        Protocol::Tcp => {
            let mut stream = TcpStream::connect_timeout(&at, patience)?;
            stream.set_read_timeout(Some(patience))?;
            stream.read(&mut buffer)?
        }
        Protocol::Udp => {
            let any: IpAddr = if at.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
            let socket = UdpSocket::bind((any, 0))?;
            socket.set_read_timeout(Some(patience))?;
            socket.connect(at)?;
            socket.send(b"who")?;
            socket.recv(&mut buffer)?
        }
    };
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn ip(arguments: &str) {
    run("ip", &arguments.split(' ').collect::<Vec<_>>());
}

/// Runs a command in the calling thread's namespace and returns what it prints.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {told}");
    String::from_utf8(done.stdout).unwrap()
}

/// Writes a sysctl of the calling thread's namespace.
pub fn set(key: &str, value: &str) {
    fs::write(format!("/proc/sys/{key}"), value).unwrap();
}

/// What nft lists in the calling thread's namespace, without handles and counters.
pub fn ruleset() -> String {
    run("nft", &["--stateless", "list", "ruleset"])
}

/// Host and internet, which serves and knows no way to what is behind the host.
#[derive(Debug)]
pub struct World {
    pub host: Namespace,
    pub internet: Namespace,
}

impl World {
    pub fn new() -> Self {
        let (host, internet) = (Namespace::new(), Namespace::new());
        host.connect("up0", &internet, "wan0");
        internet.ip(&format!("addr add {INTERNET4}/24 dev wan0"));
        internet.ip(&format!("addr add {INTERNET6}/64 dev wan0 nodad"));
        host.ip(&format!("addr add {HOST4}/24 dev up0"));
        host.ip(&format!("addr add {HOST6}/64 dev up0 nodad"));
        host.ip(&format!("route add default via {INTERNET4}"));
        host.ip(&format!("-6 route add default via {INTERNET6}"));
        host.with(|| {
            set("net/ipv4/ip_forward", "1");
            set("net/ipv6/conf/all/forwarding", "1");
        });
        internet.serve();
        Self { host, internet }
    }

    /// A peer that serves, behind a pair of its own: `ve-N`, 192.168.N.0/28, fd00:N::/64.
    pub fn peer(&self, number: u8) -> Peer {
        let peer = Peer {
            inside: Namespace::new(),
            link: format!("ve-{number}"),
            ipv4: format!("192.168.{number}.2"),
            ipv6: format!("fd00:{number}::2"),
        };
        self.host.connect(&peer.link, &peer.inside, "host0");
        self.gateway(&peer.link, number);
        peer.set_up(number);
        peer
    }

    /// A bridge for peers: `vz-N`, with the addresses of peer N's gateway.
    pub fn zone(&self, number: u8) -> String {
        let zone = format!("vz-{number}");
        self.host.ip(&format!("link add {zone} type bridge"));
        self.host.ip(&format!("link set {zone} up"));
        self.gateway(&zone, number);
        zone
    }

    /// A peer that serves, in that zone, with `last` at the end of its addresses, its
    /// Ethernet address included.
    pub fn member(&self, zone: u8, last: u8) -> Peer {
        let peer = Peer {
            inside: Namespace::new(),
            link: format!("vb-{zone}-{last}"),
            ipv4: format!("192.168.{zone}.{last}"),
            ipv6: format!("fd00:{zone}::{last}"),
        };
        self.host.connect(&peer.link, &peer.inside, "host0");
        peer.inside
            .ip(&format!("link set host0 address {}", mac(zone, last)));
        self.host
            .ip(&format!("link set {} master vz-{zone}", peer.link));
        peer.set_up(zone);
        peer
    }

    fn gateway(&self, link: &str, number: u8) {
        self.host
            .ip(&format!("addr add 192.168.{number}.1/28 dev {link}"));
        self.host
            .ip(&format!("addr add fd00:{number}::1/64 dev {link} nodad"));
    }

    /// Installs on the host.
    pub fn install(&self, rules: &[Rules]) {
        self.host
            .with(|| Table::open().unwrap().install(rules).unwrap());
    }

    /// Loads a rule set of somebody else's on the host.
    pub fn load(&self, rules: &str) {
        self.host.with(|| run("nft", &[rules]));
    }

    /// Removes from the host.
    pub fn remove(&self, rules: &[Rules]) {
        self.host
            .with(|| Table::open().unwrap().remove(rules).unwrap());
    }
}

/// Somebody behind a link of the host.
#[derive(Debug)]
pub struct Peer {
    pub inside: Namespace,
    pub link: String,
    pub ipv4: String,
    pub ipv6: String,
}

impl Peer {
    fn set_up(&self, subnet: u8) {
        let Self { inside, .. } = self;
        inside.ip(&format!("addr add {}/28 dev host0", self.ipv4));
        inside.ip(&format!("addr add {}/64 dev host0 nodad", self.ipv6));
        inside.ip(&format!("route add default via 192.168.{subnet}.1"));
        inside.ip(&format!("-6 route add default via fd00:{subnet}::1"));
        inside.serve();
    }

    /// Rules for its own link, masquerading, without ports.
    pub fn rules(&self) -> Rules {
        let mut rules = Rules::new(format!("test:{}", self.link).parse().unwrap());
        rules.links = vec![link(&self.link)];
        rules
    }

    /// A port of the host, at any address of it, that leads to the service: by TCP and
    /// UDP, IPv4 and IPv6.
    pub fn ports(&self, host: u16) -> Vec<Port> {
        let mut ports = Vec::new();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for target in [&self.ipv4, &self.ipv6] {
                ports.push(Port {
                    address: None,
                    protocol,
                    host,
                    target: SocketAddr::new(target.parse().unwrap(), SERVICE),
                });
            }
        }
        ports
    }
}

/// The Ethernet address of a zone's member.
pub fn mac(zone: u8, last: u8) -> MacAddr {
    MacAddr::from([2, 0, 0, 0, zone, last])
}

/// Rules for a link whose peers are hidden.
pub fn link(name: &str) -> LinkRules {
    LinkRules {
        link: name.parse().unwrap(),
        masquerade: true,
    }
}
