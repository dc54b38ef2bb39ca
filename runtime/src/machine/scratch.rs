//! What the mounts of a machine are made of: sources that were opened, and directories of the
//! machine's own, which go with it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};

use crate::error::{Context, Error, Kind, Result};
use crate::facts::{ImageRoot, Opened};
use crate::launch::{self, Materials};
use crate::plan::mounts::{Source, What};
use crate::plan::{Changes, Plan};
use crate::state::{Claim, Incarnation, Item};

/// Where new directories are made.
const PLACE: &str = "/var/tmp";

/// Sources and the kernel's own directories for overlays.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    sources: Vec<OwnedFd>,
    works: Vec<Option<OwnedFd>>,
    changes: Option<Elsewhere>,
}

/// Where changes to the root go that are not kept.
#[derive(Debug)]
struct Elsewhere {
    upper: OwnedFd,
    work: OwnedFd,
    /// Keeps a file system in memory that is mounted nowhere.
    _memory: Option<OwnedFd>,
}

impl Gathered {
    /// For a launch from `root`.
    pub(super) fn materials<'a>(&'a self, root: &'a ImageRoot) -> Materials<'a> {
        Materials {
            root,
            changes: self
                .changes
                .as_ref()
                .map(|c| (c.upper.as_fd(), c.work.as_fd())),
            sources: &self.sources,
            works: &self.works,
        }
    }
}

/// Makes the directories that are missing; root of the machine is `owner` on the host, and what is seen
/// of the image's top belongs to `top` and has the permissions `mode`.
pub(super) fn gather(
    plan: &Plan,
    opened: Vec<Opened>,
    (owner, top, mode): (u32, (u32, u32), Mode),
    claim: &mut Claim,
) -> Result<Gathered> {
    let mut gathered = Gathered {
        changes: elsewhere(plan, top, mode, claim)?,
        ..Gathered::default()
    };
    let mut opened = opened.into_iter();
    for planned in &plan.mounts {
        let what = &planned.mount.what;
        let takes_changes = matches!(what, What::Overlay { .. }) && !planned.mount.read_only;
        let sources = what.sources();
        let last = sources.len().saturating_sub(1);
        for (number, (source, opened)) in sources.into_iter().zip(opened.by_ref()).enumerate() {
            let works = takes_changes && number == last;
            gathered.add(source, opened, works, owner, claim)?;
        }
    }
    Ok(gathered)
}

impl Gathered {
    fn add(
        &mut self,
        source: &Source,
        opened: Opened,
        works: bool,
        owner: u32,
        claim: &mut Claim,
    ) -> Result<()> {
        let (fd, work) = match opened.fd {
            Some(fd) if works => {
                let work = beside(&fd, claim).cannot(|| format!("use {source} in an overlay"))?;
                (fd, Some(work))
            }
            Some(fd) => (fd, None),
            None => {
                let scratch = Scratch::make(Path::new(PLACE), claim)?;
                let new = scratch.directory("src", owner)?;
                let work = works.then(|| scratch.directory("work", 0)).transpose()?;
                (new, work)
            }
        };
        self.sources.push(fd);
        self.works.push(work);
        Ok(())
    }
}

/// The place for the changes to the root.
fn elsewhere(
    plan: &Plan,
    top: (u32, u32),
    mode: Mode,
    claim: &mut Claim,
) -> Result<Option<Elsewhere>> {
    let what = || "make a place for the changes to the root";
    let made = |place: BorrowedFd<'_>, memory| {
        let (upper, work) = (OsStr::new("upper"), OsStr::new("work"));
        let made = Elsewhere {
            upper: make_owned(place, upper, top).cannot(what)?,
            work: make_owned(place, work, (0, 0)).cannot(what)?,
            _memory: memory,
        };
        rustix::fs::fchmod(&made.upper, mode).cannot(what)?;
        Ok(Some(made))
    };
    match plan.changes {
        Changes::Kept => Ok(None),
        Changes::InMemory => {
            let memory = launch::memory(c"25%").cannot(what)?;
            let place = memory.try_clone().cannot(what)?;
            made(place.as_fd(), Some(memory))
        }
        Changes::OnDisk => {
            let scratch = Scratch::make(Path::new(PLACE), claim)?;
            made(scratch.fd.as_fd(), None)
        }
    }
}

/// The kernel's directory for an overlay, on the file system of the one that takes the changes.
fn beside(upper: &OwnedFd, claim: &mut Claim) -> Result<OwnedFd> {
    let link = format!("/proc/self/fd/{}", upper.as_raw_fd());
    let path = std::fs::read_link(link).cannot(|| "tell its path")?;
    let parent = path.parent().ok_or_else(|| {
        Error::new(
            Kind::Usage,
            "the root directory cannot take an overlay's changes",
        )
    })?;
    Scratch::make(parent, claim)?.directory("work", 0)
}

/// A directory of the machine's own. The claim's list of residues owns it.
struct Scratch {
    path: PathBuf,
    fd: OwnedFd,
}

impl Scratch {
    fn make(parent: &Path, claim: &mut Claim) -> Result<Self> {
        let name = Item::scratch_name(claim.name(), Incarnation::new()?);
        let path = parent.join(name);
        let what = || format!("make directory {}", path.display());
        let text = path.to_str().ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("cannot {}: its path is not UTF-8", what()),
            )
        })?;
        claim.note(Item::Scratch {
            path: text.to_owned(),
        })?;
        rustix::fs::mkdir(&path, Mode::RWXU).cannot(what)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty()).cannot(what)?;
        Ok(Self { path, fd })
    }

    fn directory(&self, name: &str, owner: u32) -> Result<OwnedFd> {
        let owner = (owner, owner);
        let what = || format!("make directory {}/{name}", self.path.display());
        make_owned(self.fd.as_fd(), OsStr::new(name), owner).cannot(what)
    }
}

fn make_owned(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    (uid, gid): (u32, u32),
) -> rustix::io::Result<OwnedFd> {
    rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
    rustix::fs::fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    Ok(made)
}
