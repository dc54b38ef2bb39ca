//! What a machine's supervisor serves on its links: addresses, names, ports. Sockets are opened
//! while the payload waits, so that what cannot be had is an error of the start.

use std::cell::RefCell;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use futures_util::future::{join_all, join4};
use nsrun_netns::dhcp::{Offer, Server};
use nsrun_netns::dns::{ADDRESS, Forwarder, Servers, Zone};
use nsrun_netns::ra::{Advertiser, RaPlan};
use nsrun_netns::relay::{self, Listener, Relay, Target};
use nsrun_netns::{Ipv4Net, Ipv6Net, MacAddr, Place};

use super::names::Names;
use crate::error::{Error, Kind, Result};
use crate::plan::network::{Publish, PublishHost, Transport};

/// The domain of machines' names.
pub(super) const DOMAIN: &str = "nsrun";

/// What the host's resolver uses; a host with a stub resolver has that one there.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A machine as services see it.
#[derive(Debug)]
pub(super) struct Client {
    /// Number of the host's end of its link.
    pub(super) link: u32,
    pub(super) mac: MacAddr,
    /// Its addresses, and those of the host opposite.
    pub(super) v4: Option<(Ipv4Net, Ipv4Addr)>,
    pub(super) v6: Option<(Ipv6Net, Ipv6Addr)>,
    /// Whose link-local address is the machine's router.
    pub(super) router_mac: MacAddr,
    /// Whether it may make itself an address of IPv6 beside: not if the user has chosen one.
    pub(super) autoconf: bool,
    pub(super) mtu: Option<u32>,
    pub(super) host_name: String,
    /// The user's name servers, in place of the forwarder.
    pub(super) dns: Vec<IpAddr>,
}

/// Services with their sockets open.
#[derive(Debug, Default)]
pub(crate) struct Services {
    dhcp: Option<Server>,
    routers: Option<Advertiser>,
    names: Option<Forwarder>,
    relays: Vec<Relay>,
}

impl Services {
    /// Serves until it is dropped, which closes all sockets. A service that fails is told and
    /// leaves the others alone; the machine keeps the addresses that it was given before it started.
    pub(crate) async fn run(self, tell: impl FnMut(String)) {
        let tell = RefCell::new(tell);
        let told = |error: &nsrun_netns::Error| (tell.borrow_mut())(error.to_string());
        let dhcp = async {
            if let Some(server) = self.dhcp {
                told(&server.run().await);
            }
        };
        let routers = async {
            if let Some(advertiser) = self.routers {
                told(&advertiser.run().await);
            }
        };
        let names = async {
            if let Some(forwarder) = self.names
                && let Err(error) = forwarder.run().await
            {
                told(&error);
            }
        };
        let relay = async |relay: Relay| {
            if let Err(error) = relay.run().await {
                told(&error);
            }
        };
        let relays = join_all(self.relays.into_iter().map(relay));
        join4(dhcp, routers, names, relays).await;
        pending::<()>().await;
    }

    /// Offers the machine the addresses that it has.
    pub(super) fn offer(&mut self, client: &Client) -> Result<()> {
        if let Some((address, router)) = client.v4 {
            let own = client.dns.is_empty().then(|| address.addr());
            let users = client.dns.iter().filter_map(|server| match server {
                IpAddr::V4(server) => Some(*server),
                IpAddr::V6(_) => None,
            });
            let offer = Offer {
                router: Some(router),
                dns: own.into_iter().chain(users).collect(),
                search: vec![DOMAIN.to_owned()],
                host_name: Some(client.host_name.clone()),
                mtu: client.mtu.and_then(|mtu| u16::try_from(mtu).ok()),
                ..Offer::new(address, router)
            };
            let server = Server::open(client.link, client.mac, offer);
            self.dhcp = Some(server.map_err(|error| failed(&error))?);
        }
        if let Some((prefix, _)) = client.v6 {
            let plan = RaPlan {
                mtu: client.mtu,
                autoconf: client.autoconf,
                ..RaPlan::new(client.router_mac, prefix.trunc())
            };
            let advertiser = Advertiser::open(client.link, client.mac, &plan);
            self.routers = Some(advertiser.map_err(|error| failed(&error))?);
        }
        Ok(())
    }

    /// Answers questions for names, inside: on an address of the machine's loopback, which is there
    /// whatever becomes of its link, and on its own, by which it is asked through the link.
    pub(super) fn resolve(&mut self, inside: &Place, own: &[IpAddr], names: Names) -> Result<()> {
        let mut addresses = vec![IpAddr::from(ADDRESS)];
        addresses.extend(own.iter().filter(|address| address.is_ipv4()));
        let zone = Zone {
            domain: DOMAIN.to_owned(),
            names: Box::new(names),
        };
        let forwarder =
            Forwarder::open(inside, &addresses, zone, Servers::File(RESOLV_CONF.into()));
        self.names = Some(forwarder.map_err(|error| failed(&error))?);
        Ok(())
    }

    /// Takes the host's ports. Packets to other addresses than those of loopback go by the kernel's
    /// rules before they come to these.
    pub(super) fn publish(&mut self, all: &[Publish], own: &[IpAddr]) -> Result<()> {
        for publish in all {
            for (host, machine) in publish.pairs() {
                let protocol = protocol(publish.protocol);
                let listener = match publish.address {
                    None => Listener::open_any(&Place::Here, protocol, host),
                    Some(address) => Listener::open(&Place::Here, protocol, (address, host).into()),
                };
                let listener = listener.map_err(|error| taken(&error, *publish))?;
                let wanted = publish.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
                let same = own.iter().find(|own| own.is_ipv4() == wanted.is_ipv4());
                let Some(address) = same.or(own.first()) else {
                    let what = format!("cannot publish port {publish}: the machine has no address");
                    return Err(Error::new(Kind::Usage, what));
                };
                self.relay(listener, Place::Here, (*address, machine).into());
            }
        }
        Ok(())
    }

    /// Lets the machine find ports of the host's loopback on its own.
    pub(super) fn publish_host(&mut self, all: &[PublishHost], inside: &Place) -> Result<()> {
        for publish in all {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, publish.port));
            // Loopback may not be up yet, and has no address until then.
            let listener = Listener::open_unassigned(inside, protocol(publish.protocol), address);
            self.relay(
                listener.map_err(|error| failed(&error))?,
                Place::Here,
                address,
            );
        }
        Ok(())
    }

    fn relay(&mut self, listener: Listener, place: Place, address: SocketAddr) {
        self.relays.push(Relay {
            listener,
            target: Target { place, address },
            limits: relay::Limits::default(),
        });
    }
}

fn protocol(transport: Transport) -> relay::Protocol {
    match transport {
        Transport::Tcp => relay::Protocol::Tcp,
        Transport::Udp => relay::Protocol::Udp,
    }
}

fn taken(error: &nsrun_netns::Error, publish: Publish) -> Error {
    let what = format!("cannot publish port {publish}: {error}");
    match error.errno() {
        Some(nix::errno::Errno::EADDRINUSE) => Error::new(Kind::Busy, what)
            .hint("`ss -lnptu` tells which program has it; another port: --port=OTHER:PORT"),
        Some(nix::errno::Errno::EADDRNOTAVAIL) => {
            Error::new(Kind::NotFound, what).hint("`ip address` tells which addresses the host has")
        }
        _ => Error::new(Kind::Failed, what),
    }
}

fn failed(error: &nsrun_netns::Error) -> Error {
    Error::new(Kind::Failed, error.to_string())
}
