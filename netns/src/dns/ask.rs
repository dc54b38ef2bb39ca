//! Asking servers, from sockets of this thread's namespace.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::query::{Code, Query, RCODE, TRUNCATED};
use super::servers::{List, Servers};

/// How often servers are asked, and how long each time: a client waits five seconds,
/// resolv.conf(5).
const TRIES: usize = 3;
const PATIENCE: Duration = Duration::from_millis(1500);

/// As many answers at once that are none are guesses, and the server is given up.
const FORGERIES: usize = 64;

/// No message is longer.
const MESSAGE: usize = 65535;

/// How the client asked, which says how much it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Datagram,
    Stream,
}

#[derive(Debug)]
pub(super) struct Asker {
    servers: List,
    /// For all datagrams: nothing is kept in it across an await.
    buffer: RefCell<Box<[u8]>>,
}

impl Asker {
    pub(super) fn new(servers: Servers) -> Self {
        Self {
            servers: List::new(servers),
            buffer: RefCell::new(vec![0; MESSAGE].into()),
        }
    }

    /// What a server answers to the message, with the client's number. Servers are asked
    /// one after the other; a refusal is told only if no other knows better. `None` if
    /// all are silent.
    pub(super) async fn ask(&self, message: &[u8], way: Way) -> Option<Vec<u8>> {
        let mut refusal = None;
        let servers = self.servers.in_order();
        for server in servers.iter().cycle().take(TRIES) {
            let Ok(mut response) = self.try_one(*server, message, way).await else {
                continue;
            };
            response[..2].copy_from_slice(&message[..2]);
            if !is_refusal(&response) {
                self.servers.has_answered(*server);
                return Some(response);
            }
            refusal = Some(response);
            if servers.len() == 1 {
                break;
            }
        }
        refusal
    }

    /// One try. Its number is a new one: whoever guesses that and the socket's port
    /// cannot have learnt them from the client's message.
    async fn try_one(&self, server: SocketAddr, message: &[u8], way: Way) -> io::Result<Vec<u8>> {
        let mut message = message.to_vec();
        getrandom(&mut message[..2], GetRandomFlags::empty())?;
        let unfit = |_| io::ErrorKind::InvalidInput;
        let query = Query::parse(&message).map_err(unfit)?;
        let response = in_time(self.by_datagram(server, &message, &query)).await?;
        if way == Way::Stream && response[2] & TRUNCATED != 0 {
            return in_time(by_stream(server, &message, &query)).await;
        }
        Ok(response)
    }

    /// The socket is connected: what others send is dropped by the kernel, and a server
    /// that is not there is an error at once, which is no reason for a socket to be readable.
    async fn by_datagram(
        &self,
        server: SocketAddr,
        message: &[u8],
        query: &Query<'_>,
    ) -> io::Result<Vec<u8>> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await?;
        socket.send(message).await?;
        let interest = Interest::READABLE | Interest::ERROR;
        socket
            .async_io(interest, || {
                let mut buffer = self.buffer.borrow_mut();
                for _ in 0..FORGERIES {
                    let (_, length) = recv(&socket, &mut **buffer, RecvFlags::DONTWAIT)?;
                    let response = buffer.get(..length).unwrap_or_default();
                    // Others are not to this question.
                    if query.is_answered_by(response) {
                        return Ok(response.to_vec());
                    }
                }
                Err(io::ErrorKind::InvalidData.into())
            })
            .await
    }
}

async fn by_stream(server: SocketAddr, message: &[u8], query: &Query<'_>) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write(&mut stream, message).await?;
    let length = stream.read_u16().await?;
    let mut response = vec![0; length.into()];
    stream.read_exact(&mut response).await?;
    if query.is_answered_by(&response) {
        Ok(response)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// A message on a stream has its length in front, in one packet with it.
pub(super) async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let framed = [&length.to_be_bytes(), message].concat();
    stream.write_all(&framed).await
}

async fn in_time<T>(what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, what).await?
}

/// Whether another server may know better.
fn is_refusal(response: &[u8]) -> bool {
    [Code::ServerFailure, Code::NotImplemented, Code::Refused]
        .iter()
        .any(|code| response[3] & RCODE == *code as u8)
}
