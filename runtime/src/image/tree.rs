//! The tree being made, every directory reached by descriptor and never through a link.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, retry_on_intr};

use super::report::shown;
use super::tar::split;
use crate::error::{Error, Kind};

/// Directories kept open: archives come back to the last few again and again.
const OPEN: usize = 16;

/// Longest path for one system call; `PATH_MAX` counts the final NUL.
const PATH_MAX: usize = 4095;

/// Nothing on the way may be a link, lie on another file system or above the root.
const CONFINED: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// A directory that outlives its place in the cache.
pub(super) type Dir = Rc<OwnedFd>;

/// The tree below one directory.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Dir,
    recent: VecDeque<(Vec<u8>, Dir)>,
}

impl Tree {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self {
            root: Rc::new(root),
            recent: VecDeque::with_capacity(OPEN),
        }
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The directory at a normalised path.
    pub(super) fn dir(&mut self, path: &[u8]) -> rustix::io::Result<Dir> {
        if path.is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some(at) = self.recent.iter().position(|(known, _)| known == path) {
            self.recent.swap(0, at);
            return Ok(Rc::clone(&self.recent[0].1));
        }
        let dir = Rc::new(self.open(path, OFlags::PATH)?);
        self.recent.truncate(OPEN - 1);
        self.recent.push_front((path.to_vec(), Rc::clone(&dir)));
        Ok(dir)
    }

    /// Opens the directory at a normalised path anew.
    pub(crate) fn open(&self, path: &[u8], how: OFlags) -> rustix::io::Result<OwnedFd> {
        let mut rest = path;
        let mut from: Option<OwnedFd> = None;
        while rest.len() > PATH_MAX {
            let end = rest[..=PATH_MAX]
                .iter()
                .rposition(|&b| b == b'/')
                .ok_or(Errno::NAMETOOLONG)?;
            let base = from.as_ref().map_or(self.root(), AsFd::as_fd);
            from = Some(open_dir(base, &rest[..end], OFlags::PATH)?);
            rest = &rest[end + 1..];
        }
        let base = from.as_ref().map_or(self.root(), AsFd::as_fd);
        if rest.is_empty() {
            return open_dir(base, b".", how);
        }
        open_dir(base, rest, how)
    }

    /// Forgets a directory that was removed.
    pub(super) fn forget(&mut self, path: &[u8]) {
        self.recent.retain(|(known, _)| known != path);
    }

    /// Why the directory at `path` cannot be reached, in words about the entry.
    pub(super) fn unreachable(&self, path: &[u8], error: Errno) -> Error {
        let refusal = |what: &str| {
            let part = shown(self.first_fault(path));
            Error::new(
                Kind::BadInput,
                format!("its path leads through '{part}', {what}"),
            )
        };
        match error {
            Errno::LOOP => refusal("a symbolic link"),
            Errno::NOTDIR => refusal("which is no directory"),
            _ => Error::new(Kind::Failed, format!("cannot open '{}'", shown(path)))
                .because(io::Error::from(error)),
        }
    }

    /// The shortest leading part of `path` that is no directory.
    fn first_fault<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
        slashes
            .map(|(at, _)| &path[..at])
            .find(|part| self.open(part, OFlags::PATH).is_err())
            .unwrap_or(path)
    }
}

fn open_dir(base: BorrowedFd<'_>, path: &[u8], how: OFlags) -> rustix::io::Result<OwnedFd> {
    let how = how | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry_on_intr(|| openat2(base, OsStr::from_bytes(path), how, Mode::empty(), CONFINED))
}

/// Parent and last component; for the root, itself.
pub(super) fn parent_and_name(path: &[u8]) -> (&[u8], &[u8]) {
    split(path).unwrap_or((b"", b"."))
}
