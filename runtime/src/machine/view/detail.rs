//! Everything that is known of one machine.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::console;
use super::{Branch, Inside, Process, Summary, summary};
use crate::attach;
use crate::cgroup::Stats;
use crate::dirs::Dirs;
use crate::enabled::Names;
use crate::error::Result;
use crate::facts::Release;
use crate::machine::host::Cgroups;
use crate::machine::register;
use crate::name::MachineName;
use crate::plan::parse_id;
use crate::range::Range;
use crate::state::{Bind, Machine, Record, State, Store};
use crate::supervise::SOCKET;
use crate::text::escaped;
use crate::virtual_file;

/// How long a machine's service manager may take to answer: one that takes longer is stuck, or does
/// not want to.
const PATIENCE: Duration = Duration::from_secs(1);

/// A machine in full.
#[derive(Clone, Debug, Serialize)]
pub struct Detail {
    /// The row.
    #[serde(flatten)]
    pub summary: Summary,
    /// Its machine id, 32 hexadecimal digits.
    pub id: Option<String>,
    /// PID 1's own words about what it does.
    pub status: Option<String>,
    /// When it was started, in RFC 3339.
    pub since: Option<String>,
    /// The same in microseconds since 1970.
    pub since_usec: Option<u64>,
    /// The same in microseconds since the host's boot.
    pub since_boottime_usec: Option<u64>,
    /// How long ago that was, in microseconds, whatever became of the clock.
    pub uptime_usec: Option<u64>,
    /// Its PID 1.
    pub leader: Option<Process>,
    /// The process that looks after it.
    pub supervisor: Option<i32>,
    /// The image that it was started from, if that has a name.
    pub image: Option<String>,
    /// Its root directory on the host.
    pub root: String,
    /// Whose network it has.
    pub network: String,
    /// The host's end of its link.
    pub interface: Option<String>,
    /// The number of that link.
    pub interface_index: Option<i32>,
    /// The id on the host that its root has.
    pub shift: Option<u32>,
    /// How many ids it has from there on.
    pub ids: Option<u32>,
    /// Its cgroup, below the root of the hierarchy.
    pub cgroup: Option<String>,
    /// The unit that the cgroup belongs to.
    pub unit: Option<Unit>,
    /// What it uses.
    pub usage: Stats,
    /// Its cgroup with all below it, supervisor included.
    pub tree: Option<Branch>,
    /// Its processes.
    pub processes: Vec<Process>,
    /// What its systemd says; null if it has none.
    pub manager: Option<Manager>,
    /// The last lines of its console, if it runs in the background.
    pub console: Vec<String>,
    /// What `bind` has mounted into it since it was started.
    pub binds: Vec<Bind>,
}

/// A unit by the names in a cgroup's path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// The machine's cgroup below the unit's, if it is not the unit's own.
    pub subgroup: Option<String>,
}

/// What the systemd in a machine says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Manager {
    /// As `systemctl is-system-running` tells.
    pub state: Option<String>,
    /// Units that have failed.
    pub failed_units: Vec<String>,
    /// Why it says nothing.
    pub problem: Option<String>,
}

/// What is looked at beyond what every look shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// So many lines of its console.
    pub lines: usize,
    /// What its service manager says, which may take a second if that is stuck.
    pub manager: bool,
}

/// Looks at one machine.
///
/// # Errors
/// [`crate::Kind::NotFound`] if there is none of that name.
pub fn status(dirs: &Dirs, name: &MachineName, look: Look) -> Result<Detail> {
    let cgroups = Arc::new(Cgroups::probe()?);
    let store = Store::new(dirs, cgroups.clone());
    let machine = store.machine(name)?.ok_or_else(|| store.absent(name))?;
    let (summary, leader) = summary(&Names::look(dirs), &machine)?;
    if summary.state == State::Dead {
        return Err(store.absent(name));
    }
    let mut detail = recorded(&machine, summary)?;
    if let Some(record) = machine.record() {
        used(&mut detail, &cgroups, record)?;
    }
    if let Some(inside) = &leader.and_then(Inside::open) {
        let now = Release::look(&inside.root);
        if !now.is_empty() {
            detail.summary.release = now;
        }
        detail.leader = Process::look(inside.leader.pid());
        detail.id = machine_id(inside);
        if let Some(identity) = machine.record().and_then(|record| record.leader) {
            detail.binds = store.binds(name, &identity)?;
        }
        if look.manager && detail.summary.state == State::Running {
            detail.manager = manager(inside, detail.shift.is_some());
        }
    }
    if look.lines > 0 && store.directory(name).join(SOCKET).exists() {
        detail.console = console::last_lines(&dirs.console_log(name), look.lines);
    }
    Ok(detail)
}

/// What the record says.
fn recorded(machine: &Machine, summary: Summary) -> Result<Detail> {
    let record = machine.record();
    let range = record.and_then(|record| record.range);
    let interface = record.and_then(|record| record.interface.clone());
    let cgroup = record.and_then(|record| record.cgroup.clone());
    Ok(Detail {
        summary,
        id: None,
        status: record.and_then(|record| record.status.as_deref().map(escaped)),
        since: record.and_then(|record| rfc3339(record.since.realtime_us)),
        since_usec: record.map(|record| record.since.realtime_us),
        since_boottime_usec: record.map(|record| record.since.boottime_us),
        uptime_usec: record.map(|record| record.since.age_us()),
        leader: None,
        supervisor: machine.supervisor()?.map(|process| process.pid()),
        image: record.and_then(|record| record.image.clone()),
        root: record.map(|record| record.root.clone()).unwrap_or_default(),
        network: record
            .map(|record| record.network.clone())
            .unwrap_or_default(),
        interface_index: interface.as_deref().and_then(register::index),
        interface,
        shift: range.map(Range::base),
        ids: range.map(Range::len),
        unit: cgroup.as_deref().and_then(unit),
        cgroup,
        usage: Stats::default(),
        tree: None,
        processes: Vec::new(),
        manager: None,
        console: Vec::new(),
        binds: Vec::new(),
    })
}

/// What its cgroup says; nothing if it has just gone.
fn used(detail: &mut Detail, cgroups: &Cgroups, record: &Record) -> Result<()> {
    let Some(cgroup) = cgroups.open(record)? else {
        return Ok(());
    };
    let tree = Branch::look(&cgroup.tree()?);
    let payload = tree.child("payload").map(Branch::all);
    detail.processes = payload.into_iter().flatten().cloned().collect();
    detail.usage = cgroup.stats();
    detail.tree = Some(tree);
    Ok(())
}

fn manager(inside: &Inside, mapped: bool) -> Option<Manager> {
    match attach::ask(&inside.leader, mapped, PATIENCE) {
        Ok(answer) => answer.map(|answer| Manager {
            state: Some(escaped(&answer.state)),
            failed_units: answer.failed.iter().map(|name| escaped(name)).collect(),
            problem: None,
        }),
        Err(error) => Some(Manager {
            problem: Some(error.to_string()),
            ..Manager::default()
        }),
    }
}

/// The id that the machine has written down, or else that it was given.
fn machine_id(inside: &Inside) -> Option<String> {
    let written = inside.root.read("etc/machine-id").ok();
    let id = written.and_then(|content| parse_id(std::str::from_utf8(&content).ok()?.trim_end()));
    let id = id.or_else(|| given_id(inside.leader.pid()))?;
    Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn given_id(leader: i32) -> Option<[u8; 16]> {
    let environment = virtual_file::read(format!("/proc/{leader}/environ")).ok()?;
    let mut variables = environment.split(|&byte| byte == 0);
    let id = variables.find_map(|variable| variable.strip_prefix(b"container_uuid="))?;
    parse_id(std::str::from_utf8(id).ok()?)
}

/// The outermost unit that is no slice.
fn unit(cgroup: &str) -> Option<Unit> {
    let is_unit = |name: &str| name.ends_with(".scope") || name.ends_with(".service");
    let at = cgroup.split('/').position(is_unit)?;
    let mut names = cgroup.split('/').skip(at);
    let name = names.next()?.to_owned();
    let below: Vec<&str> = names.collect();
    Some(Unit {
        name,
        subgroup: (!below.is_empty()).then(|| below.join("/")),
    })
}

/// A moment in microseconds since 1970, to the second and by the host's time zone.
fn rfc3339(microseconds: u64) -> Option<String> {
    let seconds = i64::try_from(microseconds / 1_000_000).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    let local = time.to_zoned_datetime(jiff::tz::TimeZone::system());
    Some(local.strftime("%FT%T%:z").to_string())
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

    #[test]
    fn the_unit_of_a_cgroup_is_the_outermost() {
        let told = |path: &str| unit(path).map(|unit| (unit.name, unit.subgroup));
        let scope = |name: &str, below: Option<&str>| Some((name.into(), below.map(Into::into)));
        let own = "machine.slice/nsrun-web.scope";
        assert_eq!(told(own), scope("nsrun-web.scope", None));
        let unit = "system.slice/web.service/nsrun-web.scope";
        assert_eq!(told(unit), scope("web.service", Some("nsrun-web.scope")));
        assert_eq!(told("a/b"), None);
    }
}
