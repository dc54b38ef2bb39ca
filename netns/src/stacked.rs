//! Links on top of another one: macvlan and ipvlan. They come into being inside their namespace,
//! and die with it.

use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::packet_route::link::{IpVlanMode, LinkMessage, MacVlanMode};
use rtnetlink::{Handle, LinkIpVlan, LinkMacVlan};

use crate::error::{Error, Result};
use crate::inside::Setup;
use crate::mac::MacAddr;
use crate::name::IfName;
use crate::query;

/// What kind of link it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stacking {
    /// With this Ethernet address of its own, in mode `bridge`.
    Macvlan(MacAddr),
    /// With the Ethernet address of the link below, in mode `l2`.
    Ipvlan,
}

impl Stacking {
    /// The kernel's name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }
}

/// A link to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackedPlan {
    /// Its kind.
    pub stacking: Stacking,
    /// The link below, which stays where it is.
    pub below: IfName,
    /// The new link's name inside its namespace.
    pub name: IfName,
    /// What the new link gets.
    pub inside: Setup,
}

/// Makes the link inside `target`.
pub(crate) async fn create(net: &Handle, target: BorrowedFd<'_>, plan: &StackedPlan) -> Result<()> {
    let (kind, name, below) = (plan.stacking.word(), &plan.name, &plan.below);
    let what = || format!("create {kind} {name} of {below}");
    let Some(lower) = query::link(net, below).await? else {
        return Err(Error::missing(what()));
    };
    let made = net.link().add(message(plan, lower.index, target));
    made.execute().await.map_err(|e| Error::netlink(what(), &e))
}

fn message(plan: &StackedPlan, below: u32, target: BorrowedFd<'_>) -> LinkMessage {
    let (name, target) = (plan.name.as_str(), target.as_raw_fd());
    match plan.stacking {
        Stacking::Macvlan(mac) => LinkMacVlan::new(name, below, MacVlanMode::Bridge)
            .address(mac.octets().to_vec())
            .setns_by_fd(target)
            .build(),
        Stacking::Ipvlan => LinkIpVlan::new(name, below, IpVlanMode::L2)
            .setns_by_fd(target)
            .build(),
    }
}
