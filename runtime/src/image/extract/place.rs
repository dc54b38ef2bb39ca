//! Puts one member into the tree.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, chmodat, ftruncate, linkat, mkdirat, mknodat, openat, statat,
    symlinkat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::Unpacker;
use crate::error::{Context, Error, Kind, Result};
use crate::image::attach::Looks;
use crate::image::report::shown;
use crate::image::tar::{Entry, Feed, MemberPath, Reader, SparseMap, normalise};
use crate::image::tree::{Dir, parent_and_name};

/// Longest target of a symbolic link: `PATH_MAX` less the final NUL.
const LINK_MAX: usize = 4095;

/// Bytes taken from the decoder at once; it gives pieces that are smaller.
const ALL: u64 = u64::MAX;

impl Unpacker {
    /// Makes a directory, or accepts the one that is there.
    pub(super) fn directory(&mut self, path: &MemberPath, looks: Looks) -> Result<()> {
        if !path.bytes.is_empty() {
            let (parent, name) = self.parent(&path.bytes)?;
            match mkdirat(&parent, name, Mode::RWXU) {
                Ok(()) => self.counts.directories += 1,
                Err(Errno::EXIST) => self.must_be_directory(&parent, name)?,
                Err(error) => return Err(error).cannot(|| "make the directory"),
            }
        }
        self.directories.set(&path.bytes, looks, &mut self.budget)
    }

    fn must_be_directory(&self, parent: &Dir, name: &OsStr) -> Result<()> {
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).cannot(|| "look at it")?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(()),
            FileType::Symlink => Err(refusal("a symbolic link of that name is there already")),
            _ => Err(refusal("a file of that name is there already")),
        }
    }

    /// Makes a regular file with the data that the reader stands before.
    pub(super) fn file<F: Feed>(
        &mut self,
        path: &MemberPath,
        entry: &Entry,
        looks: &Looks,
        reader: &mut Reader<F>,
    ) -> Result<()> {
        self.budget.data(entry.stored)?;
        let (parent, name) = self.parent(&path.bytes)?;
        let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        // The umask is 0 and no parent has a default list yet, so that this is the mode.
        let mode = Mode::from_raw_mode(looks.mode & 0o777);
        let make = || retry_on_intr(|| openat(&parent, name, how | OFlags::CLOEXEC, mode));
        let file = self.make("make the file", &path.bytes, &parent, make)?;
        let file = File::from(file);
        match &entry.sparse {
            None => write_all(&file, reader)?,
            Some(map) => write_sparse(&file, map, reader)?,
        }
        self.counts.files += 1;
        self.counts.bytes += entry.stored;
        looks.finish_file(file.as_fd(), &path.bytes, &mut self.warnings)
    }

    /// Makes a symbolic link. What it points to is the image's business.
    pub(super) fn symlink(
        &mut self,
        path: &MemberPath,
        target: &[u8],
        looks: &Looks,
    ) -> Result<()> {
        if target.len() > LINK_MAX {
            return Err(refusal("its target is longer than 4095 bytes"));
        }
        let (parent, name) = self.parent(&path.bytes)?;
        let make = || symlinkat(OsStr::from_bytes(target), &parent, name);
        self.make("make the symbolic link", &path.bytes, &parent, make)?;
        self.counts.symlinks += 1;
        looks.finish_node(parent.as_fd(), name, &path.bytes, &mut self.warnings)
    }

    /// Makes a named pipe.
    pub(super) fn fifo(&mut self, path: &MemberPath, looks: &Looks) -> Result<()> {
        let (parent, name) = self.parent(&path.bytes)?;
        let make = || mknodat(&parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
        self.make("make the named pipe", &path.bytes, &parent, make)?;
        self.counts.fifos += 1;
        looks.finish_node(parent.as_fd(), name, &path.bytes, &mut self.warnings)?;
        let mode = Mode::from_raw_mode(looks.mode);
        chmodat(&parent, name, mode, AtFlags::empty()).cannot(|| "set its mode")
    }

    /// Gives a file or symbolic link that was unpacked before one more name.
    pub(super) fn hard_link(&mut self, path: &MemberPath, target: &[u8]) -> Result<()> {
        let target = normalise(target)
            .map_err(|fault| refusal(&format!("the file it is a link to: {}", fault.text())))?;
        if target.bytes == path.bytes {
            return Err(refusal("it is a hard link to itself"));
        }
        let (old_dir, old_name) = self.link_target(&target.bytes)?;
        let (parent, name) = self.parent(&path.bytes)?;
        let make = || linkat(&old_dir, old_name, &parent, name, AtFlags::empty());
        self.make("make the hard link", &path.bytes, &parent, make)?;
        self.counts.hard_links += 1;
        Ok(())
    }

    fn link_target<'a>(&mut self, target: &'a [u8]) -> Result<(Dir, &'a OsStr)> {
        let (dir, name) = parent_and_name(target);
        let missing = || {
            let target = shown(target);
            refusal(&format!(
                "the file it is a link to, '{target}', is not in the archive before it"
            ))
        };
        let dir = match self.tree.dir(dir) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Err(missing()),
            Err(error) => return Err(self.tree.unreachable(dir, error)),
        };
        let name = OsStr::from_bytes(name);
        let stat = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(missing()),
            Err(error) => return Err(error).cannot(|| "look at the file it is a link to"),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Symlink | FileType::Fifo => Ok((dir, name)),
            _ => Err(refusal("it is a hard link to a directory")),
        }
    }

    /// The open parent of a path, made if it is missing, and the path's last component.
    pub(super) fn parent<'a>(&mut self, path: &'a [u8]) -> Result<(Dir, &'a OsStr)> {
        let (dir, name) = parent_and_name(path);
        let dir = match self.tree.dir(dir) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => self.missing_parent(dir)?,
            Err(error) => return Err(self.tree.unreachable(dir, error)),
        };
        Ok((dir, OsStr::from_bytes(name)))
    }

    /// Makes the directories that lead to `path`, and the one there.
    fn missing_parent(&mut self, path: &[u8]) -> Result<Dir> {
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
        let ends: Vec<usize> = slashes.map(|(at, _)| at).chain([path.len()]).collect();
        for end in ends {
            let part = &path[..end];
            match self.tree.dir(part) {
                Ok(_) => continue,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(self.tree.unreachable(part, error)),
            }
            self.budget.inode(1)?;
            let (dir, name) = parent_and_name(part);
            let dir = self
                .tree
                .dir(dir)
                .cannot(|| "open a directory that leads to it")?;
            mkdirat(&dir, OsStr::from_bytes(name), Mode::RWXU)
                .cannot(|| "make a directory that leads to it")?;
            self.counts.directories += 1;
            self.directories.imply(part, &mut self.budget)?;
        }
        self.tree
            .dir(path)
            .cannot(|| "open the directory it belongs to")
    }

    /// Makes something that must not exist yet; of two members with one name the last
    /// counts, as in all readers of tar.
    fn make<T>(
        &mut self,
        what: &str,
        path: &[u8],
        parent: &Dir,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T> {
        let made = match make() {
            Err(Errno::EXIST) => {
                self.replace(path, parent)?;
                make()
            }
            made => made,
        };
        made.cannot(|| what)
    }

    /// Removes what has a member's name. A directory goes only if it is empty.
    fn replace(&mut self, path: &[u8], parent: &Dir) -> Result<()> {
        let (_, name) = parent_and_name(path);
        let name = OsStr::from_bytes(name);
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(error) => return Err(error).cannot(|| "replace an earlier member of that name"),
        }
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::BUSY | Errno::INVAL) => {
                return Err(refusal("a directory of that name is there and not empty"));
            }
            Err(error) => return Err(error).cannot(|| "replace an earlier directory of that name"),
        }
        self.tree.forget(path);
        self.directories.remove(path);
        Ok(())
    }
}

/// The archive is at fault.
pub(super) fn refusal(what: &str) -> Error {
    Error::new(Kind::BadInput, what)
}

fn write_all<F: Feed>(mut file: &File, reader: &mut Reader<F>) -> Result<()> {
    loop {
        let bytes = reader.data(ALL)?;
        if bytes.is_empty() {
            return Ok(());
        }
        file.write_all(bytes).cannot(|| "write it")?;
    }
}

/// Writes the stored runs to their places; what is between them stays a hole.
fn write_sparse<F: Feed>(file: &File, map: &SparseMap, reader: &mut Reader<F>) -> Result<()> {
    ftruncate(file, map.size).cannot(|| format!("make it {} bytes long", map.size))?;
    for segment in &map.segments {
        let mut done = 0;
        while done < segment.length {
            let bytes = reader.data(segment.length - done)?;
            file.write_all_at(bytes, segment.offset + done)
                .cannot(|| "write it")?;
            done += bytes.len() as u64;
        }
    }
    Ok(())
}
