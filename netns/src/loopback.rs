//! Addresses on a namespace's loopback: they stay whatever becomes of its links.

use std::net::IpAddr;

use nix::errno::Errno;
use rtnetlink::Handle;
use rtnetlink::packet_route::address::AddressScope;

use crate::error::{Error, Result};
use crate::link::LOOPBACK_INDEX;

/// Adds an address that is of this namespace alone: with the scope of a host, it is the
/// source of nothing that leaves. One that is there already is no failure.
pub(crate) async fn add_address(net: &Handle, address: IpAddr) -> Result<()> {
    let length = if address.is_ipv4() { 32 } else { 128 };
    let mut request = net.address().add(LOOPBACK_INDEX, address, length);
    request.message_mut().header.scope = AddressScope::Host;
    let added = request.execute().await;
    let added = added.map_err(|e| Error::netlink(format!("add address {address} to lo"), &e));
    match added {
        Err(e) if e.errno() == Some(Errno::EEXIST) => Ok(()),
        other => other,
    }
}
