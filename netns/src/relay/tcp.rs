//! Connections of TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::pipe::Pipes;
use super::{Limits, Relay, Target, is_scarcity};
use crate::crowd::{Crowd, Turn};

/// How long to wait for descriptors or memory that others give back.
const SCARCE: Duration = Duration::from_millis(100);

pub(super) async fn serve(relay: Relay) -> io::Result<()> {
    let (target, limits) = (&relay.target, &relay.limits);
    let listener = relay.listener.into_tcp()?;
    let pipes = Pipes::default();
    let mut connections = Crowd::new(limits.peers);
    let mut turn = Turn::default();
    loop {
        turn.over().await;
        connections.room(drop).await;
        let client = connections.until(accept(&listener), drop).await?;
        connections.push(connection(client, target, limits, &pipes));
    }
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    loop {
        match listener.accept().await {
            Ok((client, _)) => return Ok(client),
            Err(error) if is_scarcity(&error) => sleep(SCARCE).await,
            // accept(2): errors of the connection, such as a peer that has gone. Others have
            // their turn even if it is one that stays, such as a refusal by policy.
            Err(_) => yield_now().await,
        }
    }
}

/// Both directions, each until its own end. An error on one side resets both: a peer
/// must not take half of a transfer for the whole.
async fn connection(client: TcpStream, target: &Target, limits: &Limits, pipes: &Pipes) {
    let service = match timeout(limits.connect, connect(target)).await {
        Ok(Ok(service)) => service,
        Ok(Err(_)) | Err(_) => return reset(&client),
    };
    prepare(&client);
    prepare(&service);
    let there = pipes.pump(&client, &service);
    let back = pipes.pump(&service, &client);
    if try_join(there, back).await.is_err() {
        reset(&client);
        reset(&service);
    }
}

async fn connect(target: &Target) -> io::Result<TcpStream> {
    let socket = target.place.open(|| match target.address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    });
    socket?.connect(target.address).await
}

/// A relay must not hold back small writes, and must notice a peer that has vanished.
/// A failure says that it has.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
}

/// Has the peer see a reset when the connection is dropped.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
