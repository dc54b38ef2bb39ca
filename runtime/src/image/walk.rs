//! Everything in a tree, each name once, nothing of what is mounted in it.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Statx, StatxAttributes, StatxFlags,
    openat2, statx,
};
use rustix::io::{Errno, Result as SysResult, retry_on_intr};

use super::report::shown;
use super::tree::Tree;
use crate::error::{Context, Result};

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    dir: BorrowedFd<'a>,
    name: &'a CStr,
    /// From the top down, without a slash in front.
    pub(crate) path: &'a [u8],
}

impl Found<'_> {
    /// Looks at it without following a link or setting off a mount.
    pub(crate) fn look(&self) -> SysResult<Statx> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(self.dir, self.name, flags, StatxFlags::BASIC_STATS)
    }

    /// Pins the inode, whatever it is; `None` if something is mounted there.
    pub(crate) fn pin(&self) -> SysResult<Option<OwnedFd>> {
        let how = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let open = || openat2(self.dir, self.name, how, Mode::empty(), confined);
        match retry_on_intr(open) {
            Err(Errno::XDEV) => Ok(None),
            other => other.map(Some),
        }
    }
}

/// The type of what was looked at.
pub(crate) fn kind(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

/// Whether something is mounted there.
pub(crate) fn is_mount_point(stat: &Statx) -> bool {
    stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
}

/// Visits all below the top of `tree`. Where `visit` says so, it goes down into a directory,
/// later and by its path: no depth exhausts descriptors.
pub(crate) fn walk(tree: &Tree, visit: &mut dyn FnMut(&Found<'_>) -> Result<bool>) -> Result<()> {
    let mut waiting = vec![Vec::new()];
    while let Some(above) = waiting.pop() {
        let what = || format!("read directory '{}'", shown(&above));
        let dir = tree.open(&above, OFlags::RDONLY | OFlags::NOATIME);
        let mut dir = Dir::new(dir.cannot(what)?).cannot(what)?;
        while let Some(entry) = dir.read().transpose().cannot(what)? {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let path = join(&above, name.to_bytes());
            let found = Found {
                dir: dir.fd().cannot(what)?,
                name,
                path: &path,
            };
            if visit(&found)? {
                waiting.push(path);
            }
        }
    }
    Ok(())
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() {
        return name.to_vec();
    }
    [dir, b"/", name].concat()
}
