//! A DHCP server (RFC 2131) for one client on one link.
//!
//! It serves raw frames of that link, so that no port of the host is taken, and has
//! nothing to remember: the client's address is the same whenever it asks.

mod message;
mod offer;
mod options;
mod responder;

pub use offer::Offer;
pub use responder::Responder;

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::mac::MacAddr;
use crate::packet::PacketSocket;

/// A server of one client.
#[derive(Debug)]
pub struct Server {
    socket: PacketSocket,
    responder: Responder,
}

impl Server {
    /// A server on the link number `link` of the calling thread's namespace, for `client`
    /// alone: the peer of the link, or of a bridge that the link is a port of.
    ///
    /// # Errors
    /// If there is no such link, or the process lacks `CAP_NET_RAW`.
    pub fn open(link: u32, client: MacAddr, offer: Offer) -> Result<Self> {
        let socket = PacketSocket::open(link, &Filter::dhcp(client))?;
        let responder = Responder::new(socket.mac(), client, offer);
        Ok(Self { socket, responder })
    }

    /// Serves for ever. The work that the client causes is bounded, whatever it sends.
    ///
    /// # Errors
    /// Returns only if the socket fails. A link that goes down is no failure.
    ///
    /// # Panics
    /// Outside of a tokio runtime that has its I/O and time drivers enabled.
    pub async fn run(self) -> Error {
        let Self { socket, responder } = self;
        let mut channel = match socket.watch() {
            Ok(channel) => channel,
            Err(error) => return error,
        };
        loop {
            match channel.receive().await {
                Ok(frame) => {
                    if let Some(answer) = responder.answer(frame) {
                        channel.send(&answer);
                    }
                }
                Err(error) => return error,
            }
        }
    }
}
