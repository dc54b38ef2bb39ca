//! Moving a copy from where it was made to where it is to be, by renaming.
//!
//! Others may change the destination meanwhile. Each directory is reached by descriptor and not
//! through a link, and each entry is put in place by one system call.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, OFlags, RenameFlags, renameat, renameat_with, statat};
use rustix::io::Errno;

use crate::error::{Context, Error, Kind, Result};
use crate::image::report::shown;
use crate::image::tree::Tree;

/// Two directories that become one.
#[derive(Debug)]
pub(super) struct Merge {
    from: Tree,
    to: Tree,
    replace: bool,
}

impl Merge {
    /// The entries of `from` go into `to`. Files that are there are replaced only if so wanted.
    pub(super) fn new(from: OwnedFd, to: OwnedFd, replace: bool) -> Self {
        Self {
            from: Tree::new(from),
            to: Tree::new(to),
            replace,
        }
    }

    /// Moves all entries. That none is in the way is looked at before the first is moved.
    pub(super) fn carry_out(&self) -> Result<()> {
        self.go_through(&|from, to, name| self.check(from, to, name))?;
        self.go_through(&|from, to, name| self.shift(from, to, name))
    }

    /// Calls `act` for each entry of the top and of each directory that is in both.
    fn go_through(&self, act: &Act<'_>) -> Result<()> {
        let mut waiting = vec![Vec::new()];
        while let Some(above) = waiting.pop() {
            let what = || format!("open directory '{}'", shown(&above));
            let how = OFlags::RDONLY | OFlags::NOATIME;
            let from = self.from.open(&above, how).cannot(what)?;
            let to = self.to.open(&above, OFlags::PATH).map_err(|errno| {
                let error = Error::new(Kind::Failed, format!("cannot {}", what()));
                let error = error.because(std::io::Error::from(errno));
                match errno {
                    Errno::XDEV => {
                        error.hint("something is mounted there: copy into that by itself")
                    }
                    _ => error,
                }
            })?;
            for name in names(&from).cannot(what)? {
                let path = join(&above, &name);
                let both = act(from.as_fd(), to.as_fd(), &name);
                if both.cannot(|| format!("put '{}' in place", shown(&path)))? {
                    waiting.push(path);
                }
            }
        }
        Ok(())
    }

    fn check(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
        let there = kind(to, name).cannot(|| "look at what is there")?;
        let Some(there) = there else {
            return Ok(false);
        };
        let ours = kind(from, name).cannot(|| "look at the copy")?;
        both(ours, there, self.replace)
    }

    fn shift(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
        place(from, name, to, name, self.replace)
    }
}

type Act<'a> = dyn Fn(BorrowedFd<'_>, BorrowedFd<'_>, &CStr) -> Result<bool> + 'a;

/// Gives an entry of `from` its place in `to`; `true` if both are directories, and nothing was done.
fn place(
    from: BorrowedFd<'_>,
    old: &CStr,
    to: BorrowedFd<'_>,
    new: &CStr,
    replace: bool,
) -> Result<bool> {
    let what = || "move it";
    match renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(false),
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error).cannot(what),
    }
    let ours = kind(from, old).cannot(|| "look at the copy")?;
    let there = kind(to, new).cannot(|| "look at what is there")?;
    if let Some(there) = there
        && both(ours, there, replace)?
    {
        return Ok(true);
    }
    renameat(from, old, to, new).cannot(what)?;
    Ok(false)
}

/// Whether both are directories; if not, whether one may take the place of the other.
fn both(ours: Option<FileType>, there: FileType, replace: bool) -> Result<bool> {
    let is_dir = |kind: FileType| kind == FileType::Directory;
    match (ours.is_some_and(is_dir), is_dir(there)) {
        (true, true) => Ok(true),
        (true, false) => Err(Error::new(
            Kind::BadInput,
            "something is there that is no directory",
        )),
        (false, true) => Err(Error::new(Kind::BadInput, "a directory is there")),
        (false, false) if replace => Ok(false),
        (false, false) => Err(Error::new(Kind::Busy, "it exists already")
            .hint("--force replaces files, and never directories")),
    }
}

/// Puts the entry `old` of `from` in place as `new` in `to`, or its entries, if both are directories.
pub(super) fn settle(
    from: &OwnedFd,
    old: &CStr,
    to: &OwnedFd,
    new: &OsStr,
    replace: bool,
) -> Result<()> {
    let new = CString::new(new.as_bytes())
        .map_err(|_| Error::new(Kind::Usage, "the name holds a NUL byte"))?;
    if !place(from.as_fd(), old, to.as_fd(), &new, replace)? {
        return Ok(());
    }
    let (from, to) = (subdirectory(from, old)?, subdirectory(to, &new)?);
    Merge::new(from, to, replace).carry_out()
}

/// Opens a directory itself.
pub(super) fn subdirectory(of: &OwnedFd, name: &CStr) -> Result<OwnedFd> {
    let of = of.try_clone().cannot(|| "duplicate a descriptor")?;
    let opened = Tree::new(of).open(name.to_bytes(), OFlags::RDONLY);
    opened.cannot(|| format!("open directory '{}'", shown(name.to_bytes())))
}

fn kind(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<Option<FileType>> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All names at once: entries go while they are moved.
fn names(dir: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn join(dir: &[u8], name: &CStr) -> Vec<u8> {
    if dir.is_empty() {
        return name.to_bytes().to_vec();
    }
    [dir, b"/", name.to_bytes()].concat()
}
