//! Virtual Ethernet pairs: one end here, the other inside another namespace.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::error::{Error, Result};
use crate::mac::MacAddr;
use crate::name::IfName;
use crate::query::{self, Link};
use crate::subnet::Addresses;

/// What names of retired links begin with; the link's index in hexadecimal follows, so
/// that even the largest index makes a name of 15 bytes that is no other link's.
pub(crate) const RETIRED: &str = "nsrun-x";

/// The kernel gives every namespace's loopback this index.
const LOOPBACK_INDEX: u32 = 1;

/// How a link is recognised as one's own before it is touched again: by its tag, or,
/// since the kernel sets a tag only after creation, by name and address if it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The name it was created with.
    pub name: IfName,
    /// The address it was created with.
    pub mac: MacAddr,
    /// The text in its alias, at most 255 bytes.
    pub tag: String,
}

impl Owner {
    fn owns(&self, link: &Link) -> bool {
        match &link.alias {
            Some(alias) => *alias == self.tag,
            None => link.name == self.name.as_str() && link.mac == Some(self.mac),
        }
    }
}

/// A pair to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VethPlan {
    /// The host end.
    pub host: Owner,
    /// The host end's full name, if [`Owner::name`] is a shortened one.
    pub altname: Option<String>,
    /// The other end's name inside its namespace.
    pub peer: IfName,
    /// The other end's Ethernet address.
    pub peer_mac: MacAddr,
    /// IPv4 addresses of both ends; the peer gets a default route to the host's. Without
    /// them the ends have the link-local IPv6 addresses that the kernel makes, no more.
    pub addresses: Option<Addresses>,
}

/// Makes the pair and sets up the host end. On failure nothing of it remains.
pub(crate) async fn create(net: &Handle, target: BorrowedFd<'_>, plan: &VethPlan) -> Result<()> {
    net.link()
        .add(pair(plan, target))
        .execute()
        .await
        .map_err(|e| Error::netlink(format!("create veth {}", plan.host.name), &e))?;
    let done = set_up_host_end(net, plan).await;
    if done.is_err() {
        undo(net, &plan.host).await;
    }
    done
}

/// The whole pair in one message: the peer comes into being inside its namespace, since
/// moving it there later would wait for an RCU grace period. The host end is up from the
/// start; the peer cannot be, because the kernel opens it before the ends are connected.
fn pair(plan: &VethPlan, target: BorrowedFd<'_>) -> LinkMessage {
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(plan.peer.as_str())
        .address(plan.peer_mac.octets().to_vec())
        .setns_by_fd(target.as_raw_fd())
        .build();
    LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(plan.host.name.as_str())
        .address(plan.host.mac.octets().to_vec())
        .up()
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build()
}

async fn set_up_host_end(net: &Handle, plan: &VethPlan) -> Result<()> {
    let name = &plan.host.name;
    let index = existing(net, name).await?.index;
    let tagged = LinkUnspec::new_with_index(index)
        .alias(&plan.host.tag)
        .build();
    set(net, tagged, || format!("tag link {name}")).await?;
    if let Some(altname) = &plan.altname {
        add_altname(net, index, altname).await?;
    }
    if let Some(Addresses { host, .. }) = plan.addresses {
        add_address(net, name, index, host).await?;
    }
    Ok(())
}

/// Sets up the end inside: loopback and peer up, address, default route.
pub(crate) async fn set_up_peer(inside: &Handle, plan: &VethPlan) -> Result<()> {
    loopback_up(inside).await?;
    let name = &plan.peer;
    let index = existing(inside, name).await?.index;
    let up = LinkUnspec::new_with_index(index).up().build();
    set(inside, up, || format!("bring link {name} up")).await?;
    if let Some(Addresses { host, peer }) = plan.addresses {
        add_address(inside, name, index, peer).await?;
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(host.addr())
            .output_interface(index)
            .build();
        let added = inside.route().add(route).execute().await;
        added.map_err(|e| Error::netlink(format!("add a default route by {name}"), &e))?;
    }
    Ok(())
}

/// Brings the namespace's loopback up; the kernel gives it 127.0.0.1 and ::1 then.
pub(crate) async fn loopback_up(net: &Handle) -> Result<()> {
    let up = LinkUnspec::new_with_index(LOOPBACK_INDEX).up().build();
    set(net, up, || "bring the loopback link up".to_owned()).await
}

/// Deletes what a failed creation left. The failure is what gets reported.
pub(crate) async fn undo(net: &Handle, owner: &Owner) {
    if let Ok(Some(link)) = query::link(net, &owner.name).await
        && owner.owns(&link)
    {
        let _ = net.link().del(link.index).execute().await;
    }
}

/// Retires every link of that owner; returns how many there were.
pub(crate) async fn retire_all(net: &Handle, owner: &Owner) -> Result<usize> {
    let mut links = match query::link(net, &owner.name).await? {
        Some(link) if owner.owns(&link) => vec![link],
        _ => query::links(net).await?,
    };
    links.retain(|link| owner.owns(link) && !link.name.starts_with(RETIRED));
    for link in &links {
        match retire(net, link).await {
            Err(e) if e.is_gone() => {}
            other => other?,
        }
    }
    Ok(links.len())
}

/// Frees the link's names and addresses at once and leaves the link itself to die with
/// the peer's namespace: deleting it would block for an RCU grace period.
async fn retire(net: &Handle, link: &Link) -> Result<()> {
    let Link { index, name, .. } = link;
    for address in query::ipv4_addresses(net, *index).await? {
        let deleted = net.address().del(address).execute().await;
        ignore(Errno::EADDRNOTAVAIL, deleted, || {
            format!("remove an address of link {name}")
        })?;
    }
    for altname in &link.altnames {
        let deleted = net
            .link()
            .property_del(*index)
            .alt_ifname(&[altname])
            .execute()
            .await;
        ignore(Errno::EINVAL, deleted, || {
            format!("remove alternative name {altname}")
        })?;
    }
    match rename(net, link, &format!("{RETIRED}{index:x}")).await {
        // Somebody has given the name to another link: then it has to take its time.
        Err(e) if e.errno() == Some(Errno::EEXIST) => delete(net, *index).await,
        other => other,
    }
}

/// Renames the link, taking it down first where the kernel (before 6.2) asks for that.
async fn rename(net: &Handle, link: &Link, to: &str) -> Result<()> {
    let Link { index, name, .. } = link;
    let what = || format!("rename link {name} to {to}");
    let renamed = || LinkUnspec::new_with_index(*index).name(to).build();
    match set(net, renamed(), what).await {
        Err(e) if e.errno() == Some(Errno::EBUSY) => {
            let down = LinkUnspec::new_with_index(*index).down().build();
            set(net, down, || format!("take link {name} down")).await?;
            set(net, renamed(), what).await
        }
        other => other,
    }
}

/// Deletes retired links whose tag begins with `tag_prefix`; returns how many. One that
/// is still there is dying, or its namespace is kept alive by a leaked descriptor.
pub(crate) async fn delete_retired(net: &Handle, tag_prefix: &str) -> Result<usize> {
    let tagged = |link: &Link| {
        link.alias
            .as_ref()
            .is_some_and(|a| a.starts_with(tag_prefix))
    };
    let mut links = query::links(net).await?;
    links.retain(|link| link.name.starts_with(RETIRED) && tagged(link));
    for link in &links {
        delete(net, link.index).await?;
    }
    Ok(links.len())
}

/// Deletes a link; one that is gone already is no failure.
pub(crate) async fn delete(net: &Handle, index: u32) -> Result<()> {
    let deleted = net.link().del(index).execute().await;
    ignore(Errno::ENODEV, deleted, || format!("delete link {index}"))
}

async fn existing(net: &Handle, name: &IfName) -> Result<Link> {
    let found = query::link(net, name).await?;
    found.ok_or_else(|| Error::other(format!("set up link {name}"), "it has disappeared"))
}

async fn set(net: &Handle, message: LinkMessage, what: impl Fn() -> String) -> Result<()> {
    let done = net.link().set(message).execute().await;
    done.map_err(|e| Error::netlink(what(), &e))
}

/// An alternative name serves people who look for the full one; a kernel before 5.5
/// without them, or a name taken, is no reason to fail.
async fn add_altname(net: &Handle, index: u32, altname: &str) -> Result<()> {
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

async fn add_address(
    net: &Handle,
    name: &IfName,
    index: u32,
    address: ipnet::Ipv4Net,
) -> Result<()> {
    let request = net
        .address()
        .add(index, address.addr().into(), address.prefix_len());
    let added = request.execute().await;
    added.map_err(|e| Error::netlink(format!("add address {address} to {name}"), &e))
}

fn ignore(
    harmless: Errno,
    result: std::result::Result<(), rtnetlink::Error>,
    what: impl FnOnce() -> String,
) -> Result<()> {
    match result.map_err(|e| Error::netlink(what(), &e)) {
        Err(e) if e.errno() == Some(harmless) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            name: "ve-web".parse().unwrap(),
            mac: MacAddr::from([2, 0, 0, 0, 0, 1]),
            tag: "t:web:1".to_owned(),
        }
    }

    fn link(name: &str, alias: Option<&str>, last_octet: u8) -> Link {
        Link {
            index: 7,
            name: name.to_owned(),
            alias: alias.map(str::to_owned),
            mac: Some(MacAddr::from([2, 0, 0, 0, 0, last_octet])),
            ..Link::default()
        }
    }

    #[test]
    fn a_tag_decides_whatever_the_name() {
        assert!(owner().owns(&link("renamed", Some("t:web:1"), 9)));
        assert!(!owner().owns(&link("ve-web", Some("t:web:2"), 1)));
    }

    #[test]
    fn without_a_tag_name_and_address_must_both_match() {
        assert!(owner().owns(&link("ve-web", None, 1)));
        assert!(!owner().owns(&link("ve-web", None, 2)));
        assert!(!owner().owns(&link("ve-other", None, 1)));
    }

    #[test]
    fn the_longest_retired_name_is_a_valid_one() {
        let name = format!("{RETIRED}{:x}", i32::MAX);
        assert!(name.parse::<IfName>().is_ok());
    }
}
