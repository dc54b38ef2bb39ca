//! Ports that are relayed in user space: for peers that no rule of the kernel's can
//! redirect, such as those on loopback, and for services that listen in another namespace.
//!
//! A [`Listener`] is the port as its clients see it. It is a real one: who else has the
//! port is refused, and `ss` shows it. A [`Target`] is where to. Neither has to be in this
//! thread's namespace. The peer behind sees the relay's address and not the client's.

mod datagram;
mod listener;
mod pipe;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::unconstrained;

pub use listener::{Listener, Protocol};

use crate::error::{Error, Result};
use crate::place::Place;

/// Where a port is relayed to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The namespace that the connection begins in. Another than this thread's costs a
    /// short-lived thread for each connection.
    pub place: Place,
    /// The service.
    pub address: SocketAddr,
}

/// What one port may take of this process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections or flows at once. At the limit, connections wait in the kernel's queue,
    /// and a new flow takes the place of the one that was silent the longest. Each is two
    /// descriptors, one for UDP, and up to four more while it is transferring.
    pub peers: usize,
    /// How long a TCP connection may take to be made.
    pub connect: Duration,
    /// After what silence a UDP flow is forgotten.
    pub idle: Duration,
}

impl Default for Limits {
    /// 256 peers, 10 s to connect, and the two minutes that the kernel's connection
    /// tracking keeps a UDP stream (`nf_conntrack_udp_timeout_stream`).
    fn default() -> Self {
        Self {
            peers: 256,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(120),
        }
    }
}

/// A port that is about to be relayed.
#[derive(Debug)]
pub struct Relay {
    /// The port as its clients see it.
    pub listener: Listener,
    /// Where to.
    pub target: Target,
    /// How much at once.
    pub limits: Limits,
}

impl Relay {
    /// Relays until it is dropped, which closes the port and all connections. What a peer
    /// does wrong ends its connection alone.
    ///
    /// # Errors
    /// If the listener cannot be used with the current tokio runtime.
    pub async fn run(self) -> Result<()> {
        let described = self.listener.to_string();
        let end = match self.listener.protocol() {
            Protocol::Tcp => unconstrained(tcp::serve(self)).await,
            Protocol::Udp => unconstrained(udp::serve(self)).await,
        };
        end.map_err(|e| Error::io(format!("relay {described}"), &e))
    }
}

/// Whether the process or the kernel is out of something that others may give back.
pub(crate) fn is_scarcity(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(
        error.raw_os_error(),
        Some(EMFILE | ENFILE | ENOBUFS | ENOMEM)
    )
}
