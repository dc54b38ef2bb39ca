//! What the mounts of a machine are made of: sources that were opened, and directories of the
//! machine's own, which go with it.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};

use crate::error::{Context, Error, Kind, Result};
use crate::facts::{ImageRoot, Opened};
use crate::launch::{self, Materials, Work};
use crate::plan::mounts::{Source, What};
use crate::plan::{Changes, Plan};
use crate::state::{Claim, Incarnation, Item};

/// Where new directories are made.
const PLACE: &str = "/var/tmp";

/// Sources and the kernel's own directories for overlays.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    sources: Vec<OwnedFd>,
    works: Vec<Option<Work>>,
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
/// of the image's top belongs to `top`.
pub(super) fn gather(
    plan: &Plan,
    root: &ImageRoot,
    opened: Vec<Opened>,
    (owner, top): (u32, (u32, u32)),
    claim: &mut Claim,
) -> Result<Gathered> {
    let mut gathered = Gathered {
        changes: elsewhere(plan, root, top, claim)?,
        ..Gathered::default()
    };
    let mut opened = opened.into_iter();
    for planned in &plan.mounts {
        let what = &planned.mount.what;
        let takes_changes = matches!(what, What::Overlay { .. }) && !planned.mount.read_only;
        let sources = what.sources();
        let last = sources.len().saturating_sub(1);
        for (number, (source, opened)) in sources.into_iter().zip(opened.by_ref()).enumerate() {
            if takes_changes && number == last {
                gathered.add_upper(source, opened, (plan, root, owner), claim)?;
            } else {
                gathered.add(source, opened, owner, claim)?;
            }
        }
    }
    Ok(gathered)
}

impl Gathered {
    fn add(
        &mut self,
        source: &Source,
        opened: Opened,
        owner: u32,
        claim: &mut Claim,
    ) -> Result<()> {
        let fd = match (opened.fd, source) {
            (Some(fd), _) => fd,
            (None, Source::Made(path)) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = rustix::fs::open(path, flags, Mode::empty());
                opened.cannot(|| format!("open {}", path.display()))?
            }
            (None, _) => Scratch::make(Path::new(PLACE), claim)?.directory("src", owner)?,
        };
        self.sources.push(fd);
        self.works.push(None);
        Ok(())
    }

    /// A directory that takes changes, with one for the kernel's use.
    fn add_upper(
        &mut self,
        source: &Source,
        opened: Opened,
        (plan, root, owner): (&Plan, &ImageRoot, u32),
        claim: &mut Claim,
    ) -> Result<()> {
        let (fd, work) = match (opened.fd, source) {
            (Some(fd), Source::Image(_)) => (fd, inside(plan, root, claim)?),
            (Some(fd), _) => {
                let work = beside(&fd, claim).cannot(|| format!("use {source} in an overlay"))?;
                (fd, Work::Outside(work))
            }
            (None, _) => {
                let scratch = Scratch::make(Path::new(PLACE), claim)?;
                let new = scratch.directory("src", owner)?;
                (new, Work::Outside(scratch.directory("work", 0)?))
            }
        };
        self.sources.push(fd);
        self.works.push(Some(work));
        Ok(())
    }
}

/// The kernel's directory at the image's top, where no link of the image is on the way. Root of the
/// machine can damage it, and with it its own overlay.
fn inside(plan: &Plan, root: &ImageRoot, claim: &mut Claim) -> Result<Work> {
    let scratch = Scratch::make(&plan.root, claim)?;
    let owner = root.owner()?;
    let what = || format!("make directory {}/work", scratch.path.display());
    // As owners the kernel wants those that the image's map of ids shows.
    let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    rustix::fs::fchown(&scratch.fd, Some(uid), Some(gid)).cannot(what)?;
    make_owned(scratch.fd.as_fd(), OsStr::new("work"), owner).cannot(what)?;
    let name = scratch.path.file_name().unwrap_or_default().as_bytes();
    let path = CString::new([name, b"/work"].concat());
    path.map(Work::Inside)
        .map_err(|_| Error::new(Kind::Failed, "a name holds a NUL byte"))
}

/// The place for the changes to the root.
fn elsewhere(
    plan: &Plan,
    root: &ImageRoot,
    top: (u32, u32),
    claim: &mut Claim,
) -> Result<Option<Elsewhere>> {
    let what = || "make a place for the changes to the root";
    let mode = || {
        let stat = rustix::fs::fstat(root)?;
        Ok::<_, rustix::io::Errno>(Mode::from_raw_mode(stat.st_mode))
    };
    let made = |place: BorrowedFd<'_>, memory| {
        let (upper, work) = (OsStr::new("upper"), OsStr::new("work"));
        let made = Elsewhere {
            upper: make_owned(place, upper, top).cannot(what)?,
            work: make_owned(place, work, (0, 0)).cannot(what)?,
            _memory: memory,
        };
        mode()
            .and_then(|mode| rustix::fs::fchmod(&made.upper, mode))
            .cannot(what)?;
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
