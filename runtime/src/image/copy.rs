//! The job of copying a directory: one file system, no link followed.

mod data;

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, chmodat, fstat, linkat, mkdirat,
    mknodat, openat, openat2, readlinkat, statat, symlinkat,
};
use rustix::io::{Errno, Result as SysResult, retry_on_intr};

use super::archive::free_space;
use super::attach::Looks;
use super::import::ROOT_MODE;
use super::limits::{Budget, Limits};
use super::report::{Counts, WarningKind, Warnings, shown};
use super::tree::{Tree, parent_and_name};
use super::wire::Summary;
use super::worker::{Job, Ticker};
use crate::error::{Context, Error, Kind, Result};
pub(super) use data::DataCopier;

/// A directory to copy.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) from: OwnedFd,
    pub(super) limits: Limits,
}

impl Job for Copy {
    fn inputs(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.from.as_fd()]
    }

    fn decoder_memory(&self) -> u64 {
        0
    }

    fn run(&self, root: OwnedFd, ticker: &mut Ticker<'_>) -> Result<Summary> {
        let budget = Budget::new(&self.limits, free_space(&root)?);
        let mut copier = Copier::new(root, budget)?;
        copier.enter_root(&self.from)?;
        while copier.step()? {
            ticker.tick(copier.data.read());
        }
        Ok(Summary {
            compression: None,
            sha256: None,
            read: copier.data.read(),
            counts: Counts {
                bytes: copier.data.read(),
                ..copier.counts
            },
            warnings: copier.warnings.into_list(),
        })
    }
}

/// A directory being copied.
#[derive(Debug)]
struct Level {
    from: Dir,
    to: OwnedFd,
    path: Vec<u8>,
    looks: Looks,
}

#[derive(Debug)]
struct Copier {
    /// The tree made so far, to find files with more names again.
    tree: Tree,
    /// The tree's own directory, which is not copied if it lies in what is copied.
    own: (u64, u64),
    levels: Vec<Level>,
    /// Where files with more than one name were copied to.
    linked: HashMap<(u64, u64), Vec<u8>>,
    data: DataCopier,
    budget: Budget,
    counts: Counts,
    warnings: Warnings,
}

impl Copier {
    fn new(root: OwnedFd, budget: Budget) -> Result<Self> {
        let stat = fstat(&root).cannot(|| "look at the directory to copy into")?;
        Ok(Self {
            tree: Tree::new(root),
            own: (stat.st_dev, stat.st_ino),
            levels: Vec::new(),
            linked: HashMap::new(),
            data: DataCopier::default(),
            budget,
            counts: Counts::default(),
            warnings: Warnings::default(),
        })
    }

    fn enter_root(&mut self, from: &OwnedFd) -> Result<()> {
        let what = || "read the directory";
        let mut looks = Looks::read(from.as_fd(), b".", &mut self.warnings).cannot(what)?;
        looks.mode &= ROOT_MODE;
        self.levels.push(Level {
            from: Dir::read_from(from).cannot(what)?,
            to: self.tree.root().try_clone_to_owned().cannot(what)?,
            path: Vec::new(),
            looks,
        });
        Ok(())
    }

    /// Copies one entry or finishes one directory; `false` when all is done.
    fn step(&mut self) -> Result<bool> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(false);
        };
        let entry = level.from.read().transpose();
        let entry = entry.cannot(|| format!("read directory '{}'", shown(&level.path)))?;
        let Some(entry) = entry else {
            return self.leave().map(|()| true);
        };
        let name = entry.file_name();
        if name != c"." && name != c".." {
            let path = join(&level.path, name.to_bytes());
            let what = || format!("copy '{}'", shown(&path));
            self.entry(name, &path).cannot(what)?;
        }
        Ok(true)
    }

    fn leave(&mut self) -> Result<()> {
        let Some(level) = self.levels.pop() else {
            return Ok(());
        };
        level
            .looks
            .finish_dir(level.to.as_fd(), &level.path, &mut self.warnings)
            .cannot(|| format!("finish directory '{}'", shown(&level.path)))
    }

    fn entry(&mut self, name: &CStr, path: &[u8]) -> Result<()> {
        self.budget.inode(self.levels.len())?;
        let (from, _) = self.here()?;
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).cannot(|| "look at it")?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.directory(name, path, &stat),
            FileType::RegularFile if self.link(&stat, path)? => Ok(()),
            FileType::RegularFile => self.file(name, path, &stat),
            FileType::Symlink => self.symlink(name, path, &stat),
            FileType::Fifo => self.fifo(name, path, &stat),
            FileType::Socket => {
                self.warnings.member(WarningKind::Sockets, path);
                Ok(())
            }
            _ => {
                self.warnings.member(WarningKind::Devices, path);
                Ok(())
            }
        }
    }

    /// The directory that is being copied, and its copy.
    fn here(&self) -> Result<(BorrowedFd<'_>, BorrowedFd<'_>)> {
        let level = self.levels.last();
        let level = level.ok_or_else(|| Error::new(Kind::Failed, "no directory is open"))?;
        Ok((level.from.fd().cannot(|| "read it")?, level.to.as_fd()))
    }

    fn symlink(&mut self, name: &CStr, path: &[u8], stat: &Stat) -> Result<()> {
        let (from, to) = self.here()?;
        let target = readlinkat(from, name, Vec::new()).cannot(|| "read the link")?;
        symlinkat(&target, to, name).cannot(|| "make the link")?;
        self.counts.symlinks += 1;
        self.finish_node(name, path, stat)
    }

    fn fifo(&mut self, name: &CStr, path: &[u8], stat: &Stat) -> Result<()> {
        let (_, to) = self.here()?;
        mknodat(to, name, FileType::Fifo, Mode::RUSR, 0).cannot(|| "make the pipe")?;
        self.counts.fifos += 1;
        self.finish_node(name, path, stat)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        let (_, to) = self.here()?;
        chmodat(to, name, mode, AtFlags::empty()).cannot(|| "set its mode")
    }

    fn finish_node(&mut self, name: &CStr, path: &[u8], stat: &Stat) -> Result<()> {
        let looks = Looks::from_stat(stat, path, &mut self.warnings);
        let Some(level) = self.levels.last() else {
            return Ok(());
        };
        let node = OsStr::from_bytes(name.to_bytes());
        looks.finish_node(level.to.as_fd(), node, path, &mut self.warnings)
    }

    /// Gives a file that was copied before another name; `false` if it was not.
    fn link(&mut self, stat: &Stat, path: &[u8]) -> Result<bool> {
        let Some(first) = self.linked.get(&(stat.st_dev, stat.st_ino)) else {
            return Ok(false);
        };
        let (old_dir, old_name) = parent_and_name(first);
        let (new_dir, new_name) = parent_and_name(path);
        let what = || "make the hard link";
        let old_dir = self.tree.dir(old_dir).cannot(what)?;
        let new_dir = self.tree.dir(new_dir).cannot(what)?;
        let (old, new) = (OsStr::from_bytes(old_name), OsStr::from_bytes(new_name));
        linkat(&old_dir, old, &new_dir, new, AtFlags::empty()).cannot(what)?;
        self.counts.hard_links += 1;
        Ok(true)
    }

    /// Remembers a file that has more names.
    fn remember(&mut self, stat: &Stat, path: &[u8]) -> Result<()> {
        if stat.st_nlink > 1 {
            self.budget.directory(path.len() + 64)?;
            let key = (stat.st_dev, stat.st_ino);
            self.linked.insert(key, path.to_vec());
        }
        Ok(())
    }

    fn directory(&mut self, name: &CStr, path: &[u8], stat: &Stat) -> Result<()> {
        if (stat.st_dev, stat.st_ino) == self.own {
            return Ok(());
        }
        let (from, to) = self.here()?;
        mkdirat(to, name, Mode::RWXU).cannot(|| "make the directory")?;
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = openat(to, name, how, Mode::empty()).cannot(|| "open the copy")?;
        let opened = open_confined(from, name, OFlags::DIRECTORY);
        self.counts.directories += 1;
        let from = match opened {
            Ok(from) => from,
            Err(Errno::XDEV) => {
                self.warnings.member(WarningKind::MountPoints, path);
                let looks = Looks::from_stat(stat, path, &mut self.warnings);
                return looks.finish_dir(to.as_fd(), path, &mut self.warnings);
            }
            Err(error) => return Err(error).cannot(|| "open it"),
        };
        let looks = Looks::read(from.as_fd(), path, &mut self.warnings);
        self.levels.push(Level {
            looks: looks.cannot(|| "read its attributes")?,
            from: Dir::new(from).cannot(|| "read it")?,
            to,
            path: path.to_vec(),
        });
        Ok(())
    }

    fn file(&mut self, name: &CStr, path: &[u8], stat: &Stat) -> Result<()> {
        let (from, to) = self.here()?;
        let opened = match open_confined(from, name, OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(opened) => File::from(opened),
            Err(Errno::XDEV) => {
                self.warnings.member(WarningKind::MountPoints, path);
                return Ok(());
            }
            Err(error) => return Err(error).cannot(|| "open it"),
        };
        let now = fstat(&opened).cannot(|| "look at it")?;
        if (now.st_dev, now.st_ino) != (stat.st_dev, stat.st_ino) {
            return Err(Error::new(Kind::Failed, "it changed meanwhile"));
        }
        let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(now.st_mode & 0o777);
        let copy = File::from(openat(to, name, how, mode).cannot(|| "make the copy")?);
        let looks = Looks::read(opened.as_fd(), path, &mut self.warnings);
        let looks = looks.cannot(|| "read its attributes")?;
        self.data.copy(&opened, &copy, &mut self.budget)?;
        self.counts.files += 1;
        self.remember(stat, path)?;
        looks.finish_file(copy.as_fd(), path, &mut self.warnings)
    }
}

/// Opens an entry of `dir` itself: not what a link points to, not what is mounted there.
fn open_confined(dir: BorrowedFd<'_>, name: &CStr, how: OFlags) -> SysResult<OwnedFd> {
    let how = how | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOATIME | OFlags::CLOEXEC;
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    retry_on_intr(|| openat2(dir, name, how, Mode::empty(), confined))
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() {
        return name.to_vec();
    }
    [dir, b"/", name].concat()
}
