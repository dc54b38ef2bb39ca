//! A machine's links: chosen, made while its payload waits, and taken away with it.

mod addresses;
mod attach;
mod cut;
mod descriptors;
mod filter;
mod forwarding;
mod leases;
mod lent;
mod names;
mod serve;
mod services;
mod shared;

use std::net::IpAddr;

use nsrun_netns::{Net, Owner};

pub(crate) use self::attach::{Machine, attach};
pub use self::cut::set_links_up;
use self::filter::Filter;
pub(crate) use self::filter::sweep as sweep_rules;
use self::forwarding::Forwarding;
pub use self::forwarding::put_back_forwarding;
use self::lent::Lent;
pub(crate) use self::lent::restore;
pub(crate) use self::services::Services;
use self::shared::Shared;
pub(crate) use self::shared::release;
use crate::error::{Error, Kind};
use crate::state::{Item, Turn};

/// All links of one run of a machine. Dropped, each is taken away: ends of pairs before the bridges
/// that they are in.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    /// Until the machine's record tells others in its zone which addresses it has.
    turn: Option<Turn>,
    services: Services,
    filter: Option<Filter>,
    forwarding: Option<Forwarding>,
    pairs: Vec<Pair>,
    lent: Vec<Lent>,
    shared: Vec<Shared>,
    /// The machine's addresses that nsrun has set, its first link's.
    addresses: Vec<IpAddr>,
    /// What does not work on this host.
    warnings: Vec<String>,
}

impl Attached {
    /// Name of the first link's end on the host.
    pub(crate) fn interface(&self) -> Option<String> {
        let first = self.pairs.first()?;
        Some(first.0.name.to_string())
    }

    /// The machine's addresses, as far as they are nsrun's choice or the user's.
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Lets others choose addresses: this machine's are published.
    pub(crate) fn end_turn(&mut self) {
        self.turn = None;
    }

    /// What is to be served while the payload runs.
    pub(crate) fn take_services(&mut self) -> Services {
        std::mem::take(&mut self.services)
    }

    /// What does not work on this host, for the user.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// How the list of residues has them, in the order in which they were noted.
    pub(crate) fn items(&self) -> Vec<Item> {
        let shared = self.shared.iter().map(Shared::item);
        let pairs = self.pairs.iter().map(|pair| Item::link(&pair.0));
        let lent = self.lent.iter().map(Lent::item);
        let rules = self
            .filter
            .iter()
            .map(|filter| Item::Rules { tag: filter.tag() });
        shared.chain(pairs).chain(lent).chain(rules).collect()
    }
}

/// The host's end of a pair; retired when dropped.
#[derive(Debug)]
struct Pair(Owner);

impl Drop for Pair {
    fn drop(&mut self) {
        // Left to die with the payload's namespace; a failure leaves it under its old name,
        // where the next start finds it by its tag.
        let _ = Net::new().and_then(|net| net.retire(&self.0));
    }
}

/// What a refusal of the kernel means, and what to do about it.
fn refusal(error: &nsrun_netns::Error) -> Error {
    use nix::errno::Errno;
    let told = |kind| Error::new(kind, error.to_string());
    match error.errno() {
        Some(Errno::EEXIST) => told(Kind::Busy).hint(
            "a link of that name exists: `ip link show` tells whose; another machine name gives \
             another link name",
        ),
        Some(Errno::ENODEV) => {
            told(Kind::NotFound).hint("`ip link show` tells which links there are")
        }
        Some(Errno::EOPNOTSUPP) => told(Kind::HostLacks)
            .hint("the kernel lacks this kind of link, or its module is not loaded"),
        _ => told(Kind::Failed),
    }
}
