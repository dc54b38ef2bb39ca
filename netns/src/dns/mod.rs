//! A DNS forwarder whose clients are in one network namespace and whose servers are asked
//! from another.
//!
//! It answers for the names of a [`Zone`] and for `localhost`, and asks [`Servers`] for the
//! rest. It keeps nothing: what it forwards is forwarded as it came, under a number of its
//! own. All that it takes is bounded, whatever clients send.

mod answer;
mod ask;
mod outside;
mod query;
mod serve;
mod servers;
mod zone;

use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryFutureExt;

use crate::crowd::Crowd;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::relay::{Listener, Protocol};
use outside::Outside;

pub use servers::Servers;
pub use zone::{Names, Zone};

/// Port of name servers.
const PORT: u16 = 53;

/// An address for a forwarder on a namespace's loopback. It is not in 127.0.0.0/8: that
/// is the DHCP client's and nested containers' to refuse, and the lower 127.0.0.x are
/// those of resolvers that may run there. Nobody is given it by chance, because RFC 3927
/// keeps the first 256 addresses of 169.254.0.0/16 from hosts that choose one.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 53);

/// A forwarder with its sockets open.
#[derive(Debug)]
pub struct Forwarder {
    listeners: Vec<Listener>,
    zone: Zone,
    servers: Servers,
}

impl Forwarder {
    /// Takes port 53 of the addresses in `place`, over UDP and TCP. The addresses need
    /// not be there yet, and may come and go. What comes in by links that are there is
    /// dropped: the clients are processes of the namespace, and what it links to later.
    ///
    /// # Errors
    /// If the port is taken, or the namespace cannot be entered.
    pub fn open(place: &Place, addresses: &[IpAddr], zone: Zone, servers: Servers) -> Result<Self> {
        let outside = Outside::of(place).map_err(|e| Error::io("list links", &e))?;
        let mut listeners = Vec::new();
        for address in addresses {
            for protocol in [Protocol::Udp, Protocol::Tcp] {
                let address = (*address, PORT).into();
                let listener = Listener::open_unassigned(place, protocol, address)?;
                outside
                    .ignored_by(&listener)
                    .map_err(|e| Error::io(format!("attach a filter to {listener}"), &e))?;
                listeners.push(listener);
            }
        }
        Ok(Self {
            listeners,
            zone,
            servers,
        })
    }

    /// Answers until it is dropped, which closes all sockets. Servers are asked from the
    /// calling thread's namespace.
    ///
    /// # Errors
    /// If the sockets cannot be used with the current tokio runtime.
    pub async fn run(self) -> Result<()> {
        let service = serve::Service {
            zone: self.zone,
            asker: ask::Asker::new(self.servers),
        };
        let mut all = Crowd::new(usize::MAX);
        for listener in self.listeners {
            let described = listener.to_string();
            let end = serve::serve(&service, listener);
            all.push(end.map_err(move |e| Error::io(format!("answer on {described}"), &e)));
        }
        all.next().await
    }
}
