//! The clients' side: what comes in, and how much of it at once.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::unconstrained;
use tokio::time::{sleep, timeout};

use super::answer;
use super::ask::{self, Asker, Way};
use super::query::{Code, Query, Unfit};
use super::zone::Zone;
use crate::crowd::{Crowd, Turn};
use crate::relay::{Listener, Protocol, is_scarcity};

/// Datagrams that wait for a server's answer. Above that, questions that are for servers
/// are refused, and those for the zone still answered.
const OUTSTANDING: usize = 128;

/// Connections. Above that they wait in the kernel's queue.
const CONNECTIONS: usize = 64;

/// How long a connection may take over its next question, or over taking an answer.
const IDLE: Duration = Duration::from_secs(10);

/// The longest question that is taken: a name, and extensions such as a cookie.
const QUESTION: usize = 4096;

/// How long to wait for descriptors or memory that others give back.
const SCARCE: Duration = Duration::from_millis(100);

/// What is answered from.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) zone: Zone,
    pub(super) asker: Asker,
}

/// What is to be done with a message.
enum Reaction<'a> {
    Silence,
    Answer(Vec<u8>),
    Ask(Query<'a>),
}

impl Service {
    fn react<'a>(&self, message: &'a [u8]) -> Reaction<'a> {
        match Query::parse(message) {
            Err(Unfit::Silence) => Reaction::Silence,
            Err(Unfit::Answer(code)) => Reaction::Answer(answer::header_only(message, code)),
            Ok(query) => match answer::of_zone(&query, &self.zone) {
                Some(known) => Reaction::Answer(known),
                None => Reaction::Ask(query),
            },
        }
    }

    async fn ask(&self, message: &[u8], way: Way) -> Vec<u8> {
        let asked = self.asker.ask(message, way).await;
        asked.unwrap_or_else(|| match Query::parse(message) {
            Ok(query) => answer::failure(&query, Code::ServerFailure),
            Err(_) => answer::header_only(message, Code::ServerFailure),
        })
    }
}

/// Serves the clients of one socket.
pub(super) async fn serve(service: &Service, listener: Listener) -> io::Result<()> {
    match listener.protocol() {
        Protocol::Udp => unconstrained(datagrams(service, &listener.into_udp()?)).await,
        Protocol::Tcp => unconstrained(connections(service, &listener.into_tcp()?)).await,
    }
}

async fn datagrams(service: &Service, socket: &UdpSocket) -> io::Result<()> {
    // One byte more, to tell a message that is too long from one that just fits.
    let mut buffer = vec![0; QUESTION + 1];
    let mut asking = Crowd::new(OUTSTANDING);
    let mut turn = Turn::default();
    loop {
        turn.over().await;
        let arrival = socket.recv_from(&mut buffer);
        // An error is that of an earlier answer.
        let Ok((length, client)) = asking.until(arrival, drop).await else {
            continue;
        };
        if length > QUESTION {
            continue;
        }
        let message = &buffer[..length];
        match service.react(message) {
            Reaction::Silence => {}
            Reaction::Answer(known) => send(socket, message, &known, client),
            Reaction::Ask(query) if asking.is_full() => {
                let refusal = answer::failure(&query, Code::ServerFailure);
                send(socket, message, &refusal, client);
            }
            Reaction::Ask(_) => {
                let message = message.to_vec();
                asking.push(async move {
                    let response = service.ask(&message, Way::Datagram).await;
                    send(socket, &message, &response, client);
                });
            }
        }
    }
}

/// Sends what fits the client's datagrams. If the socket is full, it is lost: clients ask
/// again.
fn send(socket: &UdpSocket, message: &[u8], response: &[u8], client: SocketAddr) {
    let flags = rustix::net::SendFlags::DONTWAIT;
    let _ = match Query::parse(message) {
        Ok(query) if response.len() > query.datagram() => {
            let cut = answer::truncated(&query, response);
            rustix::net::sendto(socket, &cut, flags, &client)
        }
        _ => rustix::net::sendto(socket, response, flags, &client),
    };
}

async fn connections(service: &Service, listener: &TcpListener) -> io::Result<()> {
    let mut open = Crowd::new(CONNECTIONS);
    let mut turn = Turn::default();
    loop {
        turn.over().await;
        open.room(drop).await;
        match open.until(listener.accept(), drop).await {
            Ok((client, _)) => open.push(converse(service, client)),
            Err(error) if is_scarcity(&error) => open.until(sleep(SCARCE), drop).await,
            Err(_) => {}
        }
    }
}

/// Question after question, until the client has no more or makes a mistake.
async fn converse(service: &Service, mut client: TcpStream) {
    let mut turn = Turn::default();
    while let Ok(Ok(message)) = timeout(IDLE, read(&mut client)).await {
        let response = match service.react(&message) {
            Reaction::Silence => return,
            Reaction::Answer(known) => known,
            Reaction::Ask(_) => service.ask(&message, Way::Stream).await,
        };
        let Ok(Ok(())) = timeout(IDLE, ask::write(&mut client, &response)).await else {
            return;
        };
        turn.over().await;
    }
}

async fn read(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(client.read_u16().await?);
    if length > QUESTION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    client.read_exact(&mut message).await?;
    Ok(message)
}
