//! Links, addresses and names for network namespaces. Knows nothing of containers:
//! a link carries whatever tag its creator gives it.
//!
//! The pure half ([`IfName`], [`MacAddr`], [`pick_subnet`]) decides; the acting half
//! ([`Net`]) speaks rtnetlink with one namespace.

mod bridge;
mod checksum;
mod crowd;
pub mod dhcp;
pub mod dns;
mod domain;
mod error;
mod filter;
pub mod forwarding;
mod guard;
mod inside;
mod ipv6;
mod link;
mod loopback;
mod mac;
mod moved;
mod name;
mod net;
pub mod nft;
mod owner;
mod pace;
mod packet;
mod place;
mod query;
pub mod ra;
pub mod relay;
mod rtnl;
mod stacked;
mod subnet;
mod udp;
mod ula;
mod veth;

pub use bridge::BridgePlan;
pub use error::{Error, Result};
pub use inside::Setup;
pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use mac::{End, HostId, InvalidMac, MacAddr};
pub use moved::{MovePlan, Moved};
pub use name::{IfName, InvalidIfName, veth_name};
pub use net::Net;
pub use owner::Owner;
pub use place::Place;
pub use query::Link;
pub use stacked::{StackedPlan, Stacking};
pub use subnet::{Addresses, pick_subnet, stable_seed};
pub use ula::pick_prefix;
pub use veth::VethPlan;
