//! What a client's message is answered with. No state and no system calls: the client
//! has one address, now and later.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::message::{self, Kind, Request, Wish};
use super::offer::Offer;
use super::options::{self, Writer};
use crate::mac::MacAddr;
use crate::udp::{Datagram, Endpoint, OVERHEAD};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// The packet that every client must take, in octets (RFC 2131, section 2).
const LEAST_PACKET: u16 = 576;

/// The shortest time for which a client may ask, lest it does nothing but renew.
const LEAST_LEASE: Duration = Duration::from_secs(60);

/// Answers one client from one [`Offer`].
#[derive(Clone, Debug)]
pub struct Responder {
    link: MacAddr,
    client: MacAddr,
    offer: Offer,
}

/// An answer before it is put into octets.
struct Reply {
    kind: Kind,
    /// The address given, and zero where none is.
    yours: Ipv4Addr,
    rapid_commit: bool,
}

impl Responder {
    /// Answers for `client` alone, from a link with the Ethernet address `link`.
    #[must_use]
    pub fn new(link: MacAddr, client: MacAddr, offer: Offer) -> Self {
        Self {
            link,
            client,
            offer,
        }
    }

    /// The frame that answers `frame`, or `None` if that is not the client's, cannot be
    /// read, or wants no answer.
    #[must_use]
    pub fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let datagram = Datagram::parse(frame)?;
        let for_us = datagram.to.port == SERVER_PORT && self.is_ours(datagram.to.address);
        if !for_us || datagram.from.mac != self.client {
            return None;
        }
        let request = Request::parse(datagram.payload)?;
        if request.client != self.client {
            return None;
        }
        let reply = self.decide(&request)?;
        let payload = self.write(&request, &reply);
        let datagram = Datagram {
            from: Endpoint {
                mac: self.link,
                address: self.offer.server,
                port: SERVER_PORT,
            },
            to: self.destination(&request, &reply),
            payload: &payload,
        };
        datagram.to_frame()
    }

    /// Whether this is an address at which clients look for this server.
    fn is_ours(&self, to: Ipv4Addr) -> bool {
        [
            Ipv4Addr::BROADCAST,
            self.offer.address.broadcast(),
            self.offer.server,
        ]
        .contains(&to)
    }

    /// RFC 2131, section 4.3.
    fn decide(&self, request: &Request) -> Option<Reply> {
        match request.wish {
            Wish::Discover if request.rapid_commit => Some(self.give(Kind::Ack, true)),
            Wish::Discover => Some(self.give(Kind::Offer, false)),
            Wish::Request => self.decide_request(request),
            Wish::Inform if is_host(request.current) => Some(Reply {
                kind: Kind::Ack,
                yours: Ipv4Addr::UNSPECIFIED,
                rapid_commit: false,
            }),
            // The address stays the client's: when it asks again, it gets it again.
            Wish::Inform | Wish::Decline | Wish::Release => None,
        }
    }

    /// A client that takes an offer names the server; one that boots again names only the
    /// address; one that renews has the address and names nothing.
    fn decide_request(&self, request: &Request) -> Option<Reply> {
        let elsewhere = request.server.is_some_and(|s| s != self.offer.server);
        if elsewhere {
            return None;
        }
        let has = Some(request.current).filter(|address| !address.is_unspecified());
        let mut named = request.requested.into_iter().chain(has).peekable();
        named.peek()?;
        if named.all(|address| address == self.offer.address.addr()) {
            return Some(self.give(Kind::Ack, false));
        }
        Some(Reply {
            kind: Kind::Nak,
            yours: Ipv4Addr::UNSPECIFIED,
            rapid_commit: false,
        })
    }

    fn give(&self, kind: Kind, rapid_commit: bool) -> Reply {
        Reply {
            kind,
            yours: self.offer.address.addr(),
            rapid_commit,
        }
    }

    /// RFC 2131, section 4.1. Where the Ethernet address could be either, it is the
    /// client's; a client that shares one with others asks for broadcasts.
    fn destination(&self, request: &Request, reply: &Reply) -> Endpoint {
        let known = is_host(request.current) && reply.kind != Kind::Nak;
        let (mac, address) = if known {
            (self.client, request.current)
        } else if request.wants_broadcast() {
            (MacAddr::from([0xff; 6]), Ipv4Addr::BROADCAST)
        } else if reply.kind == Kind::Nak {
            (self.client, Ipv4Addr::BROADCAST)
        } else {
            (self.client, reply.yours)
        };
        Endpoint {
            mac,
            address,
            port: CLIENT_PORT,
        }
    }

    fn write(&self, request: &Request, reply: &Reply) -> Vec<u8> {
        let current = match reply.kind {
            Kind::Ack => request.current,
            Kind::Offer | Kind::Nak => Ipv4Addr::UNSPECIFIED,
        };
        let mut message = message::reply_header(request, reply.yours, current);
        let mut writer = Writer::new(&mut message, self.longest(request));
        writer.put(options::MESSAGE_TYPE, &[reply.kind as u8]);
        writer.put(options::SERVER, &self.offer.server.octets());
        if let Some(id) = &request.client_id {
            writer.put(options::CLIENT_ID, id);
        }
        if reply.rapid_commit {
            writer.put_flag(options::RAPID_COMMIT);
        }
        if !reply.yours.is_unspecified() {
            self.write_times(request, &mut writer);
        }
        if reply.kind != Kind::Nak {
            self.offer.write(request.wanted.as_deref(), &mut writer);
        }
        writer.end();
        message::pad(&mut message);
        message
    }

    /// Lease, renewal at half of it, rebinding at seven eighths (RFC 2131, section 4.4.5).
    fn write_times(&self, request: &Request, writer: &mut Writer<'_>) {
        let offered = self.offer.lease;
        let asked = request.lease.map(|s| Duration::from_secs(s.into()));
        let lease = asked.map_or(offered, |asked| asked.max(LEAST_LEASE).min(offered));
        let seconds = u32::try_from(lease.as_secs()).unwrap_or(u32::MAX);
        let rebinding = seconds - seconds / 8;
        writer.put(options::LEASE_TIME, &seconds.to_be_bytes());
        writer.put(options::RENEWAL_TIME, &(seconds / 2).to_be_bytes());
        writer.put(options::REBINDING_TIME, &rebinding.to_be_bytes());
    }

    /// How long the message may be: a client's word counts as far as the link goes.
    fn longest(&self, request: &Request) -> usize {
        let link = self.offer.mtu.unwrap_or(1500).max(LEAST_PACKET);
        let packet = request.max_size.unwrap_or(LEAST_PACKET);
        usize::from(packet.clamp(LEAST_PACKET, link.min(1500))) - OVERHEAD
    }
}

/// Whether a host can have this address.
fn is_host(address: Ipv4Addr) -> bool {
    let other = address.is_unspecified()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_loopback();
    !other
}

#[cfg(test)]
mod tests;
