//! What is known of machines: records, checked against the kernel.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::host::Cgroups;
use crate::dirs::Dirs;
use crate::error::{Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::name::MachineName;
use crate::range::Range;
use crate::state::{Machine, State, Store};

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
    pub os: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A process as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Its number on the host.
    pub pid: i32,
    /// Its command line, with control characters escaped.
    pub command: String,
}

/// A machine in full.
#[derive(Clone, Debug, Serialize)]
pub struct Detail {
    /// The row.
    #[serde(flatten)]
    pub summary: Summary,
    /// PID 1's own words about what it does.
    pub status: Option<String>,
    /// When it was started, in RFC 3339.
    pub since: Option<String>,
    /// Its PID 1.
    pub leader: Option<Process>,
    /// The process that looks after it.
    pub supervisor: Option<i32>,
    /// Its root directory on the host.
    pub root: String,
    /// Whose network it has.
    pub network: String,
    /// The host's end of its link.
    pub interface: Option<String>,
    /// The id on the host that its root has.
    pub shift: Option<u32>,
    /// Its cgroup, below the root of the hierarchy.
    pub cgroup: Option<String>,
    /// Its processes.
    pub processes: Vec<Process>,
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
        match machine.and_then(|machine| summary(&machine)) {
            Ok(row) if row.state == State::Dead => {}
            Ok(row) => listing.machines.push(row),
            Err(error) => listing.problems.push(error),
        }
    }
    Ok(listing)
}

/// Looks at one machine.
///
/// # Errors
/// [`Kind::NotFound`] if there is none of that name.
pub fn status(dirs: &Dirs, name: &MachineName) -> Result<Detail> {
    let cgroups = Arc::new(Cgroups::probe()?);
    let store = Store::new(dirs, cgroups.clone());
    let machine = store.machine(name)?.ok_or_else(|| absent(name))?;
    let summary = summary(&machine)?;
    if summary.state == State::Dead {
        return Err(absent(name));
    }
    let record = machine.record();
    let leader = machine.leader()?;
    let processes = record.map_or_else(Vec::new, |record| cgroups.processes(record));
    Ok(Detail {
        status: record.and_then(|record| record.status.clone()),
        since: record.and_then(|record| rfc3339(record.since.realtime_us)),
        leader: leader.map(|leader| process(leader.pid())),
        supervisor: machine.supervisor()?.map(|process| process.pid()),
        root: record.map(|record| record.root.clone()).unwrap_or_default(),
        network: record
            .map(|record| record.network.clone())
            .unwrap_or_default(),
        interface: record.and_then(|record| record.interface.clone()),
        shift: record.and_then(|record| record.range).map(Range::base),
        cgroup: record.and_then(|record| record.cgroup.clone()),
        processes: processes.into_iter().map(process).collect(),
        summary,
    })
}

pub(super) fn absent(name: &MachineName) -> Error {
    Error::new(Kind::NotFound, format!("no machine {name} is running"))
        .hint("`nsrun list` shows those that are")
}

fn summary(machine: &Machine) -> Result<Summary> {
    let record = machine.record();
    let leader = machine.leader()?;
    Ok(Summary {
        name: machine.name().clone(),
        class: record
            .map(|record| record.class.clone())
            .unwrap_or_default(),
        state: machine.state()?,
        os: leader.and_then(|leader| os(leader.pid())),
        addresses: record
            .map(|record| record.addresses.clone())
            .unwrap_or_default(),
    })
}

/// The pretty name that the machine's os-release has, resolved inside its root.
fn os(leader: i32) -> Option<String> {
    let root = ImageRoot::open(format!("/proc/{leader}/root").as_ref()).ok()?;
    let content = root
        .read("etc/os-release")
        .or_else(|_| root.read("usr/lib/os-release"))
        .ok()?;
    let text = String::from_utf8_lossy(&content);
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(escaped(value.trim().trim_matches(['"', '\''])))
}

/// A moment in microseconds since 1970, to the second and by the host's time zone.
fn rfc3339(microseconds: u64) -> Option<String> {
    let seconds = i64::try_from(microseconds / 1_000_000).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    let local = time.to_zoned_datetime(jiff::tz::TimeZone::system());
    Some(local.strftime("%FT%T%:z").to_string())
}

fn process(pid: i32) -> Process {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&line).replace('\0', " ");
    let command = match words.trim_end() {
        "" => std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default(),
        words => words.to_owned(),
    };
    Process {
        pid,
        command: escaped(command.trim_end()),
    }
}

/// Text from inside a machine must not reach the terminal's escape sequences.
fn escaped(text: &str) -> String {
    let cut: String = text.chars().take(512).collect();
    cut.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_as_rfc_3339_has_it() {
        let text = rfc3339(1_700_000_000_999_999).unwrap();
        assert_eq!(text.len(), "2023-11-14T22:13:20+00:00".len(), "{text}");
        assert_eq!((&text[10..11], &text[22..23]), ("T", ":"), "{text}");
        let read: jiff::Timestamp = text.parse().unwrap();
        assert_eq!(read.as_second(), 1_700_000_000);
        assert_eq!(rfc3339(u64::MAX), None);
    }
}
