//! Router advertisements (RFC 4861) for one host on one link, with its name servers
//! (RFC 8106), and the same told to a host that asks by DHCPv6 instead (RFC 8415).
//!
//! As with [`crate::dhcp`], raw frames of the link are served, and there is nothing to
//! remember.

mod information;
mod message;
mod plan;
mod responder;

pub use plan::RaPlan;
pub use responder::Responder;

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::mac::MacAddr;
use crate::packet::{self, Channel, PacketSocket};

/// Bounds of RFC 4861, section 6.2.1, for the time between advertisements that nobody
/// asked for; some clients wait for one rather than ask.
const OFTENEST: Duration = Duration::from_secs(4);
const RAREST: Duration = Duration::from_secs(600);

/// A router that advertises itself to one host.
#[derive(Debug)]
pub struct Advertiser {
    link: u32,
    client: MacAddr,
    responder: Responder,
    period: Duration,
}

impl Advertiser {
    /// An advertiser on the link number `link` of the calling thread's namespace, for
    /// `client` alone: the peer of the link, or of a bridge that the link is a port of.
    ///
    /// # Errors
    /// If there is no such link.
    pub fn open(link: u32, client: MacAddr, plan: &RaPlan) -> Result<Self> {
        packet::check_link(link)?;
        Ok(Self {
            link,
            client,
            responder: Responder::new(client, plan),
            period: (plan.lifetime / 3).clamp(OFTENEST, RAREST),
        })
    }

    /// Advertises for ever: at once, in intervals, and when asked, from a tenth of a second
    /// on, so that a client that is gone by then costs nothing. The work that a client
    /// causes is bounded, whatever it sends.
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
        let socket = PacketSocket::open(self.link, &Filter::router(self.client));
        match socket.and_then(PacketSocket::watch) {
            Ok(channel) => advertise(channel, &self.responder, self.period).await,
            Err(error) => error,
        }
    }
}

async fn advertise(mut channel: Channel, responder: &Responder, period: Duration) -> Error {
    let mut next = Instant::now();
    loop {
        match timeout_at(next, channel.receive()).await {
            Ok(Ok(frame)) => {
                if let Some(answer) = responder.answer(frame) {
                    channel.send(&answer);
                }
            }
            Ok(Err(error)) => return error,
            Err(_elapsed) => {
                channel.send(responder.unsolicited());
                next = Instant::now() + period;
            }
        }
    }
}
