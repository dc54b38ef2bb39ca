//! Links, addresses and names for network namespaces. Knows nothing of containers:
//! a link carries whatever tag its creator gives it.
//!
//! The pure half ([`IfName`], [`MacAddr`], [`pick_subnet`]) decides; the acting half
//! ([`Net`]) speaks rtnetlink with one namespace.

mod error;
pub mod forwarding;
mod mac;
mod name;
mod net;
pub mod nft;
mod query;
mod rtnl;
mod subnet;
mod veth;

pub use error::{Error, Result};
pub use ipnet::{IpNet, Ipv4Net};
pub use mac::{End, HostId, MacAddr};
pub use name::{IfName, InvalidIfName, veth_name};
pub use net::Net;
pub use query::Link;
pub use subnet::{Addresses, pick_subnet, stable_seed};
pub use veth::{Owner, VethPlan};
