//! Where a copy is read from or written to, and how a process gets there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags, fstat, open, openat};
use rustix::io::{Errno, Result as SysResult, retry_on_intr};
use rustix::process::{Pid, umask};

use super::place::Place;
use crate::attach::Entrance;
use crate::cgroup::Leaf;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::image::jail;
use crate::image::lookup;
use crate::image::name::ImageName;
use crate::image::read_only::is_read_only;
use crate::image::source_lock::SourceLock;
use crate::image::sweep::sweep;
use crate::launch::{process, with_map};
use crate::lock::Mode as LockMode;
use crate::machine::Cgroups;
use crate::name::MachineName;
use crate::ownership::TreeIds;
use crate::range::{Range, SIZE};
use crate::state::{State, Store};
use crate::within::open_within;

/// What is done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// One end, held for as long as the copy takes.
#[derive(Debug)]
pub(super) enum End {
    Host,
    Stream,
    /// A machine that runs. The leaf is the cgroup of the process, which ends with the machine.
    Live {
        entrance: Entrance,
        leaf: Leaf,
    },
    /// The tree of an image that no machine writes to, with ids that count from a base.
    Image {
        top: OwnedFd,
        base: u32,
        users: Option<OwnedFd>,
        lock: SourceLock,
    },
}

impl End {
    /// Takes it. `number` tells the cgroups of two ends in one machine apart.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is neither a machine nor an image of that name, [`Kind::Busy`] if it
    /// is not in a state for that.
    pub(super) fn open(dirs: &Dirs, place: &Place, access: Access, number: u32) -> Result<Self> {
        match place {
            Place::Host(_) => Ok(Self::Host),
            Place::Stream => Ok(Self::Stream),
            Place::Machine(name, _) => match Self::live(dirs, name, number)? {
                Some(live) => Ok(live),
                None => Self::image(dirs, name, access),
            },
        }
    }

    fn live(dirs: &Dirs, name: &MachineName, number: u32) -> Result<Option<Self>> {
        let cgroups = Arc::new(Cgroups::probe()?);
        let store = Store::new(dirs, cgroups.clone());
        let Some(machine) = store.machine(name)? else {
            return Ok(None);
        };
        match machine.state()? {
            State::Running => {}
            State::Dead => return Ok(None),
            State::Paused => {
                let what = format!("machine {name} is paused");
                let hint = format!("nsrun resume {name}");
                return Err(Error::new(Kind::Busy, what).hint(hint));
            }
            state => return Err(Error::new(Kind::Busy, format!("machine {name} is {state}"))),
        }
        let entrance = Entrance::of(&store, &machine)?;
        let cgroup = machine.record().map(|record| cgroups.open(record));
        let cgroup = cgroup.transpose()?.flatten();
        let gone = || Error::new(Kind::NotFound, format!("machine {name} has ended"));
        let own = rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        let leaf = cgroup.ok_or_else(gone)?.exec_leaf(own | number << 31)?;
        Ok(Some(Self::Live { entrance, leaf }))
    }

    fn image(dirs: &Dirs, name: &MachineName, access: Access) -> Result<Self> {
        sweep(dirs)?;
        let image = lookup::find(dirs, name).map_err(|error| match error.kind() {
            Kind::NotFound => error.hint("`nsrun list` shows machines, `nsrun images` images"),
            _ => error,
        })?;
        let what = || format!("open {}", image.path.display());
        let image_name: ImageName = name.as_str().parse()?;
        let lock = match access {
            Access::Read => SourceLock::take(&image, &image_name)?,
            Access::Write if is_read_only(&image.path) => {
                let what = format!("image {name} is read-only");
                let hint = format!("nsrun read-only {name} no");
                return Err(Error::new(Kind::Failed, what).hint(hint));
            }
            Access::Write => SourceLock::take_as(&image, &image_name, LockMode::Exclusive)?,
        };
        if access == Access::Write && lock.was_in_use() {
            return Err(Error::new(Kind::Busy, format!("image {name} is in use")));
        }
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = open(image.tree()?, how, Mode::empty()).cannot(what)?;
        let stat = fstat(&top).cannot(what)?;
        let base = TreeIds::of((stat.st_uid, stat.st_gid))
            .base()
            .ok_or_else(|| {
                Error::new(Kind::BadInput, "a change of its owners was interrupted")
                    .hint("start it once in the way that was interrupted")
            })?;
        let users = (base != 0).then(|| with_map(0, base, SIZE)).transpose()?;
        Ok(Self::Image {
            top,
            base,
            users,
            lock,
        })
    }

    /// How many ids there are, if not all.
    pub(super) fn ids(&self) -> Option<u32> {
        match self {
            Self::Live { entrance, .. } => entrance.range().map(Range::len),
            Self::Image { base, .. } => (*base != 0).then_some(SIZE),
            Self::Host | Self::Stream => None,
        }
    }

    /// Whether it is a tree with ids of any size, which a machine may not have.
    pub(super) fn is_unshifted(&self) -> bool {
        matches!(self, Self::Image { base: 0, .. })
    }

    /// Whether somebody may be writing to what is read.
    pub(super) fn was_in_use(&self) -> bool {
        matches!(self, Self::Image { lock, .. } if lock.was_in_use())
    }

    /// In the process that goes there: goes there, with no descriptors but those in `keep`, and no
    /// privileges but those over files.
    pub(super) fn enter(&self, nsrun: Pid, keep: &[BorrowedFd<'_>]) -> Result<Root> {
        jail::tie_to_parent(nsrun)?;
        let root = match self {
            Self::Live { entrance, leaf } => {
                join(leaf).cannot(|| "enter the cgroup of the machine")?;
                walk_in(entrance).cannot(|| "enter the machine")?;
                let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                Some(open("/", how, Mode::empty()).cannot(|| "open the machine's root")?)
            }
            Self::Image { top, users, .. } => {
                if let Some(users) = users {
                    become_root_of(users, nsrun).cannot(|| "take the image's ids")?;
                }
                Some(top.try_clone().cannot(|| "duplicate a descriptor")?)
            }
            Self::Host | Self::Stream => None,
        };
        let mut keep = keep.to_vec();
        keep.extend(root.as_ref().map(AsFd::as_fd));
        crate::sys::worker::close_all_but(&keep).cannot(|| "close inherited files")?;
        umask(Mode::empty());
        jail::drop_privileges().cannot(|| "give up privileges")?;
        Ok(Root(root))
    }
}

fn join(leaf: &Leaf) -> SysResult<()> {
    let how = OFlags::WRONLY | OFlags::CLOEXEC;
    let processes = openat(leaf.dir(), c"cgroup.procs", how, Mode::empty())?;
    rustix::io::write(&processes, b"0").map(drop)
}

fn walk_in(entrance: &Entrance) -> SysResult<()> {
    entrance.shield()?;
    entrance.enter_users()?;
    entrance.enter_mounts()?;
    entrance.become_root()
}

fn become_root_of(users: &OwnedFd, nsrun: Pid) -> SysResult<()> {
    nix::sched::setns(users, CloneFlags::CLONE_NEWUSER)
        .map_err(|e| Errno::from_raw_os_error(e as i32))?;
    process::become_root()?;
    process::die_with_parent()?;
    match rustix::process::getppid() == Some(nsrun) {
        true => Ok(()),
        false => Err(Errno::SRCH),
    }
}

/// Where paths begin.
#[derive(Debug)]
pub(super) struct Root(Option<OwnedFd>);

impl Root {
    /// Opens what is at a path: of the host as everybody does, of a machine with the machine's root for
    /// the root, whatever links there are.
    pub(super) fn open(&self, path: &Path, flags: OFlags) -> SysResult<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        match &self.0 {
            None => retry_on_intr(|| open(path, flags, Mode::empty())),
            Some(root) => open_within(root, path, flags),
        }
    }
}
