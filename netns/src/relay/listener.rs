//! The port as its clients see it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::sockopt;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage, bind, getsockname,
    getsockopt, listen, setsockopt, socket,
};

use crate::error::{Error, Result};
use crate::place::Place;

/// What waits for its turn when all connections are taken.
const BACKLOG: i32 = 128;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// A bound socket; one of TCP also listens. Its display is that of protocol and address.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    protocol: Protocol,
    address: SocketAddr,
}

impl Listener {
    /// Takes the port `address` in `place`. An IPv6 address takes no port of IPv4.
    ///
    /// # Errors
    /// If the port is taken (`EADDRINUSE`), the address is not there, or the namespace
    /// cannot be entered.
    pub fn open(place: &Place, protocol: Protocol, address: SocketAddr) -> Result<Self> {
        Self::bound(place, protocol, address, Options::default())
            .map_err(|e| refused(protocol, address, &e))
    }

    /// Takes the port of all addresses of both families in `place` with one socket; of
    /// IPv4 alone where the kernel has no IPv6.
    ///
    /// # Errors
    /// If the port is taken in either family (`EADDRINUSE`), or the namespace cannot be
    /// entered.
    pub fn open_any(place: &Place, protocol: Protocol, port: u16) -> Result<Self> {
        let dual = Options {
            both_families: true,
            ..Options::default()
        };
        let six = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match Self::bound(place, protocol, six, dual) {
            Err(error) if lacks_ipv6(&error) => {
                Self::open(place, protocol, (Ipv4Addr::UNSPECIFIED, port).into())
            }
            other => other.map_err(|e| refused(protocol, six, &e)),
        }
    }

    /// Takes over a socket that somebody else has bound, such as one that was passed by
    /// a service manager (sd_listen_fds(3)).
    ///
    /// # Errors
    /// If it is no bound UDP socket or listening TCP socket.
    pub fn from_fd(socket: OwnedFd) -> Result<Self> {
        Self::adopt(socket).map_err(|e| Error::io("take over a listening socket", &e))
    }

    /// Takes the port on an address that may come and go: clients reach it whenever the
    /// address is there.
    ///
    /// # Errors
    /// If the port is taken (`EADDRINUSE`), or the namespace cannot be entered.
    pub fn open_unassigned(place: &Place, protocol: Protocol, address: SocketAddr) -> Result<Self> {
        let options = Options {
            unassigned: true,
            ..Options::default()
        };
        Self::bound(place, protocol, address, options).map_err(|e| refused(protocol, address, &e))
    }

    fn bound(
        place: &Place,
        protocol: Protocol,
        address: SocketAddr,
        options: Options,
    ) -> io::Result<Self> {
        Self::adopt(place.open(|| Ok(options.bind(protocol, address)?))?)
    }

    fn adopt(socket: OwnedFd) -> io::Result<Self> {
        let protocol = match getsockopt(&socket, sockopt::SockType)? {
            SockType::Stream if getsockopt(&socket, sockopt::AcceptConn)? => Protocol::Tcp,
            SockType::Stream => return Err(io::Error::other("it does not listen")),
            SockType::Datagram => Protocol::Udp,
            _ => return Err(io::Error::other("it is neither of TCP nor of UDP")),
        };
        let address = local_address(&socket)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            socket,
            protocol,
            address,
        })
    }

    /// Of what kind it is.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The address it is bound to, with the port that the kernel chose if none was given.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn into_tcp(self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.socket.into())
    }

    pub(crate) fn into_udp(self) -> io::Result<tokio::net::UdpSocket> {
        tokio::net::UdpSocket::from_std(self.socket.into())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.protocol, self.address)
    }
}

#[derive(Clone, Copy, Default)]
struct Options {
    both_families: bool,
    unassigned: bool,
}

impl Options {
    fn bind(self, protocol: Protocol, address: SocketAddr) -> nix::Result<OwnedFd> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        let kind = match protocol {
            Protocol::Tcp => SockType::Stream,
            Protocol::Udp => SockType::Datagram,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, kind, flags, None)?;
        if address.is_ipv6() {
            setsockopt(&socket, sockopt::Ipv6V6Only, &!self.both_families)?;
        }
        if self.unassigned {
            // It holds for IPv6 sockets as well: __inet6_bind() asks for the same flag.
            setsockopt(&socket, sockopt::IpFreebind, &true)?;
        }
        if protocol == Protocol::Tcp {
            // Connections of the port's last owner linger on; listeners clash in spite of it.
            setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        }
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
        if protocol == Protocol::Tcp {
            listen(&socket, Backlog::new(BACKLOG)?)?;
        }
        Ok(socket)
    }
}

fn local_address(socket: &impl AsFd) -> io::Result<SocketAddr> {
    let name: SockaddrStorage = getsockname(socket.as_fd().as_raw_fd())?;
    let address = socket_address(&name);
    let address = address.ok_or_else(|| io::Error::other("it is no Internet socket"))?;
    if address.port() == 0 {
        return Err(io::Error::other("it is not bound to a port"));
    }
    Ok(address)
}

pub(super) fn socket_address(name: &SockaddrStorage) -> Option<SocketAddr> {
    match name.family()? {
        AddressFamily::Inet => Some(SocketAddr::V4(SocketAddrV4::from(*name.as_sockaddr_in()?))),
        AddressFamily::Inet6 => Some(SocketAddr::V6(SocketAddrV6::from(*name.as_sockaddr_in6()?))),
        _ => None,
    }
}

/// `ipv6.disable=1` leaves no such sockets, `disable_ipv6` no such address.
fn lacks_ipv6(error: &io::Error) -> bool {
    use nix::libc::{EADDRNOTAVAIL, EAFNOSUPPORT};
    matches!(error.raw_os_error(), Some(EAFNOSUPPORT | EADDRNOTAVAIL))
}

fn refused(protocol: Protocol, address: SocketAddr, error: &io::Error) -> Error {
    let object = if address.ip().is_unspecified() {
        format!("{protocol} port {}", address.port())
    } else {
        format!("{protocol} port {address}")
    };
    Error::io(format!("listen on {object}"), error)
}
