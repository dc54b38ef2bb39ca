//! Links that are there already and are lent to another namespace.
//!
//! A link of hardware outlives its namespace: the kernel gives it to the host's first one, under
//! the name that it has then. The tag in its alias tells whose it was. Others die with it.

use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::{Handle, LinkUnspec};

use crate::error::{Error, Result};
use crate::inside::Setup;
use crate::link::set;
use crate::name::IfName;
use crate::query::{self, Link};

/// A link to be lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovePlan {
    /// Its name here.
    pub name: IfName,
    /// Its name there.
    pub inside_name: IfName,
    /// The text in its alias until it is back, at most 255 bytes.
    pub tag: String,
    /// What it gets there.
    pub inside: Setup,
}

/// A link that was lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its name here.
    pub name: IfName,
    /// The text in its alias.
    pub tag: String,
    /// The alias that it had before.
    pub alias: String,
}

/// Moves the link into `target`. If it cannot be moved, it stays as it was.
pub(crate) async fn lend(net: &Handle, target: BorrowedFd<'_>, plan: &MovePlan) -> Result<()> {
    let name = &plan.name;
    let what = || format!("move link {name}");
    let Some(link) = query::link(net, name).await? else {
        return Err(Error::missing(what()));
    };
    mark(net, &link, &plan.tag).await?;
    let message = LinkUnspec::new_with_index(link.index)
        .setns_by_fd(target.as_raw_fd())
        .name(plan.inside_name.as_str())
        .build();
    let moved = set(net, message, what).await;
    if moved.is_err() {
        // The failure to move it is what gets reported.
        let _ = mark(net, &link, link.alias.as_deref().unwrap_or_default()).await;
    }
    moved
}

/// The number of the link of that tag, inside.
pub(crate) async fn find(inside: &Handle, tag: &str) -> Result<Option<Link>> {
    let links = query::links(inside).await?;
    Ok(links
        .into_iter()
        .find(|link| link.alias.as_deref() == Some(tag)))
}

/// Moves the link `index` of the namespace `inside` into `home`, where it has its old name again.
pub(crate) async fn send_back(
    inside: &Handle,
    index: u32,
    name: &IfName,
    home: BorrowedFd<'_>,
) -> Result<()> {
    let message = LinkUnspec::new_with_index(index)
        .setns_by_fd(home.as_raw_fd())
        .name(name.as_str())
        .build();
    set(inside, message, || format!("give link {name} back")).await
}

/// Gives a link that is back its old name, and takes the tag off; tells whether it is here.
pub(crate) async fn restore(net: &Handle, moved: &Moved) -> Result<bool> {
    let Some(link) = find(net, &moved.tag).await? else {
        // As it is before it is lent, and after it was given back.
        return Ok(query::link(net, &moved.name).await?.is_some());
    };
    if link.name != moved.name.as_str() {
        let renamed = LinkUnspec::new_with_index(link.index)
            .down()
            .name(moved.name.as_str())
            .build();
        let (from, to) = (&link.name, &moved.name);
        set(net, renamed, || format!("rename link {from} to {to}")).await?;
    }
    mark(net, &link, &moved.alias).await.map(|()| true)
}

/// Gives a link that was sent back its old alias.
pub(crate) async fn untag(net: &Handle, moved: &Moved) -> Result<()> {
    match query::link(net, &moved.name).await? {
        Some(link) => mark(net, &link, &moved.alias).await,
        None => Err(Error::missing(format!("tag link {}", moved.name))),
    }
}

async fn mark(net: &Handle, link: &Link, text: &str) -> Result<()> {
    let tagged = LinkUnspec::new_with_index(link.index).alias(text).build();
    set(net, tagged, || format!("tag link {}", link.name)).await
}
