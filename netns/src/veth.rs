//! Virtual Ethernet pairs: one end here, the other inside another namespace.

use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::error::{Error, Result};
use crate::guard;
use crate::inside::Setup;
use crate::link::{add_address, add_altname, existing, set};
use crate::mac::MacAddr;
use crate::name::IfName;
use crate::owner::{self, Owner};
use crate::query;

/// A pair to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VethPlan {
    /// The host end.
    pub host: Owner,
    /// The host end's full name, if [`Owner::name`] is a shortened one.
    pub altname: Option<String>,
    /// The bridge that the host end is a port of.
    pub bridge: Option<IfName>,
    /// Addresses of the host end.
    pub addresses: Vec<IpNet>,
    /// The other end's name inside its namespace.
    pub peer: IfName,
    /// The other end's Ethernet address.
    pub peer_mac: MacAddr,
    /// What the other end gets. Without addresses it has the link-local one of IPv6 that the
    /// kernel makes, no more.
    pub inside: Setup,
}

/// Makes the pair and sets up the host end. On failure nothing of it remains.
pub(crate) async fn create(net: &Handle, target: BorrowedFd<'_>, plan: &VethPlan) -> Result<()> {
    let bridge = match &plan.bridge {
        Some(name) => Some(bridge(net, name).await?),
        None => None,
    };
    net.link()
        .add(pair(plan, bridge, target))
        .execute()
        .await
        .map_err(|e| Error::netlink(format!("create veth {}", plan.host.name), &e))?;
    let done = set_up_host_end(net, plan).await;
    if done.is_err() {
        owner::undo(net, &plan.host).await;
    }
    done
}

async fn bridge(net: &Handle, name: &IfName) -> Result<u32> {
    match query::link(net, name).await? {
        Some(link) if link.is_bridge => Ok(link.index),
        Some(_) => Err(Error::other(
            format!("join bridge {name}"),
            "it is no bridge",
        )),
        None => Err(Error::missing(format!("join bridge {name}"))),
    }
}

/// The whole pair in one message: the peer comes into being inside its namespace, since
/// moving it there later would wait for an RCU grace period. The host end is up from the
/// start; the peer cannot be, because the kernel opens it before the ends are connected.
fn pair(plan: &VethPlan, bridge: Option<u32>, target: BorrowedFd<'_>) -> LinkMessage {
    let mut peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(plan.peer.as_str())
        .address(plan.peer_mac.octets().to_vec())
        .setns_by_fd(target.as_raw_fd());
    let mut host = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(plan.host.name.as_str())
        .address(plan.host.mac.octets().to_vec())
        .up();
    if let Some(bridge) = bridge {
        host = host.controller(bridge);
    }
    if let Some(mtu) = plan.inside.mtu {
        peer = peer.mtu(mtu);
        host = host.mtu(mtu);
    }
    host.set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
        .build()
}

async fn set_up_host_end(net: &Handle, plan: &VethPlan) -> Result<()> {
    let name = &plan.host.name;
    guard::ignore_routers(name)?;
    let index = existing(net, name).await?.index;
    let tagged = LinkUnspec::new_with_index(index)
        .alias(&plan.host.tag)
        .build();
    set(net, tagged, || format!("tag link {name}")).await?;
    if let Some(altname) = &plan.altname {
        add_altname(net, index, altname).await?;
    }
    for address in &plan.addresses {
        add_address(net, name, index, *address).await?;
    }
    Ok(())
}

/// Has the kernel (since 6.8) act on what happened to the carriers of port and bridge, in this
/// order. It would do so by itself, but within a second: a bridge sends nothing until then.
pub(crate) async fn settle(net: &Handle, names: [&IfName; 2]) -> Result<()> {
    for name in names {
        query::link(net, name).await?;
    }
    Ok(())
}
