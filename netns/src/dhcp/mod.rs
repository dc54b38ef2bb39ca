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
use crate::packet::{self, Channel, PacketSocket};

/// A server of one client.
#[derive(Debug)]
pub struct Server {
    link: u32,
    client: MacAddr,
    offer: Offer,
}

impl Server {
    /// A server on the link number `link` of the calling thread's namespace, for `client`
    /// alone: the peer of the link, or of a bridge that the link is a port of.
    ///
    /// # Errors
    /// If there is no such link.
    pub fn open(link: u32, client: MacAddr, offer: Offer) -> Result<Self> {
        packet::check_link(link)?;
        Ok(Self {
            link,
            client,
            offer,
        })
    }

    /// Serves for ever, from a tenth of a second on: a client that is gone by then costs
    /// nothing. The work that a client causes is bounded, whatever it sends.
    ///
    /// To be run in the namespace that the link is in.
    ///
    /// # Errors
    /// Returns only if the socket fails, or cannot be opened, as without `CAP_NET_RAW`. A
    /// link that goes down is no failure.
    ///
    /// # Panics
    /// Outside of a tokio runtime that has its I/O and time drivers enabled.
    pub async fn run(self) -> Error {
        packet::settle().await;
        let socket = PacketSocket::open(self.link, &Filter::dhcp(self.client));
        let served = socket.map(|socket| {
            let responder = Responder::new(socket.mac(), self.client, self.offer);
            (socket, responder)
        });
        match served.and_then(|(socket, responder)| Ok((socket.watch()?, responder))) {
            Ok((channel, responder)) => serve(channel, &responder).await,
            Err(error) => error,
        }
    }
}

async fn serve(mut channel: Channel, responder: &Responder) -> Error {
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
