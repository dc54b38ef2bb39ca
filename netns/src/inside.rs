//! What a link gets inside its namespace.

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::{Handle, LinkUnspec};

use crate::error::Result;
use crate::link::{add_address, add_default_route, existing, loopback_up, set};
use crate::name::IfName;

/// Addresses and routes of a link, and its size of packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Addresses with the length of their network's prefix.
    pub addresses: Vec<IpNet>,
    /// Where default routes lead.
    pub gateways: Vec<IpAddr>,
    /// Longest packet in bytes.
    pub mtu: Option<u32>,
}

/// Brings up loopback and the link of that name, and sets what the plan says.
pub(crate) async fn set_up(inside: &Handle, name: &IfName, setup: &Setup) -> Result<()> {
    loopback_up(inside).await?;
    let index = existing(inside, name).await?.index;
    let mut up = LinkUnspec::new_with_index(index).up();
    if let Some(mtu) = setup.mtu {
        up = up.mtu(mtu);
    }
    set(inside, up.build(), || format!("bring link {name} up")).await?;
    for address in &setup.addresses {
        add_address(inside, name, index, *address).await?;
    }
    for gateway in &setup.gateways {
        add_default_route(inside, name, index, *gateway).await?;
    }
    Ok(())
}
