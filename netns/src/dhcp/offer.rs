//! What a client is given.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::options::{self, Writer};
use crate::domain;

/// The options of a client that does not say which it wants, the more useful first.
const USUAL: [u8; 10] = [
    options::SUBNET_MASK,
    options::ROUTER,
    options::DNS,
    options::HOST_NAME,
    options::DOMAIN,
    options::SEARCH,
    options::MTU,
    options::BROADCAST,
    options::NTP,
    options::TIME_ZONE,
];

/// An address and all that a client is told with it.
///
/// Of a text that its option cannot carry, such as a search domain with an empty label,
/// the client is told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The address, with the prefix length of its subnet.
    pub address: Ipv4Net,
    /// The server's own address, which the client sends renewals to.
    pub server: Ipv4Addr,
    /// How long the address may be used before it must be asked for again. Whole seconds;
    /// a client that asks for less gets less, but not less than a minute.
    pub lease: Duration,
    /// The default gateway.
    pub router: Option<Ipv4Addr>,
    /// Name servers, the preferred first.
    pub dns: Vec<Ipv4Addr>,
    /// The client's own domain.
    pub domain: Option<String>,
    /// The domains in which it looks for names without a dot.
    pub search: Vec<String>,
    /// The client's own name.
    pub host_name: Option<String>,
    /// The longest packet of the link, in octets.
    pub mtu: Option<u16>,
    /// Time servers.
    pub ntp: Vec<Ipv4Addr>,
    /// The time zone's name, such as `Europe/Berlin`.
    pub timezone: Option<String>,
}

impl Offer {
    /// The lease that is usual for a server of one client: an hour.
    pub const USUAL_LEASE: Duration = Duration::from_secs(3600);

    /// An offer of an address alone.
    #[must_use]
    pub fn new(address: Ipv4Net, server: Ipv4Addr) -> Self {
        Self {
            address,
            server,
            lease: Self::USUAL_LEASE,
            router: None,
            dns: vec![],
            domain: None,
            search: vec![],
            host_name: None,
            mtu: None,
            ntp: vec![],
            timezone: None,
        }
    }

    /// Writes those of the options that the client wants, in its order and each once, as
    /// far as there is room. The subnet's mask comes first, as RFC 2132 has it.
    pub(super) fn write(&self, wanted: Option<&[u8]>, writer: &mut Writer<'_>) {
        let mut written = [false; 256];
        let wanted = wanted.unwrap_or(&USUAL);
        for &code in [options::SUBNET_MASK].iter().chain(wanted) {
            if !std::mem::replace(&mut written[usize::from(code)], true) {
                writer.put(code, &self.value(code));
            }
        }
    }

    /// The value of an option, empty if there is nothing to be told.
    fn value(&self, code: u8) -> Vec<u8> {
        match code {
            options::SUBNET_MASK => self.address.netmask().octets().to_vec(),
            options::BROADCAST if self.address.prefix_len() < 31 => {
                self.address.broadcast().octets().to_vec()
            }
            options::ROUTER => addresses(self.router.as_slice()),
            options::DNS => addresses(&self.dns),
            options::NTP => addresses(&self.ntp),
            options::MTU => self.mtu.map_or(vec![], |mtu| mtu.to_be_bytes().to_vec()),
            options::HOST_NAME => text(self.host_name.as_deref()),
            options::DOMAIN => text(self.domain.as_deref()),
            options::TIME_ZONE => text(self.timezone.as_deref()),
            options::SEARCH => domain::list(&self.search),
            _ => vec![],
        }
    }
}

fn addresses(all: &[Ipv4Addr]) -> Vec<u8> {
    all.iter().flat_map(Ipv4Addr::octets).collect()
}

/// The text, if one option can carry it.
fn text(value: Option<&str>) -> Vec<u8> {
    let value = value.filter(|text| text.len() <= 255 && !text.contains('\0'));
    value.unwrap_or_default().as_bytes().to_vec()
}
