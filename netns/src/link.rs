//! Steps that all kinds of links have in common.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use crate::error::{Error, Result};
use crate::name::IfName;
use crate::query::{self, Link};

/// The kernel gives every namespace's loopback this index.
pub(crate) const LOOPBACK_INDEX: u32 = 1;

/// Brings the namespace's loopback up; the kernel gives it 127.0.0.1 and ::1 then.
pub(crate) async fn loopback_up(net: &Handle) -> Result<()> {
    let up = LinkUnspec::new_with_index(LOOPBACK_INDEX).up().build();
    set(net, up, || "bring the loopback link up".to_owned()).await
}

/// Takes a link up or down; one that is gone already is no failure.
pub(crate) async fn set_up(net: &Handle, index: u32, up: bool) -> Result<()> {
    let link = LinkUnspec::new_with_index(index);
    let link = match up {
        true => link.up(),
        false => link.down(),
    };
    let done = net.link().set(link.build()).execute().await;
    ignore(Errno::ENODEV, done, || {
        format!("take link {index} up or down")
    })
}

/// Deletes a link; one that is gone already is no failure.
pub(crate) async fn delete(net: &Handle, index: u32) -> Result<()> {
    let deleted = net.link().del(index).execute().await;
    ignore(Errno::ENODEV, deleted, || format!("delete link {index}"))
}

pub(crate) async fn existing(net: &Handle, name: &IfName) -> Result<Link> {
    let found = query::link(net, name).await?;
    found.ok_or_else(|| Error::other(format!("set up link {name}"), "it has disappeared"))
}

pub(crate) async fn set(
    net: &Handle,
    message: LinkMessage,
    what: impl Fn() -> String,
) -> Result<()> {
    let done = net.link().set(message).execute().await;
    done.map_err(|e| Error::netlink(what(), &e))
}

/// An alternative name serves people who look for the full one; a kernel before 5.5
/// without them, or a name taken, is no reason to fail.
pub(crate) async fn add_altname(net: &Handle, index: u32, altname: &str) -> Result<()> {
    const TOLERATED: [Errno; 3] = [Errno::EEXIST, Errno::EINVAL, Errno::EOPNOTSUPP];
    let added = net
        .link()
        .property_add(index)
        .alt_ifname(&[altname])
        .execute()
        .await;
    match added.map_err(|e| Error::netlink(format!("add alternative name {altname}"), &e)) {
        Err(e) if e.errno().is_some_and(|errno| TOLERATED.contains(&errno)) => Ok(()),
        other => other,
    }
}

/// Adds an address. One of IPv6 is used at once, without the second that the kernel asks the
/// neighbours for: whoever chose it knows that nobody has it.
pub(crate) async fn add_address(
    net: &Handle,
    name: &IfName,
    index: u32,
    address: IpNet,
) -> Result<()> {
    let mut request = net
        .address()
        .add(index, address.addr(), address.prefix_len());
    if address.addr().is_ipv6() {
        let message = request.message_mut();
        message.header.flags = AddressHeaderFlags::Nodad;
        let flags = AddressAttribute::Flags(AddressFlags::Nodad);
        message.attributes.push(flags);
    }
    let added = request.execute().await;
    added.map_err(|e| Error::netlink(format!("add address {address} to {name}"), &e))
}

/// Adds a default route by a gateway that the link reaches.
pub(crate) async fn add_default_route(
    net: &Handle,
    name: &IfName,
    index: u32,
    gateway: IpAddr,
) -> Result<()> {
    let route = match gateway {
        IpAddr::V4(gateway) => RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(gateway)
            .output_interface(index)
            .build(),
        IpAddr::V6(gateway) => RouteMessageBuilder::<Ipv6Addr>::new()
            .gateway(gateway)
            .output_interface(index)
            .build(),
    };
    let added = net.route().add(route).execute().await;
    added.map_err(|e| Error::netlink(format!("add a default route by {name}"), &e))
}

/// Takes a refusal for success that says that there was nothing to do.
pub(crate) fn ignore(
    harmless: Errno,
    result: std::result::Result<(), rtnetlink::Error>,
    what: impl FnOnce() -> String,
) -> Result<()> {
    match result.map_err(|e| Error::netlink(what(), &e)) {
        Err(e) if e.errno() == Some(harmless) => Ok(()),
        other => other,
    }
}
