//! DHCP messages (RFC 2131) as octets.

use std::net::Ipv4Addr;

use super::options::{self, Malformed, Options};
use crate::mac::MacAddr;

const BOOT_REQUEST: u8 = 1;
const BOOT_REPLY: u8 = 2;
const ETHERNET: [u8; 2] = [1, 6];
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const NAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;
const FIXED_LEN: usize = 236;
const OPTIONS_AT: usize = FIXED_LEN + COOKIE.len();

/// The shortest message that a BOOTP client takes (RFC 1542, section 2.1).
const LEAST_LEN: usize = 300;

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Discover,
    Request,
    Decline,
    Release,
    Inform,
}

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Offer = 2,
    Ack = 5,
    Nak = 6,
}

/// A client's message. What a relay would have added is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) wish: Wish,
    /// The number that the answer has to repeat.
    pub(crate) transaction: [u8; 4],
    /// To be repeated as well; see [`Request::wants_broadcast`].
    pub(crate) flags: [u8; 2],
    /// The address that the client has and answers for.
    pub(crate) current: Ipv4Addr,
    /// The Ethernet address that it asks for.
    pub(crate) client: MacAddr,
    /// The address that it would like, or was offered.
    pub(crate) requested: Option<Ipv4Addr>,
    /// The server whose offer it has taken.
    pub(crate) server: Option<Ipv4Addr>,
    /// The name that it gives itself; repeated in the answer (RFC 6842).
    pub(crate) client_id: Option<Vec<u8>>,
    /// The options that it asks for, in its order; `None` from a client that does not say.
    pub(crate) wanted: Option<Vec<u8>>,
    /// The time in seconds for which it would like the address.
    pub(crate) lease: Option<u32>,
    /// The longest packet that it takes, in octets.
    pub(crate) max_size: Option<u16>,
    /// Whether it takes an address without a second exchange (RFC 4039).
    pub(crate) rapid_commit: bool,
}

impl Request {
    /// Reads a message; `None` if it is none of a client on an Ethernet, or malformed in
    /// anything that an answer would rest on.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let (fixed, options) = message.split_at_checked(OPTIONS_AT)?;
        let ours = fixed.starts_with(&[BOOT_REQUEST]) && fixed.ends_with(&COOKIE);
        if !ours || fixed[1..3] != ETHERNET {
            return None;
        }
        let options = Options::read(options, &fixed[FILE], &fixed[NAME]);
        options.and_then(|o| Self::from_parts(fixed, &o)).ok()
    }

    fn from_parts(fixed: &[u8], options: &Options<'_>) -> Result<Self, Malformed> {
        let [kind] = options.fixed(options::MESSAGE_TYPE)?.ok_or(Malformed)?;
        let client_id = options.value(options::CLIENT_ID)?;
        if client_id.as_ref().is_some_and(|id| id.len() > 255) {
            return Err(Malformed);
        }
        Ok(Self {
            wish: wish(kind).ok_or(Malformed)?,
            transaction: octets(fixed, 4)?,
            flags: octets(fixed, 10)?,
            current: octets::<4>(fixed, 12)?.into(),
            client: octets::<6>(fixed, 28)?.into(),
            requested: options.address(options::REQUESTED_ADDRESS)?,
            server: options.address(options::SERVER)?,
            client_id,
            wanted: options.value(options::WANTED)?,
            lease: options.fixed(options::LEASE_TIME)?.map(u32::from_be_bytes),
            max_size: options.fixed(options::MAX_SIZE)?.map(u16::from_be_bytes),
            rapid_commit: options.fixed::<0>(options::RAPID_COMMIT)?.is_some(),
        })
    }

    /// Whether the client cannot yet take a packet for its own address.
    pub(crate) fn wants_broadcast(&self) -> bool {
        self.flags[0] & 0x80 != 0
    }
}

fn wish(kind: u8) -> Option<Wish> {
    match kind {
        1 => Some(Wish::Discover),
        3 => Some(Wish::Request),
        4 => Some(Wish::Decline),
        7 => Some(Wish::Release),
        8 => Some(Wish::Inform),
        _ => None,
    }
}

fn octets<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    let found = bytes
        .get(at..at + N)
        .and_then(|slice| slice.try_into().ok());
    found.ok_or(Malformed)
}

/// The fixed part of an answer, and the cookie that options follow.
pub(crate) fn reply_header(request: &Request, yours: Ipv4Addr, current: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0; FIXED_LEN];
    message[0] = BOOT_REPLY;
    message[1..3].copy_from_slice(&ETHERNET);
    message[4..8].copy_from_slice(&request.transaction);
    message[10..12].copy_from_slice(&request.flags);
    message[12..16].copy_from_slice(&current.octets());
    message[16..20].copy_from_slice(&yours.octets());
    message[28..34].copy_from_slice(&request.client.octets());
    message.extend(COOKIE);
    message
}

/// Fills the message up to the length that every client takes.
pub(crate) fn pad(message: &mut Vec<u8>) {
    if message.len() < LEAST_LEN {
        message.resize(LEAST_LEN, options::PAD);
    }
}
