//! How the host's cgroups are laid out, and where among them a machine may be put.

use std::collections::HashSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::dir::Dir;
use crate::error::{Context, Error, Kind, Result};
use crate::mountinfo::MountLine;
use crate::virtual_file;

/// The cgroup hierarchies that are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Version 2 only.
    Unified(Mount),
    /// Version 2 beside version 1, which may hold some or all of the controllers.
    Hybrid(Mount),
    /// Version 1 only.
    V1Only,
    /// None.
    Absent,
}

/// The mount of the version 2 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Which cgroup is to be seen there; `/` unless it is a bind mount.
    pub root: PathBuf,
    /// Nothing can be made below.
    pub read_only: bool,
}

impl Mount {
    /// Where the cgroup of that name, as in `/proc/PID/cgroup`, is to be found.
    #[must_use]
    pub fn path_of(&self, cgroup: &Path) -> Option<PathBuf> {
        let below = cgroup.strip_prefix(&self.root).ok()?;
        // A cgroup outside of the namespace's root is shown as `/../…`.
        let plain = below
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        plain.then(|| self.point.join(below))
    }
}

impl From<MountLine> for Mount {
    fn from(line: MountLine) -> Self {
        Self {
            point: line.point,
            root: line.root,
            read_only: line.read_only,
        }
    }
}

/// What decides where a machine's cgroup goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The hierarchies.
    pub layout: Layout,
    /// The name of this process's cgroup in version 2.
    pub own: PathBuf,
    /// The directory of the unit that this process runs in, if systemd has delegated it
    /// and no other process is in the way: one would keep us from enabling controllers.
    pub delegated: Option<PathBuf>,
    /// systemd is the init of this host.
    pub systemd: bool,
}

/// Where a machine's cgroup goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In `machine.slice` at the top, made by us: nobody else manages the tree. Holds the
    /// directory of the top.
    Top(PathBuf),
    /// In the unit that nsrun runs in, which systemd leaves to us. Holds its directory.
    Unit(PathBuf),
    /// In a transient scope that systemd makes on request. Holds the hierarchy's mount.
    Transient(Mount),
}

impl Host {
    /// Looks at the running host.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn probe() -> Result<Self> {
        let read = |path: &str| virtual_file::read_text(path).cannot(|| format!("read {path}"));
        let layout = Layout::of(&read("/proc/self/mountinfo")?);
        let own = own_cgroup(&read("/proc/self/cgroup")?).unwrap_or_else(|| "/".into());
        let delegated = layout
            .mount()
            .and_then(|mount| mount.path_of(&own).map(|dir| (mount, dir)))
            .and_then(|(mount, dir)| delegated_unit(&mount.point, &dir, is_delegated))
            .filter(|unit| is_ours_alone(unit));
        Ok(Self {
            layout,
            own,
            delegated,
            // The test that systemd documents in sd_booted(3).
            systemd: Path::new("/run/systemd/system").is_dir(),
        })
    }

    /// Decides on the place. On a systemd host that is always within a unit, because
    /// systemd may move or remove whatever else it finds.
    ///
    /// # Errors
    /// [`Kind::HostLacks`] with the reason if there is no version 2, or it is read-only.
    pub fn placement(&self) -> Result<Placement> {
        let mount = match &self.layout {
            Layout::Unified(mount) | Layout::Hybrid(mount) => mount,
            Layout::V1Only => return Err(only_version_1()),
            Layout::Absent => return Err(no_cgroups()),
        };
        if mount.read_only {
            return Err(read_only(&mount.point));
        }
        Ok(match &self.delegated {
            Some(unit) if self.systemd => Placement::Unit(unit.clone()),
            None if self.systemd => Placement::Transient(mount.clone()),
            _ => Placement::Top(mount.point.clone()),
        })
    }
}

fn only_version_1() -> Error {
    let what = "this host has cgroup version 1 only, which cannot be delegated to a container";
    Error::new(Kind::HostLacks, what).hint(
        "boot with systemd.unified_cgroup_hierarchy=1, or mount version 2 beside it: \
         mkdir /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
    )
}

fn no_cgroups() -> Error {
    Error::new(Kind::HostLacks, "no cgroup hierarchy is mounted")
        .hint("mount -t cgroup2 none /sys/fs/cgroup")
}

fn read_only(point: &Path) -> Error {
    let what = format!("the cgroup hierarchy on {} is read-only", point.display());
    Error::new(Kind::HostLacks, what).hint(
        "inside a container, it must be run with its own cgroup namespace and a writable \
         /sys/fs/cgroup (docker: --privileged --cgroupns=private)",
    )
}

impl Layout {
    /// Reads `/proc/PID/mountinfo`.
    #[must_use]
    pub fn of(mountinfo: &str) -> Self {
        // A later mount on the same point hides an earlier one.
        let mut seen = HashSet::new();
        let lines = mountinfo.lines().rev().filter_map(MountLine::parse);
        let visible = lines.filter(|mount| seen.insert(mount.point.clone()));
        let (v2, others): (Vec<_>, Vec<_>) = visible.partition(|mount| mount.kind == "cgroup2");

        // The place that every program expects wins over others.
        let usual = v2
            .iter()
            .position(|mount| mount.point == Path::new("/sys/fs/cgroup"));
        let mut v2 = v2.into_iter();
        if let Some(line) = usual.and_then(|at| v2.nth(at)) {
            Self::Unified(line.into())
        } else if let Some(line) = v2.next() {
            Self::Hybrid(line.into())
        } else if others.iter().any(|mount| mount.kind == "cgroup") {
            Self::V1Only
        } else {
            Self::Absent
        }
    }

    /// The mount of version 2.
    #[must_use]
    pub fn mount(&self) -> Option<&Mount> {
        match self {
            Self::Unified(mount) | Self::Hybrid(mount) => Some(mount),
            Self::V1Only | Self::Absent => None,
        }
    }
}

/// The name of the version 2 cgroup in `/proc/PID/cgroup`.
pub(super) fn own_cgroup(text: &str) -> Option<PathBuf> {
    let name = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(name.strip_suffix(" (deleted)").unwrap_or(name).into())
}

/// The nearest cgroup from `dir` up that systemd has delegated, unless another unit lies
/// between: that one's manager (a user's systemd, say) has been given the cgroup, not we.
fn delegated_unit(top: &Path, dir: &Path, delegated: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    for dir in dir.ancestors().take_while(|dir| *dir != top) {
        if delegated(dir) {
            return Some(dir.to_owned());
        }
        let unit = [".service", ".scope", ".slice"];
        let name = dir.file_name()?.to_str()?;
        if unit.iter().any(|suffix| name.ends_with(suffix)) {
            return None;
        }
    }
    None
}

/// Whether systemd has marked the cgroup, as it does for `Delegate=yes`.
fn is_delegated(dir: &Path) -> bool {
    let marked = |dir: &Dir, name| {
        let mut value = [0; 1];
        matches!(rustix::fs::fgetxattr(dir, name, &mut value), Ok(1)) && value == *b"1"
    };
    let Ok(dir) = Dir::open(dir) else {
        return false;
    };
    marked(&dir, "trusted.delegate") || marked(&dir, "user.delegate")
}

/// Whether no process but this one is in the cgroup itself; there may be others below.
fn is_ours_alone(dir: &Path) -> bool {
    let own = std::process::id().to_string();
    let pids = Dir::open(dir).map(|dir| dir.read("cgroup.procs"));
    matches!(pids, Ok(Ok(pids)) if pids.lines().all(|pid| pid == own))
}

/// Turns the refusals of a tree that somebody else holds into what to do about it.
pub(super) fn refused(error: io::Error, what: &str) -> Error {
    let kind = match error.raw_os_error() {
        Some(libc::EROFS | libc::EACCES | libc::EPERM) => Kind::HostLacks,
        _ => Kind::Failed,
    };
    let error = Error::new(kind, format!("cannot {what}")).because(error);
    match kind {
        Kind::HostLacks => error.hint(
            "nsrun needs to make cgroups: run it as root, and in a container with a writable \
             /sys/fs/cgroup of its own",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
