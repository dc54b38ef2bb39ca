//! What a host's solicitation or request is answered with. No state, no system calls.

use std::net::Ipv6Addr;

use super::information;
use super::message;
use super::plan::RaPlan;
use crate::ipv6::{Endpoint, ICMPV6, Packet, UDP};
use crate::mac::MacAddr;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ALL_DHCP_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// A packet that a router passed on has less.
const NOT_PASSED_ON: u8 = 255;
const HOP_LIMIT: u8 = 64;

/// Answers one host from one [`RaPlan`].
#[derive(Clone, Debug)]
pub struct Responder {
    client: MacAddr,
    router: Endpoint,
    advertisement: Vec<u8>,
    unsolicited: Vec<u8>,
    information: information::Answerer,
}

impl Responder {
    /// Answers `client` alone.
    #[must_use]
    pub fn new(client: MacAddr, plan: &RaPlan) -> Self {
        let mut responder = Self {
            client,
            router: Endpoint {
                mac: plan.router_mac,
                address: plan.router,
            },
            advertisement: message::advertisement(plan),
            unsolicited: vec![],
            information: information::Answerer::new(plan),
        };
        responder.unsolicited = responder.advertise(all_nodes()).unwrap_or_default();
        responder
    }

    /// The advertisement to whom it may concern.
    #[must_use]
    pub fn unsolicited(&self) -> &[u8] {
        &self.unsolicited
    }

    /// The frame that answers `frame`, or `None` if that is not the client's, cannot be
    /// read, or wants no answer.
    #[must_use]
    pub fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let packet = Packet::parse(frame)?;
        if packet.from.mac != self.client || packet.from.address.is_multicast() {
            return None;
        }
        match packet.protocol {
            ICMPV6 => self.answer_solicitation(&packet),
            UDP => self.answer_information_request(&packet),
            _ => None,
        }
    }

    /// To the host alone, if it has an address already: nobody else is concerned, and
    /// nobody else is woken (RFC 7772).
    fn answer_solicitation(&self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let from = packet.from;
        let has_address = !from.address.is_unspecified();
        let asked = [ALL_ROUTERS, self.router.address].contains(&packet.to.address)
            && packet.hop_limit == NOT_PASSED_ON
            && message::is_solicitation(packet.payload, has_address);
        if !asked {
            return None;
        }
        self.advertise(if has_address { from } else { all_nodes() })
    }

    fn advertise(&self, to: Endpoint) -> Option<Vec<u8>> {
        let packet = Packet {
            from: self.router,
            to,
            protocol: ICMPV6,
            hop_limit: NOT_PASSED_ON,
            payload: &self.advertisement,
        };
        packet.to_frame()
    }

    fn answer_information_request(&self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let asked = [ALL_DHCP_SERVERS, self.router.address].contains(&packet.to.address);
        if !asked || !packet.from.address.is_unicast_link_local() {
            return None;
        }
        let answer = Packet {
            from: self.router,
            to: packet.from,
            protocol: UDP,
            hop_limit: HOP_LIMIT,
            payload: &self.information.answer(packet.payload)?,
        };
        answer.to_frame()
    }
}

fn all_nodes() -> Endpoint {
    Endpoint {
        mac: ALL_NODES_MAC.into(),
        address: ALL_NODES,
    }
}

#[cfg(test)]
mod tests;
