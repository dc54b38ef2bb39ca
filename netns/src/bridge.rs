//! Bridges that several links of several owners share: made by the first that needs one, gone
//! with the last. The ports are the count, which the kernel keeps whoever is killed; those who
//! make and remove must exclude each other by a lock.

use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::packet_route::link::InfoKind;
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder};

use crate::error::{Error, Result};
use crate::guard;
use crate::link::{add_address, delete};
use crate::mac::MacAddr;
use crate::name::IfName;
use crate::owner::RETIRED;
use crate::query::{self, Link};

/// A bridge to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgePlan {
    /// Its name.
    pub name: IfName,
    /// Its Ethernet address, which would otherwise be that of one of its ports, and change.
    pub mac: MacAddr,
}

/// Makes the bridge, up, unless there is one of that name; tells whether it was made.
pub(crate) async fn ensure(net: &Handle, plan: &BridgePlan) -> Result<bool> {
    let name = &plan.name;
    let message = LinkMessageBuilder::<LinkBridge>::new_with_info_kind(InfoKind::Bridge)
        .name(name.as_str())
        .address(plan.mac.octets().to_vec())
        .up()
        .build();
    let made = net.link().add(message).execute().await;
    let made = match made.map_err(|e| Error::netlink(format!("create bridge {name}"), &e)) {
        Ok(()) => true,
        Err(e) if e.errno() == Some(Errno::EEXIST) => false,
        Err(e) => return Err(e),
    };
    if made {
        guard::ignore_routers(name)?;
    }
    let link = query::link(net, name).await?;
    match link {
        Some(link) if link.is_bridge => Ok(made),
        Some(_) => Err(Error::other(
            format!("use bridge {name}"),
            "a link of that name is no bridge",
        )),
        None => Err(Error::missing(format!("use bridge {name}"))),
    }
}

/// Gives the bridge those of the addresses that it has not.
pub(crate) async fn address(net: &Handle, name: &IfName, addresses: &[IpNet]) -> Result<()> {
    let Some(link) = query::link(net, name).await? else {
        return Err(Error::missing(format!("use bridge {name}")));
    };
    for address in addresses {
        match add_address(net, name, link.index, *address).await {
            Err(e) if e.errno() == Some(Errno::EEXIST) => {}
            other => other?,
        }
    }
    Ok(())
}

/// Deletes the bridge if no link but retired ones is in it; tells whether it did.
pub(crate) async fn delete_unused(net: &Handle, name: &IfName) -> Result<bool> {
    let found = query::link(net, name).await?;
    let Some(bridge) = found.filter(|link| link.is_bridge) else {
        return Ok(false);
    };
    if !ports(net, name).await?.is_empty() {
        return Ok(false);
    }
    delete(net, bridge.index).await.map(|()| true)
}

/// The links in a bridge but retired ones.
pub(crate) async fn ports(net: &Handle, name: &IfName) -> Result<Vec<Link>> {
    let Some(bridge) = query::link(net, name).await? else {
        return Ok(Vec::new());
    };
    let mut links = query::links(net).await?;
    links.retain(|link| link.controller == Some(bridge.index) && !link.name.starts_with(RETIRED));
    Ok(links)
}
