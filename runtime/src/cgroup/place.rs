//! Making a machine's scope where the host wants it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::controllers;
use super::dir::Dir;
use super::home::{Home, SLICE};
use super::host::{Host, Mount, Placement, refused};
use super::machine::PAYLOAD;
use super::options::{ScopeOptions, Slice};
use super::property::Property;
use super::{transient, tree};
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;

const SUPERVISOR: &str = "supervisor";

/// Bounds on what a payload can pile up in the kernel, and on our walks. Each is above
/// what systemd with users, services and containers of its own comes to.
const LIMITS: [(&str, &str); 2] = [
    ("cgroup.max.depth", "33"),
    ("cgroup.max.descendants", "4096"),
];

/// A scope that was made, and what is needed to take it away.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    pub(super) dir: Dir,
    pub(super) payload: Dir,
    pub(super) home: Home,
}

/// The name of a machine's scope, below whichever cgroup.
pub(super) fn scope_name(machine: &MachineName) -> String {
    format!("nsrun-{machine}.scope")
}

/// Whether a path is that of a machine's scope.
pub(super) fn is_scope(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let machine = name.and_then(|n| n.strip_prefix("nsrun-")?.strip_suffix(".scope"));
    machine.is_some_and(|machine| machine.parse::<MachineName>().is_ok())
}

impl Host {
    /// Where the scope of `machine` will be made, so that it can be recorded beforehand.
    ///
    /// # Errors
    /// As [`Host::placement`]; [`Kind::HostLacks`] if the host has no slice for it.
    pub fn scope_path(&self, machine: &MachineName, options: &ScopeOptions) -> Result<PathBuf> {
        let parent = match (self.placement()?, &options.slice) {
            (Placement::Transient(mount), slice) => {
                let slice = slice.clone().unwrap_or_default();
                mount.point.join(slice.path())
            }
            (Placement::Top(top), None) => top.join(SLICE),
            (Placement::Unit(unit), None) => unit,
            (Placement::Top(_), Some(slice)) => return Err(no_systemd(slice)),
            (Placement::Unit(unit), Some(slice)) => return Err(in_a_unit(slice, &unit)),
        };
        Ok(parent.join(scope_name(machine)))
    }
}

fn no_systemd(slice: &Slice) -> Error {
    let what = format!("cannot use {slice}: slices are systemd's, which is not this host's init");
    Error::new(Kind::HostLacks, what).hint("limits are set by --property, on any host")
}

fn in_a_unit(slice: &Slice, unit: &Path) -> Error {
    let unit = unit.file_name().unwrap_or_default().display();
    let what = format!("cannot use {slice}: nsrun is in {unit}, and the machine will be, too");
    Error::new(Kind::Usage, what).hint(format!("set Slice= of {unit}"))
}

/// Makes the scope of `machine`.
pub(super) fn make(machine: &MachineName, host: &Host, options: &ScopeOptions) -> Result<Made> {
    // Refuses what this host has not.
    host.scope_path(machine, options)?;
    match host.placement()? {
        Placement::Top(top) => at_top(machine, host, &top, &options.properties),
        Placement::Unit(unit) => in_unit(machine, host, &unit, &options.properties),
        Placement::Transient(mount) => by_systemd(machine, &mount, options),
    }
}

fn at_top(machine: &MachineName, host: &Host, path: &Path, limits: &[Property]) -> Result<Made> {
    let top = open(path)?;
    controllers::enable(&top);
    let (slice, dir) = loop {
        let slice = top.make_or_open(SLICE);
        let slice = slice.map_err(|e| refused(e.into(), &format!("make {SLICE}")))?;
        controllers::enable(&slice);
        // The last machine of the slice may just have ended and taken it along.
        if let Some(dir) = make_scope(&slice, machine)? {
            break (slice, dir);
        }
    };
    let origin = origin(host, &top)?;
    let path = path.join(SLICE).join(scope_name(machine));
    let home = Home::Top { top, slice, origin };
    finish(dir, path, machine, home, limits)
}

fn in_unit(machine: &MachineName, host: &Host, path: &Path, limits: &[Property]) -> Result<Made> {
    let unit = open(path)?;
    let gone = || Error::new(Kind::Failed, format!("unit {} is gone", path.display()));
    let dir = make_scope(&unit, machine)?.ok_or_else(gone)?;
    let origin = origin(host, &unit)?;
    // A cgroup that has processes cannot offer controllers, so this process goes first.
    if let Err(error) = enter(&dir) {
        let _ = tree::remove(&unit, &scope_name(machine), Instant::now());
        return Err(error);
    }
    let enabled = controllers::enable(&unit);
    let path = path.join(scope_name(machine));
    let home = Home::Unit {
        unit,
        enabled,
        origin,
    };
    finish(dir, path, machine, home, limits)
}

fn by_systemd(machine: &MachineName, mount: &Mount, options: &ScopeOptions) -> Result<Made> {
    let cgroup = transient::start(&scope_name(machine), machine, options)?;
    let path = mount.path_of(&cgroup).ok_or_else(|| {
        let what = format!("systemd's cgroup {} is not mounted", cgroup.display());
        Error::new(Kind::HostLacks, what)
    })?;
    let dir = open(&path)?;
    enter(&dir)?;
    // systemd has set the limits, and knows of them.
    finish(dir, path, machine, Home::Systemd, &[])
}

fn open(path: &Path) -> Result<Dir> {
    Dir::open(path).cannot(|| format!("open cgroup {}", path.display()))
}

/// This process's cgroup. If it cannot be seen from here, the processes go home to `top`.
fn origin(host: &Host, top: &Dir) -> Result<Dir> {
    let own = host.layout.mount().and_then(|m| m.path_of(&host.own));
    match own.and_then(|path| Dir::open(&path).ok()) {
        Some(dir) => Ok(dir),
        None => top.try_clone().cannot(|| "keep the cgroup open"),
    }
}

/// Makes the scope's directory; `None` if `parent` has been removed.
fn make_scope(parent: &Dir, machine: &MachineName) -> Result<Option<Dir>> {
    let name = scope_name(machine);
    let made = match parent.make(&name) {
        Err(Errno::EXIST) => {
            clear_leftover(parent, machine)?;
            parent.make(&name)
        }
        made => made,
    };
    match made {
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        made => made
            .map(Some)
            .map_err(|errno| refused(errno.into(), &format!("make cgroup {name}"))),
    }
}

/// Removes what a killed supervisor left: it is one, since the caller has the machine's lock.
fn clear_leftover(parent: &Dir, machine: &MachineName) -> Result<()> {
    let name = scope_name(machine);
    let left = parent.child(&name);
    if left.is_ok_and(|dir| dir.populated().unwrap_or(false)) {
        let what = format!("machine {machine} has processes still, in cgroup {name}");
        return Err(Error::new(Kind::Busy, what).hint(format!("nsrun stop {machine}")));
    }
    let deadline = Instant::now() + Duration::from_secs(1);
    tree::remove(parent, &name, deadline).cannot(|| format!("remove leftover cgroup {name}"))
}

fn finish(
    dir: Dir,
    path: PathBuf,
    machine: &MachineName,
    home: Home,
    limits: &[Property],
) -> Result<Made> {
    let limited = limit(&dir).and_then(|()| limits.iter().try_for_each(|one| set(&dir, one)));
    let made = limited.and_then(|()| {
        controllers::enable(&dir);
        dir.make(PAYLOAD).cannot(|| format!("make {PAYLOAD}"))
    });
    match made {
        Ok(payload) => Ok(Made {
            path,
            dir,
            payload,
            home,
        }),
        Err(error) => {
            // The first error is the one to tell.
            let _ = home.leave(&dir);
            let _ = home.remove(&scope_name(machine), Instant::now());
            Err(error).cannot(|| format!("set up cgroup {}", path.display()))
        }
    }
}

fn limit(dir: &Dir) -> Result<()> {
    for (file, value) in LIMITS {
        dir.write(file, value).cannot(|| format!("set {file}"))?;
    }
    Ok(())
}

fn set(dir: &Dir, limit: &Property) -> Result<()> {
    let (name, file) = (limit.name(), limit.file());
    dir.write(file, &limit.text()).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let error = Error::new(Kind::Failed, format!("cannot set {name}")).because(error);
        if !missing {
            return error;
        }
        let controller = file.split('.').next().unwrap_or(file);
        let hint = format!("cgroup version 2 has no controller {controller} on this host");
        error.kinded(Kind::HostLacks).hint(hint)
    })
}

/// Moves this process into the scope's `supervisor`.
pub(super) fn enter(dir: &Dir) -> Result<()> {
    let supervisor = dir.make_or_open(SUPERVISOR);
    let supervisor = supervisor.cannot(|| "make the supervisor's cgroup")?;
    supervisor
        .write("cgroup.procs", "0")
        .cannot(|| "move the supervisor into its cgroup")
}
