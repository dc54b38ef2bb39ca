//! What is known of machines: records, checked against the kernel.

mod console;
mod detail;
mod process;
mod release;
mod sample;
mod text;

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

pub use self::detail::{Detail, Look, Manager, Unit, status};
pub use self::process::{Branch, Process};
pub use self::release::Release;
pub use self::sample::{Sample, Sampler, Samples};
use super::host::Cgroups;
use crate::dirs::Dirs;
use crate::enabled;
use crate::error::{Error, Result};
use crate::facts::ImageRoot;
use crate::name::MachineName;
use crate::state::{Machine, PidFd, State, Store};

/// A machine in one row.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its name.
    pub name: MachineName,
    /// What kind of machine it is.
    pub class: String,
    /// What it does.
    pub state: State,
    /// Its operating system.
    #[serde(flatten)]
    pub release: Release,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It starts when the host boots.
    pub enabled: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Listing {
    /// The machines that have not gone without a trace, in the order of their names.
    pub machines: Vec<Summary>,
    /// Why others cannot be shown.
    pub problems: Vec<Error>,
}

/// Looks at all machines. One that cannot be looked at does not hide the others.
///
/// # Errors
/// If the state directory cannot be used.
pub fn list(dirs: &Dirs) -> Result<Listing> {
    let store = Store::new(dirs, Arc::new(Cgroups::probe()?));
    let mut listing = Listing::default();
    for machine in store.list()? {
        match machine.and_then(|machine| summary(dirs, &machine)) {
            Ok((row, _)) if row.state == State::Dead => {}
            Ok((row, _)) => listing.machines.push(row),
            Err(error) => listing.problems.push(error),
        }
    }
    Ok(listing)
}

/// The row of a machine, and what was opened for it.
fn summary(dirs: &Dirs, machine: &Machine) -> Result<(Summary, Option<Inside>)> {
    let record = machine.record();
    let leader = machine.leader()?;
    let state = machine.state_by(leader.as_ref())?;
    let inside = leader.and_then(Inside::open);
    let summary = Summary {
        name: machine.name().clone(),
        class: record
            .map(|record| record.class.clone())
            .unwrap_or_default(),
        state,
        release: inside
            .as_ref()
            .map(|inside| Release::look(&inside.root))
            .unwrap_or_default(),
        addresses: record
            .map(|record| record.addresses.clone())
            .unwrap_or_default(),
        enabled: enabled::is_enabled(dirs, machine.name()),
    };
    Ok((summary, inside))
}

/// The machine's PID 1 and the root directory that it has.
struct Inside {
    leader: PidFd,
    root: ImageRoot,
}

impl Inside {
    /// `None` if it has ended.
    fn open(leader: PidFd) -> Option<Self> {
        let root = ImageRoot::open(format!("/proc/{}/root", leader.pid()).as_ref()).ok()?;
        Some(Self { leader, root })
    }
}
