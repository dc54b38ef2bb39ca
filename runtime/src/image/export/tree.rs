//! Going through a tree in order, every directory reached by descriptor and never through a
//! link.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, readlinkat, statat,
};
use rustix::io::{Errno, Result as SysResult, retry_on_intr};
use tar::Builder;

use super::data::{Map, Runs};
use super::entry::Member;
use crate::error::{Context, Error, Kind, Result};
use crate::image::attach::Attributes;
use crate::image::import::Progress;
use crate::image::report::{Counts, Warning, WarningKind, Warnings, shown};
use crate::image::tree::{Tree, parent_and_name};
use crate::ownership::Inside;

/// A name and where it is: below the top, without a slash in front.
type Path = Vec<u8>;

/// A tree being written.
pub(in crate::image) struct Exporter<W: Write> {
    tree: Tree,
    /// What the top is called in the archive; nothing for `./`.
    called: Path,
    /// Names that begin with this are passed over.
    passed_over: Option<&'static [u8]>,
    builder: Builder<W>,
    inside: Inside,
    /// What is left to do, the next at the end.
    waiting: Vec<Path>,
    /// The first names of files that have more.
    linked: HashMap<(u64, u64), Path>,
    counts: Counts,
    warnings: Warnings,
}

impl<W: Write> Exporter<W> {
    pub(in crate::image) fn new(top: OwnedFd, to: W, inside: Inside) -> Self {
        Self {
            tree: Tree::new(top),
            called: Vec::new(),
            passed_over: None,
            builder: Builder::new(to),
            inside,
            waiting: vec![Vec::new()],
            linked: HashMap::new(),
            counts: Counts::default(),
            warnings: Warnings::default(),
        }
    }

    /// Calls the top by a name, and passes over names in the tree that begin so.
    pub(in crate::image) fn calling(mut self, called: &[u8], passed_over: &'static [u8]) -> Self {
        called.clone_into(&mut self.called);
        self.passed_over = Some(passed_over);
        self
    }

    /// Writes the top, which is no directory, as the only member. `opened` is there to read a
    /// regular file by.
    pub(in crate::image) fn single(
        &mut self,
        top: &OwnedFd,
        opened: Option<OwnedFd>,
    ) -> Result<()> {
        let (path, what) = (Vec::new(), || "read it");
        let stat = fstat(top).cannot(what)?;
        let written = match (FileType::from_raw_mode(stat.st_mode), opened) {
            (FileType::RegularFile, Some(opened)) => {
                self.regular(&path, &File::from(opened), &stat)
            }
            (FileType::Symlink, _) => {
                let target = readlinkat(top, c"", Vec::new()).cannot(what)?;
                self.simple(&path, &stat, Some(&target))
            }
            (FileType::Socket, _) => {
                self.warnings.member(WarningKind::Sockets, &self.called);
                Ok(())
            }
            _ => self.simple(&path, &stat, None),
        };
        match written {
            Ok(()) => Ok(()),
            Err(Stop::Vanished) => Err(Error::new(Kind::Failed, "it changed meanwhile")),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// What the archive calls the path.
    fn named(&self, path: &[u8]) -> Path {
        match (self.called.is_empty(), path.is_empty()) {
            (true, _) => path.to_vec(),
            (false, true) => self.called.clone(),
            (false, false) => [&self.called, &b"/"[..], path].concat(),
        }
    }

    /// Writes all members.
    pub(in crate::image) fn run(&mut self, progress: &mut dyn Progress) -> Result<()> {
        while let Some(path) = self.waiting.pop() {
            let done = match self.member(&path) {
                // Somebody who uses the tree has removed it.
                Err(Stop::Vanished) => {
                    self.warnings.member(WarningKind::Changed, &path);
                    Ok(())
                }
                Err(Stop::Failed(error)) => Err(error),
                Ok(()) => Ok(()),
            };
            done.cannot(|| format!("write '{}'", shown(&path)))?;
            progress.advanced(self.counts.bytes, None);
        }
        Ok(())
    }

    /// Ends the archive.
    pub(in crate::image) fn finish(self) -> Result<(W, Counts, Vec<Warning>)> {
        let writer = self.builder.into_inner();
        let writer = writer.cannot(|| "write the archive's end")?;
        Ok((writer, self.counts, self.warnings.into_list()))
    }

    fn member(&mut self, path: &Path) -> Result<(), Stop> {
        if path.is_empty() {
            let top = self.tree.open(path, OFlags::RDONLY)?;
            return self.directory(path, top);
        }
        let (dir, name) = parent_and_name(path);
        let dir = self.tree.dir(dir)?;
        let name = OsStr::from_bytes(name);
        let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => match open_confined(&dir, name, OFlags::DIRECTORY) {
                Err(Errno::XDEV) => {
                    self.warnings.member(WarningKind::MountPoints, path);
                    self.simple(path, &stat, None)
                }
                opened => self.directory(path, opened?),
            },
            FileType::RegularFile => self.file(path, &dir, &stat),
            FileType::Symlink => {
                let target = readlinkat(&dir, name, Vec::new())?;
                self.simple(path, &stat, Some(&target))
            }
            FileType::Socket => {
                self.warnings.member(WarningKind::Sockets, path);
                Ok(())
            }
            _ => self.simple(path, &stat, None),
        }
    }

    /// What cannot be opened, or has nothing in it.
    fn simple(&mut self, path: &Path, stat: &Stat, target: Option<&CStr>) -> Result<(), Stop> {
        let first = self.remember(path, stat).map(|first| self.named(&first));
        let target = first.as_deref().or(target.map(CStr::to_bytes));
        let member = Member {
            path: &self.named(path),
            stat,
            target,
            is_hard_link: first.is_some(),
            attributes: &[],
            map: None,
        };
        member.append(&mut self.builder, &self.inside, &mut io::empty())?;
        match FileType::from_raw_mode(stat.st_mode) {
            _ if first.is_some() => self.counts.hard_links += 1,
            FileType::Directory => self.counts.directories += 1,
            FileType::Symlink => self.counts.symlinks += 1,
            FileType::Fifo => self.counts.fifos += 1,
            _ => {}
        }
        Ok(())
    }

    /// Writes a directory and notes what is in it.
    fn directory(&mut self, path: &Path, opened: OwnedFd) -> Result<(), Stop> {
        let attributes = Attributes::read(opened.as_fd(), path, &mut self.warnings)?;
        let stat = fstat(&opened)?;
        let member = Member {
            path: &self.named(path),
            stat: &stat,
            target: None,
            is_hard_link: false,
            attributes: attributes.list(),
            map: None,
        };
        let lost = member.append(&mut self.builder, &self.inside, &mut io::empty())?;
        self.warnings.add(WarningKind::Attributes, lost);
        self.counts.directories += u64::from(!path.is_empty());
        let mut names = sorted(opened)?;
        if let Some(begin) = self.passed_over {
            names.retain(|name| !name.to_bytes().starts_with(begin));
        }
        let below = names.into_iter().rev().map(|name| join(path, &name));
        self.waiting.extend(below);
        Ok(())
    }

    fn file(&mut self, path: &Path, dir: &OwnedFd, stat: &Stat) -> Result<(), Stop> {
        if self.linked.contains_key(&(stat.st_dev, stat.st_ino)) {
            return self.simple(path, stat, None);
        }
        let name = OsStr::from_bytes(parent_and_name(path).1);
        let opened = match open_confined(dir, name, OFlags::NONBLOCK | OFlags::NOCTTY) {
            Err(Errno::XDEV) => {
                self.warnings.member(WarningKind::MountPoints, path);
                return Ok(());
            }
            opened => File::from(opened?),
        };
        self.regular(path, &opened, stat)
    }

    /// Writes an open file, if it is the one that was looked at.
    fn regular(&mut self, path: &Path, opened: &File, stat: &Stat) -> Result<(), Stop> {
        let now = fstat(opened)?;
        if (now.st_dev, now.st_ino) != (stat.st_dev, stat.st_ino) {
            return Err(Stop::Vanished);
        }
        self.remember(path, &now);
        let attributes = Attributes::read(opened.as_fd(), path, &mut self.warnings)?;
        let map = Map::of(opened, u64::try_from(now.st_size).unwrap_or_default())?;
        let member = Member {
            path: &self.named(path),
            stat: &now,
            target: None,
            is_hard_link: false,
            attributes: attributes.list(),
            map: Some(&map),
        };
        let mut runs = Runs::new(opened, &map);
        let lost = member.append(&mut self.builder, &self.inside, &mut runs)?;
        self.warnings.add(WarningKind::Attributes, lost);
        if runs.was_cut || changed(&now, &fstat(opened)?) {
            self.warnings.member(WarningKind::Changed, path);
        }
        self.counts.files += 1;
        self.counts.bytes += map.data();
        Ok(())
    }

    /// The first name of something with several, which is remembered if this is it.
    fn remember(&mut self, path: &Path, stat: &Stat) -> Option<Path> {
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_dir || stat.st_nlink < 2 {
            return None;
        }
        let key = (stat.st_dev, stat.st_ino);
        match self.linked.get(&key) {
            Some(first) => Some(first.clone()),
            None => {
                self.linked.insert(key, path.clone());
                None
            }
        }
    }
}

/// Why a member is not written.
enum Stop {
    /// It is not there any more.
    Vanished,
    Failed(Error),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::Vanished,
            // It was replaced by something of another kind.
            Errno::LOOP | Errno::NOTDIR => Self::Vanished,
            errno => io::Error::from(errno).into(),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        let failed: Result<()> = Err(error).cannot(|| "copy it to the archive");
        failed.map_or_else(Self::Failed, |()| Self::Vanished)
    }
}

fn changed(before: &Stat, after: &Stat) -> bool {
    let state = |s: &Stat| (s.st_size, s.st_mtime, s.st_mtime_nsec);
    state(before) != state(after)
}

/// The names in a directory, in the order of their bytes.
fn sorted(dir: OwnedFd) -> SysResult<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::new(dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Opens an entry itself: not what a link points to, not what is mounted there.
fn open_confined(dir: &OwnedFd, name: &OsStr, how: OFlags) -> SysResult<OwnedFd> {
    let how = how | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOATIME | OFlags::CLOEXEC;
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    retry_on_intr(|| openat2(dir, name, how, Mode::empty(), confined))
}

fn join(dir: &[u8], name: &CStr) -> Path {
    if dir.is_empty() {
        return name.to_bytes().to_vec();
    }
    [dir, b"/", name.to_bytes()].concat()
}
