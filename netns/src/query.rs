//! Reading what links, addresses and routes a namespace has.

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::Handle;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, Prop};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};

use crate::error::{Error, Result};
use crate::mac::MacAddr;
use crate::name::IfName;

/// A link as the kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Number within its namespace; never reused while the link lives.
    pub index: u32,
    /// The name. Text, since a foreign link may have one that [`IfName`] refuses.
    pub name: String,
    /// Alternative names.
    pub altnames: Vec<String>,
    /// The free text that its creator attached (`IFLA_IFALIAS`).
    pub alias: Option<String>,
    /// The Ethernet address, if it has one.
    pub mac: Option<MacAddr>,
    /// The number of the bridge or the like that it is a port of.
    pub controller: Option<u32>,
    /// Whether it is a bridge.
    pub is_bridge: bool,
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            ..Self::default()
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
                LinkAttribute::Address(octets) => {
                    link.mac = <[u8; 6]>::try_from(octets).ok().map(MacAddr::from);
                }
                LinkAttribute::Controller(index) => link.controller = Some(index),
                LinkAttribute::LinkInfo(info) => {
                    let bridge = LinkInfo::Kind(InfoKind::Bridge);
                    link.is_bridge = info.contains(&bridge);
                }
                LinkAttribute::PropList(props) => {
                    link.altnames.extend(props.into_iter().filter_map(altname));
                }
                _ => {}
            }
        }
        link
    }
}

fn altname(prop: Prop) -> Option<String> {
    match prop {
        Prop::AltIfName(name) => Some(name),
        _ => None,
    }
}

/// The link of that name, or `None`.
pub(crate) async fn link(net: &Handle, name: &IfName) -> Result<Option<Link>> {
    let found = net.link().get().match_name(name.as_str()).execute();
    match std::pin::pin!(found).try_next().await {
        Ok(message) => Ok(message.map(Link::from)),
        Err(e) => match Error::netlink(format!("look up link {name}"), &e) {
            e if e.is_gone() => Ok(None),
            e => Err(e),
        },
    }
}

/// All links.
pub(crate) async fn links(net: &Handle) -> Result<Vec<Link>> {
    let all = net.link().get().execute().map_ok(Link::from);
    all.try_collect()
        .await
        .map_err(|e| Error::netlink("list links", &e))
}

/// The addresses of the link but those of IPv6 that the kernel makes itself, as messages that can be
/// sent back to delete them.
pub(crate) async fn addresses(net: &Handle, index: u32) -> Result<Vec<AddressMessage>> {
    let all = net.address().get().set_link_index_filter(index).execute();
    all.try_filter(|message| std::future::ready(was_set(message)))
        .try_collect()
        .await
        .map_err(|e| Error::netlink(format!("list addresses of link {index}"), &e))
}

fn was_set(message: &AddressMessage) -> bool {
    match address_net(message) {
        Some(IpNet::V6(net)) => !net.addr().is_unicast_link_local(),
        Some(IpNet::V4(_)) => true,
        None => false,
    }
}

/// Every network that an address or a route of any table lies in, default routes left
/// out.
pub(crate) async fn used_networks(net: &Handle) -> Result<Vec<IpNet>> {
    let addresses: Vec<AddressMessage> = net
        .address()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(|e| Error::netlink("list addresses", &e))?;
    let routes: Vec<RouteMessage> = net
        .route()
        .get(RouteMessage::default())
        .execute()
        .try_collect()
        .await
        .map_err(|e| Error::netlink("list routes", &e))?;
    let attached = addresses.iter().filter_map(address_net);
    let routed = routes.iter().filter_map(route_net);
    Ok(attached.chain(routed).collect())
}

pub(crate) fn address_net(message: &AddressMessage) -> Option<IpNet> {
    let address = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })?;
    IpNet::new(address, message.header.prefix_len).ok()
}

fn route_net(message: &RouteMessage) -> Option<IpNet> {
    let length = message.header.destination_prefix_length;
    message.attributes.iter().find_map(|a| match a {
        RouteAttribute::Destination(RouteAddress::Inet(v4)) => {
            IpNet::new((*v4).into(), length).ok()
        }
        RouteAttribute::Destination(RouteAddress::Inet6(v6)) => {
            IpNet::new((*v6).into(), length).ok()
        }
        _ => None,
    })
}
