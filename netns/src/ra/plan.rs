//! What a router advertises.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;

use crate::mac::MacAddr;

/// A router as it presents itself to the one host on its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaPlan {
    /// The router's link-local address, which must be one that it answers for: it becomes
    /// the host's gateway.
    pub router: Ipv6Addr,
    /// The Ethernet address that belongs to it.
    pub router_mac: MacAddr,
    /// The network that the host is directly attached to; a /64, if hosts are to make
    /// addresses in it.
    pub prefix: Ipv6Net,
    /// Whether hosts are to make themselves an address in the prefix. One made from the
    /// Ethernet address (see [`MacAddr::in_prefix`]) is then found again by a host that
    /// lost it, since IPv6 addresses do not outlive a link that goes down.
    pub autoconf: bool,
    /// How long the router is good as a gateway after an advertisement, up to 65535 s.
    /// Advertisements come three times as often. Zero for a router that is no gateway.
    pub lifetime: Duration,
    /// The longest packet of the link, in octets.
    pub mtu: Option<u32>,
    /// Name servers, the preferred first.
    pub dns: Vec<Ipv6Addr>,
    /// The domains in which the host looks for names without a dot. Texts that are no
    /// domain names are left out.
    pub search: Vec<String>,
}

impl RaPlan {
    /// The lifetime that RFC 4861 gives to routers: half an hour.
    pub const USUAL_LIFETIME: Duration = Duration::from_secs(1800);

    /// A gateway that is found by the link-local address which the kernel makes from the
    /// link's Ethernet address, and lets hosts make their own.
    #[must_use]
    pub fn new(router_mac: MacAddr, prefix: Ipv6Net) -> Self {
        Self {
            router: router_mac.link_local(),
            router_mac,
            prefix,
            autoconf: true,
            lifetime: Self::USUAL_LIFETIME,
            mtu: None,
            dns: vec![],
            search: vec![],
        }
    }
}
