//! Removes whole trees, whatever their owner did to keep them.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Dir, FileType, IFlags, Mode, OFlags, RenameFlags, ResolveFlags, ioctl_getflags,
    ioctl_setflags, openat, openat2, renameat_with, statat, unlinkat,
};
use rustix::io::{Errno, Result as SysResult, retry_on_intr};

use crate::error::{Context, Error, Kind, Result};

/// Directories kept open on the way down. What lies deeper is moved up first, so that no
/// depth exhausts the descriptors.
const OPEN_LEVELS: usize = 128;

/// Flags that forbid removal.
const LOCKED: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

/// Removes `name` in `parent` and all below it. Symbolic links are removed, not followed;
/// immutable and append-only flags are cleared. What does not exist is no error.
///
/// # Errors
/// [`Kind::Busy`] if something is mounted below it, [`Kind::Failed`] otherwise. Part of
/// the tree may be gone then.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let c_name = CString::new(name.as_bytes()).map_err(|_| {
        Error::new(
            Kind::Failed,
            "cannot remove a tree whose name holds a NUL byte",
        )
    })?;
    match remove(parent, &c_name) {
        Ok(()) => Ok(()),
        Err(Errno::XDEV | Errno::BUSY) => Err(Error::new(
            Kind::Busy,
            format!(
                "cannot remove {}: something is mounted in it",
                name.display()
            ),
        )),
        Err(error) => Err(error).cannot(|| format!("remove {}", name.display())),
    }
}

fn remove(parent: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
    match kind_of(parent, name) {
        Ok(FileType::Directory) => {}
        Ok(_) => return remove_one(parent, name, AtFlags::empty()),
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error),
    }
    let top = open_dir(parent, name)?;
    loop {
        let mut sweep = Sweep::new(&top)?;
        while sweep.step()? {}
        match remove_one(parent, name, AtFlags::REMOVEDIR) {
            // Moving deep directories up added entries while the top was being read.
            Err(Errno::NOTEMPTY | Errno::EXIST) if sweep.progress => {}
            result => return result,
        }
    }
}

/// One walk over a tree, emptying it.
struct Sweep<'a> {
    top: &'a OwnedFd,
    /// From the top down: an open directory and its name in the one above.
    levels: Vec<(Dir, CString)>,
    moved: u64,
    progress: bool,
}

impl<'a> Sweep<'a> {
    fn new(top: &'a OwnedFd) -> SysResult<Self> {
        Ok(Self {
            top,
            levels: vec![(Dir::read_from(top)?, CString::default())],
            moved: 0,
            progress: false,
        })
    }

    /// Removes one entry, enters one directory, or leaves an empty one; `false` at the end.
    fn step(&mut self) -> SysResult<bool> {
        let depth = self.levels.len();
        let Some((dir, _)) = self.levels.last_mut() else {
            return Ok(false);
        };
        let Some(entry) = dir.read().transpose()? else {
            return self.leave();
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            return Ok(true);
        }
        let name = name.to_owned();
        let fd = dir.fd()?;
        let kind = match entry.file_type() {
            FileType::Unknown => kind_of(fd, &name)?,
            kind => kind,
        };
        if kind != FileType::Directory {
            remove_one(fd, &name, AtFlags::empty())?;
            self.progress = true;
        } else if depth < OPEN_LEVELS {
            let inner = Dir::new(open_dir(fd, &name)?)?;
            self.levels.push((inner, name));
        } else {
            let to = move_up(fd, &name, self.top, self.moved)?;
            self.moved = to;
            self.progress = true;
        }
        Ok(true)
    }

    fn leave(&mut self) -> SysResult<bool> {
        let Some((_, name)) = self.levels.pop() else {
            return Ok(false);
        };
        let Some((above, _)) = self.levels.last() else {
            return Ok(false);
        };
        remove_one(above.fd()?, &name, AtFlags::REMOVEDIR)?;
        self.progress = true;
        Ok(true)
    }
}

/// Moves a directory to the top under a free name; says the number that the name has.
fn move_up(from: BorrowedFd<'_>, name: &CStr, top: &OwnedFd, last: u64) -> SysResult<u64> {
    let mut number = last;
    loop {
        number += 1;
        let new = format!(".#deep{number}");
        match renameat_with(from, name, top, &*new, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(number),
            Err(Errno::EXIST) => {}
            Err(Errno::PERM) => {
                unlock(from)?;
                unlock(openat(from, name, reading(), Mode::empty())?.as_fd())?;
                renameat_with(from, name, top, &*new, RenameFlags::NOREPLACE)?;
                return Ok(number);
            }
            Err(error) => return Err(error),
        }
    }
}

fn open_dir(parent: BorrowedFd<'_>, name: &CStr) -> SysResult<OwnedFd> {
    let how = reading() | OFlags::DIRECTORY;
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    retry_on_intr(|| openat2(parent, name, how, Mode::empty(), confined))
}

fn reading() -> OFlags {
    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

fn kind_of(dir: BorrowedFd<'_>, name: &CStr) -> SysResult<FileType> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// Removes one name; what is locked by flags is unlocked first.
fn remove_one(dir: BorrowedFd<'_>, name: &CStr, how: AtFlags) -> SysResult<()> {
    match unlinkat(dir, name, how) {
        Err(Errno::PERM) => {}
        Err(Errno::NOENT) => return Ok(()),
        result => return result,
    }
    unlock(dir)?;
    // Opening anything else could wake a device's driver; only these can be locked.
    if matches!(
        kind_of(dir, name)?,
        FileType::RegularFile | FileType::Directory
    ) {
        unlock(openat(dir, name, reading(), Mode::empty())?.as_fd())?;
    }
    unlinkat(dir, name, how)
}

fn unlock(file: BorrowedFd<'_>) -> SysResult<()> {
    let flags = match ioctl_getflags(file) {
        Ok(flags) => flags,
        Err(Errno::NOTTY | Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error),
    };
    if flags.intersects(LOCKED) {
        ioctl_setflags(file, flags.difference(LOCKED))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::fstat;
    use std::fs::{self, File};
    use std::path::Path;

    fn removed(dir: &Path) {
        let fd = File::open(dir).unwrap();
        remove_tree(fd.as_fd(), OsStr::new("t")).unwrap();
        assert!(fs::symlink_metadata(dir.join("t")).is_err());
    }

    #[test]
    fn removes_a_tree_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t/a/b")).unwrap();
        fs::create_dir(dir.path().join("kept")).unwrap();
        fs::write(dir.path().join("kept/file"), "x").unwrap();
        fs::write(dir.path().join("t/a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("../kept", dir.path().join("t/link")).unwrap();
        removed(dir.path());
        assert!(dir.path().join("kept/file").exists());
    }

    #[test]
    fn removes_single_files_and_links_and_accepts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        removed(dir.path());
        fs::write(dir.path().join("t"), "x").unwrap();
        removed(dir.path());
        std::os::unix::fs::symlink("/", dir.path().join("t")).unwrap();
        removed(dir.path());
    }

    #[test]
    fn depth_exhausts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = File::open(dir.path()).unwrap();
        for name in std::iter::once("t").chain(std::iter::repeat_n("d", 1500)) {
            rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
            let how = OFlags::RDONLY | OFlags::DIRECTORY;
            at = openat(&at, name, how, Mode::empty()).unwrap().into();
        }
        assert!(fstat(&at).is_ok());
        drop(at);
        removed(dir.path());
    }

    #[test]
    fn clears_immutable_and_append_only_flags() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t/var/empty")).unwrap();
        fs::write(dir.path().join("t/var/log"), "x").unwrap();
        let locks = [
            ("t/var/empty", IFlags::IMMUTABLE),
            ("t/var/log", IFlags::APPEND),
            ("t/var", IFlags::IMMUTABLE),
        ];
        for (path, lock) in locks {
            let file = File::open(dir.path().join(path)).unwrap();
            let flags = ioctl_getflags(&file).unwrap();
            ioctl_setflags(&file, flags | lock).unwrap();
        }
        removed(dir.path());
    }
}
