//! What is known of machines on this host, and what of it is true right now.
//!
//! A machine runs while somebody holds the lock in its directory, and its processes are
//! found by descriptors that are compared with what the kernel says. The files beside
//! the lock are a convenience for people and a list of what to take away again; whatever
//! they claim is checked before it is acted on. `docs/state-format.md` describes them.

mod binds;
mod claim;
mod cleanup;
mod dir;
mod host;
mod journal;
mod machine;
mod moment;
mod record;
mod residue;
mod store;
#[cfg(test)]
mod tests;
mod turn;

pub use binds::Bind;
pub use claim::Claim;
pub use host::Host;
pub use machine::{Machine, State};
pub(crate) use moment::boot_id;
pub use moment::{Incarnation, Since};
pub use record::{Reading, Record};
pub use residue::Item;
pub use store::{Outcome, Store, Swept};
pub use turn::Turn;

pub use crate::sys::pidfd::{Identity, PidFd};

/// Directory of all machines below the run directory.
const MACHINES: &str = "machines";

/// Locked for as long as the machine runs.
const LOCK: &str = "lock";

/// The record of the machine.
const RECORD: &str = "state.json";

/// The list of what lies outside of the machine's directory.
const RESIDUE: &str = "residue";

/// What names of directories begin with that are being removed. No machine's name does.
const DEAD: &str = ".dead-";

/// What tags of links begin with.
pub(crate) const TAG: &str = "nsrun:";

/// What tags of links begin with that are the host's, and in a machine.
const LENT_TAG: &str = "nsrun-lent:";
