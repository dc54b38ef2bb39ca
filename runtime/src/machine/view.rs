//! What is known of machines: records, checked against the kernel.

mod console;
mod detail;
mod process;
mod sample;

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

pub use self::detail::{Detail, Look, Manager, Unit, status};
pub use self::process::{Branch, Process};
pub use self::sample::{Sample, Sampler, Samples};
use super::host::Cgroups;
use crate::dirs::Dirs;
use crate::enabled::Names;
use crate::error::{Error, Result};
use crate::facts::{ImageRoot, Release};
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
    /// Its operating system: in a list, as it was when the machine was started.
    #[serde(flatten)]
    pub release: Release,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Ports of the host that lead to it, as `[ADDRESS:]PROTOCOL:PORT[-LAST]:MACHINE`.
    pub ports: Vec<String>,
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
    let enabled = Names::look(dirs);
    let mut listing = Listing::default();
    for machine in store.list()? {
        match machine.and_then(|machine| summary(&enabled, &machine)) {
            Ok((row, _)) if row.state == State::Dead => {}
            Ok((row, _)) => listing.machines.push(row),
            Err(error) => listing.problems.push(error),
        }
    }
    Ok(listing)
}

/// The row of a machine, and its PID 1.
///
/// Many machines are looked at so, of which one may keep whoever opens its files waiting for ever: a
/// file system of its own can. So none of its files is opened.
fn summary(enabled: &Names, machine: &Machine) -> Result<(Summary, Option<PidFd>)> {
    let record = machine.record();
    let leader = machine.leader()?;
    let state = machine.state_by(leader.as_ref())?;
    let summary = Summary {
        name: machine.name().clone(),
        class: record
            .map(|record| record.class.clone())
            .unwrap_or_default(),
        state,
        release: record
            .map(|record| record.release.clone())
            .unwrap_or_default(),
        addresses: record
            .map(|record| record.addresses.clone())
            .unwrap_or_default(),
        ports: record
            .map(|record| record.ports.clone())
            .unwrap_or_default(),
        enabled: enabled.has(machine.name()),
    };
    Ok((summary, leader))
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
