//! Flows that the kernel tracks. It asks for the way of a flow with its first packet only,
//! and UDP never says that a flow has ended: who goes on sending to a port would not
//! notice that it was published, or leads elsewhere now.

use std::collections::BTreeSet;

use super::rules::{Port, Protocol};
use super::socket::Socket;
use super::wire::{Family, Messages, Writer};

const IPCTNL_MSG_CT_DELETE: u16 = 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;

const CTA_FILTER: u16 = 25;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const CTA_FILTER_F_CTA_PROTO_NUM: u32 = 1 << 3;
const CTA_FILTER_F_CTA_PROTO_DST_PORT: u32 = 1 << 5;

/// Has the kernel forget the UDP flows that began with a packet to one of those ports of
/// this host. A kernel before 6.8 refuses, and such flows end when their senders pause.
pub(super) fn forget(socket: &Socket, ports: &[Port]) {
    let flows: BTreeSet<(bool, u16)> = ports
        .iter()
        .filter(|port| port.protocol == Protocol::Udp && !port.is_loopback())
        .map(|port| (port.target.is_ipv6(), port.host))
        .collect();
    for (v6, port) in flows {
        let family = if v6 { Family::Ipv6 } else { Family::Ipv4 };
        let mut message = Messages::default();
        message.add_conntrack(IPCTNL_MSG_CT_DELETE, family, |out| to_port(out, port));
        if socket.request(&message).is_err() {
            return;
        }
    }
}

fn to_port(out: &mut Writer<'_>, port: u16) {
    out.nest(CTA_TUPLE_ORIG, |tuple| {
        tuple.nest(CTA_TUPLE_PROTO, |flow| {
            flow.bytes(CTA_PROTO_NUM, &[Protocol::Udp.number()]);
            flow.bytes(CTA_PROTO_DST_PORT, &port.to_be_bytes());
        });
    });
    let compared = CTA_FILTER_F_CTA_PROTO_NUM | CTA_FILTER_F_CTA_PROTO_DST_PORT;
    out.nest(CTA_FILTER, |filter| {
        filter.bytes(CTA_FILTER_ORIG_FLAGS, &compared.to_ne_bytes());
        filter.bytes(CTA_FILTER_REPLY_FLAGS, &0_u32.to_ne_bytes());
    });
}
