//! DHCPv6 without addresses (RFC 8415, section 18.3.6): a host that asks for name servers
//! is told those which the advertisement has too.

use super::plan::RaPlan;
use crate::domain;
use crate::mac::MacAddr;

const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
const UDP_LEN: usize = 8;

const INFORMATION_REQUEST: u8 = 11;
const REPLY: u8 = 7;

const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const WANTED: u16 = 6;
const DNS: u16 = 23;
const SEARCH: u16 = 24;
/// Addresses, temporary ones, and prefixes: not to be asked for in such a request.
const LEASES: [u16; 3] = [3, 4, 25];

/// What the shortest MTU of IPv6 leaves for a message.
const MESSAGE_MAX: usize = 1280 - 40 - UDP_LEN;

/// The longest identifier (RFC 8415, section 11.1).
const ID_MAX: usize = 130;

/// The answers of a server that hands out no addresses.
#[derive(Clone, Debug)]
pub(super) struct Answerer {
    id: Vec<u8>,
    dns: Vec<u8>,
    search: Vec<u8>,
}

/// What there is to a request.
#[derive(Debug, Default)]
struct Request<'a> {
    transaction: [u8; 3],
    client: Option<&'a [u8]>,
    server: Option<&'a [u8]>,
    wanted: Option<&'a [u8]>,
}

impl Answerer {
    pub(super) fn new(plan: &RaPlan) -> Self {
        Self {
            id: link_id(plan.router_mac),
            dns: plan
                .dns
                .iter()
                .flat_map(std::net::Ipv6Addr::octets)
                .collect(),
            search: domain::list(&plan.search),
        }
    }

    /// The datagram that answers `datagram`, both with their UDP headers, the answer
    /// without its checksum.
    pub(super) fn answer(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let request = Request::parse(message(datagram)?)?;
        if request.server.is_some_and(|server| server != self.id) {
            return None;
        }
        let mut answer = vec![REPLY];
        answer.extend(request.transaction);
        if let Some(client) = request.client {
            put(&mut answer, CLIENT_ID, client);
        }
        put(&mut answer, SERVER_ID, &self.id);
        for (code, value) in [(DNS, &self.dns), (SEARCH, &self.search)] {
            if request.wants(code) && !value.is_empty() {
                put(&mut answer, code, value);
            }
        }
        let length = u16::try_from(UDP_LEN + answer.len()).ok()?;
        let header = [SERVER_PORT, CLIENT_PORT, length, 0];
        let header = header.into_iter().flat_map(u16::to_be_bytes);
        Some(header.chain(answer).collect())
    }
}

impl<'a> Request<'a> {
    fn parse(message: &'a [u8]) -> Option<Self> {
        let (&[INFORMATION_REQUEST, a, b, c], mut rest) = message.split_first_chunk::<4>()? else {
            return None;
        };
        let mut request = Self {
            transaction: [a, b, c],
            ..Self::default()
        };
        while !rest.is_empty() {
            let (&[code_0, code_1, length_0, length_1], behind) = rest.split_first_chunk::<4>()?;
            let code = u16::from_be_bytes([code_0, code_1]);
            let length = usize::from(u16::from_be_bytes([length_0, length_1]));
            let (value, behind) = behind.split_at_checked(length)?;
            rest = behind;
            match code {
                CLIENT_ID if value.len() > ID_MAX => return None,
                CLIENT_ID => request.client = Some(value),
                SERVER_ID => request.server = Some(value),
                WANTED => request.wanted = Some(value),
                code if LEASES.contains(&code) => return None,
                _ => {}
            }
        }
        Some(request)
    }

    /// Whether it asks for that option; one that asks for nothing in particular gets all.
    fn wants(&self, code: u16) -> bool {
        let codes = self.wanted.map(|wanted| wanted.as_chunks::<2>().0);
        codes.is_none_or(|codes| codes.contains(&code.to_be_bytes()))
    }
}

/// What the datagram carries, if it is for a server.
fn message(datagram: &[u8]) -> Option<&[u8]> {
    let (&[_, _, to_0, to_1, length_0, length_1, _, _], _) = datagram.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([length_0, length_1]));
    let message = datagram.get(UDP_LEN..length)?;
    (u16::from_be_bytes([to_0, to_1]) == SERVER_PORT).then_some(message)
}

/// The server's identifier: the kind that is an Ethernet address (DUID-LL).
fn link_id(mac: MacAddr) -> Vec<u8> {
    let (kind, ethernet) = (3_u16, 1_u16);
    [
        &kind.to_be_bytes()[..],
        &ethernet.to_be_bytes(),
        &mac.octets(),
    ]
    .concat()
}

/// Appends an option; one that is too long for a packet that every link carries is left
/// out.
fn put(message: &mut Vec<u8>, code: u16, value: &[u8]) {
    if let Ok(length) = u16::try_from(value.len())
        && message.len() + 4 + value.len() <= MESSAGE_MAX
    {
        message.extend(code.to_be_bytes());
        message.extend(length.to_be_bytes());
        message.extend(value);
    }
}
