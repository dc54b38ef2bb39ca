//! Whose a link is, and letting go of it.

use nix::errno::Errno;
use rtnetlink::{Handle, LinkUnspec};

use crate::error::Result;
use crate::link::{delete, ignore, set};
use crate::mac::MacAddr;
use crate::name::IfName;
use crate::query::{self, Link};

/// What names of retired links begin with; the link's index in hexadecimal follows, so
/// that even the largest index makes a name of 15 bytes that is no other link's.
pub(crate) const RETIRED: &str = "nsrun-x";

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
    pub(crate) fn owns(&self, link: &Link) -> bool {
        match &link.alias {
            Some(alias) => *alias == self.tag,
            None => link.name == self.name.as_str() && link.mac == Some(self.mac),
        }
    }
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
    for address in query::addresses(net, *index).await? {
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
    if link.controller.is_some() {
        // Not in the way of others in the bridge until it dies.
        let alone = LinkUnspec::new_with_index(*index).nocontroller().build();
        set(net, alone, || format!("take link {name} out of its bridge")).await?;
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
