//! Router advertisements (RFC 4861, section 4.2) as octets, and solicitations.

use std::time::Duration;

use super::plan::RaPlan;
use crate::domain;

pub(super) const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;

const SOURCE_LINK: u8 = 1;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
/// RFC 8106, as is the next.
const DNS: u8 = 25;
const SEARCH: u8 = 31;

const ON_LINK: u8 = 0x80;
const AUTOCONF: u8 = 0x40;
const FOREVER: [u8; 4] = [0xff; 4];
/// What the shortest MTU of IPv6 leaves for a message.
const MESSAGE_MAX: usize = 1280 - 40;
/// What a host puts into the packets that it sends.
const HOP_LIMIT: u8 = 64;

/// A solicitation is a header of 8 octets and well-formed options, the sender's link
/// address among them only if it has an address (RFC 4861, section 6.1.1).
pub(super) fn is_solicitation(message: &[u8], from_an_address: bool) -> bool {
    let Some((header, mut rest)) = message.split_first_chunk::<8>() else {
        return false;
    };
    if header[..2] != [SOLICITATION, 0] {
        return false;
    }
    while let [code, length, ..] = *rest {
        let whole = rest.split_at_checked(usize::from(length) * 8);
        match whole {
            Some((option, behind)) if !option.is_empty() => rest = behind,
            _ => return false,
        }
        if code == SOURCE_LINK && !from_an_address {
            return false;
        }
    }
    rest.is_empty()
}

/// The advertisement, without its checksum.
pub(super) fn advertisement(plan: &RaPlan) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, HOP_LIMIT, 0];
    message.extend(seconds_16(plan.lifetime).to_be_bytes());
    // Reachability and its timer: as the host has them.
    message.extend([0; 8]);
    option(&mut message, SOURCE_LINK, &plan.router_mac.octets());
    if let Some(mtu) = plan.mtu {
        option(
            &mut message,
            MTU,
            &[&[0; 2][..], &mtu.to_be_bytes()].concat(),
        );
    }
    option(&mut message, PREFIX, &prefix(plan));
    let dns: Vec<u8> = plan
        .dns
        .iter()
        .flat_map(std::net::Ipv6Addr::octets)
        .collect();
    option_with_lifetime(&mut message, DNS, &dns);
    option_with_lifetime(&mut message, SEARCH, &domain::list(&plan.search));
    message
}

fn prefix(plan: &RaPlan) -> Vec<u8> {
    let autoconf = if plan.autoconf { AUTOCONF } else { 0 };
    let mut value = vec![plan.prefix.prefix_len(), ON_LINK | autoconf];
    value.extend(FOREVER);
    value.extend(FOREVER);
    value.extend([0; 4]);
    value.extend(plan.prefix.network().octets());
    value
}

/// Name servers and domains last as long as the link, as its prefix does.
fn option_with_lifetime(message: &mut Vec<u8>, code: u8, value: &[u8]) {
    if !value.is_empty() {
        option(message, code, &[&[0; 2][..], &FOREVER, value].concat());
    }
}

/// Appends an option, filled up to a multiple of eight octets. One that is too long for
/// its length octet, or for a packet that every link carries, is left out.
fn option(message: &mut Vec<u8>, code: u8, value: &[u8]) {
    let length = (value.len() + 2).next_multiple_of(8);
    let end = message.len() + length;
    if let Ok(eights) = u8::try_from(length / 8)
        && end <= MESSAGE_MAX
    {
        message.extend([code, eights]);
        message.extend(value);
        message.resize(end, 0);
    }
}

fn seconds_16(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}
