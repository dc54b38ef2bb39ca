//! Changing one inode: its owner, and the ids in its attributes, with what chown(2) takes away.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, IFlags, Mode, OFlags, Statx, StatxAttributes, StatxFlags, Uid,
    XattrFlags, chmod, chownat, getxattr, ioctl_getflags, ioctl_setflags, listxattr, setxattr,
    statx,
};
use rustix::io::{Errno, Result as SysResult};

use super::ids::base_of;
use super::marker::{Marker, Pending, path_hash};
use super::values::{shift_acl, shift_capability};
use crate::error::{Context, Result};
use crate::image::walk::kind;

const CAPABILITY: &CStr = c"security.capability";
const ACLS: [&CStr; 2] = [c"system.posix_acl_access", c"system.posix_acl_default"];

/// `XATTR_LIST_MAX` and `XATTR_SIZE_MAX` of `linux/limits.h`.
const LONGEST: usize = 65_536;

/// Inode flags that forbid a change of owner.
const LOCKS: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

/// Bits that a change of owner clears.
const SET_ID: u32 = 0o6000;

/// An inode by a descriptor that need not be open for reading.
#[derive(Debug)]
pub(super) struct Node<'a> {
    fd: BorrowedFd<'a>,
    /// A path to the inode itself for the calls that take no such descriptor.
    door: String,
    stat: Statx,
}

impl<'a> Node<'a> {
    pub(super) fn new(fd: BorrowedFd<'a>) -> SysResult<Self> {
        Ok(Self {
            fd,
            door: format!("/proc/self/fd/{}", fd.as_raw_fd()),
            stat: statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?,
        })
    }

    /// User and group.
    pub(super) fn owner(&self) -> (u32, u32) {
        (self.stat.stx_uid, self.stat.stx_gid)
    }

    /// Whether it is a directory, into which the change goes on.
    pub(super) fn is_dir(&self) -> bool {
        kind(&self.stat) == FileType::Directory
    }

    /// Whether the immutable or the append-only flag is set.
    pub(super) fn is_locked(&self) -> bool {
        let locks = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        self.stat.stx_attributes.intersects(locks)
    }

    /// Changes the owner and nothing else.
    pub(super) fn chown(&self, (uid, gid): (u32, u32)) -> SysResult<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(self.fd, c"", uid, gid, AtFlags::EMPTY_PATH)
    }

    fn attribute(&self, name: &CStr, buffer: &mut [u8]) -> SysResult<Option<Vec<u8>>> {
        match getxattr(&self.door, name, &mut *buffer) {
            Ok(length) => Ok(buffer.get(..length).map(<[u8]>::to_vec)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The flags that forbid a change, to be set again.
    fn locks(&self) -> SysResult<u32> {
        if !self.is_locked() {
            return Ok(0);
        }
        Ok(ioctl_getflags(&self.opened()?)?.intersection(LOCKS).bits())
    }

    fn set_locks(&self, locks: u32) -> SysResult<()> {
        let file = self.opened()?;
        let others = ioctl_getflags(&file)?.difference(LOCKS);
        ioctl_setflags(&file, others | IFlags::from_bits_truncate(locks))
    }

    /// Only files and directories have flags, and opening these for reading does nothing.
    fn opened(&self) -> SysResult<OwnedFd> {
        let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(&self.door, how, Mode::empty())
    }
}

/// What is to be written of one inode.
#[derive(Debug)]
struct Wanted {
    owner: (u32, u32),
    acls: Vec<(&'static CStr, Vec<u8>)>,
    restore: Pending,
}

/// A change of owners under way.
#[derive(Debug)]
pub(super) struct Change<'a> {
    top: BorrowedFd<'a>,
    marker: Marker,
    /// The file system keeps the marker.
    marked: bool,
    buffer: Vec<u8>,
}

impl<'a> Change<'a> {
    /// Leaves the marker on the top, where it is found if the change is interrupted.
    pub(super) fn begin(top: BorrowedFd<'a>, marker: Marker) -> SysResult<Self> {
        Ok(Self {
            marked: marker.write(top)?,
            top,
            marker,
            buffer: vec![0; LONGEST],
        })
    }

    /// Whether an interruption would lose nothing.
    pub(super) fn is_marked(&self) -> bool {
        self.marked
    }

    /// The base that owners are to count from.
    pub(super) fn target(&self) -> u32 {
        self.marker.rule.to
    }

    /// Changes one inode as far as it is not yet.
    pub(super) fn apply(&mut self, node: &Node<'_>, path: &[u8]) -> Result<()> {
        let (uid, gid) = node.owner();
        let to = self.marker.rule.to;
        // The owner is what changes last of what nothing else remembers.
        if base_of(uid) == to && base_of(gid) == to {
            return Ok(());
        }
        let wanted = self.wanted(node, path).cannot(|| "read its attributes")?;
        if self.changes_nothing(node, &wanted) {
            return Ok(());
        }
        if needs_care(node, &wanted) && self.marked {
            self.marker.pending = Some(wanted.restore.clone());
            let written = self.marker.write(self.top);
            written.cannot(|| "note on the image's top what is being changed")?;
        }
        self.carry_out(node, &wanted)
    }

    /// Finishes the file that an interrupted change had in work.
    pub(super) fn resume(&mut self, node: &Node<'_>, path: &[u8]) -> Result<()> {
        let mut wanted = self.wanted(node, path).cannot(|| "read its attributes")?;
        if let Some(pending) = &self.marker.pending {
            wanted.restore = pending.clone();
        }
        self.carry_out(node, &wanted)
    }

    /// Changes the top, which is the last, and takes the marker away.
    pub(super) fn finish(mut self, node: &Node<'_>, owner: (u32, u32)) -> Result<()> {
        let mut wanted = self.wanted(node, b"").cannot(|| "read its attributes")?;
        wanted.owner = owner;
        self.carry_out(node, &wanted)?;
        Marker::remove(self.top).cannot(|| "take the note off the image's top")
    }

    fn wanted(&mut self, node: &Node<'_>, path: &[u8]) -> SysResult<Wanted> {
        let rule = &self.marker.rule;
        let (uid, gid) = node.owner();
        let mut wanted = Wanted {
            owner: (rule.id(uid), rule.id(gid)),
            acls: Vec::new(),
            restore: Pending {
                path: path_hash(path),
                mode: u32::from(node.stat.stx_mode) & 0o7777,
                flags: node.locks()?,
                capability: None,
            },
        };
        if kind(&node.stat) == FileType::Symlink {
            return Ok(wanted);
        }
        let names = match listxattr(&node.door, &mut *self.buffer) {
            Ok(length) => self.buffer.get(..length).unwrap_or_default().to_vec(),
            Err(Errno::OPNOTSUPP) => Vec::new(),
            Err(errno) => return Err(errno),
        };
        let has = |name: &CStr| names.split(|b| *b == 0).any(|n| n == name.to_bytes());
        for name in ACLS.into_iter().filter(|name| has(name)) {
            let value = node.attribute(name, &mut self.buffer)?;
            let shifted = value.and_then(|value| shift_acl(&value, rule));
            wanted.acls.extend(shifted.map(|value| (name, value)));
        }
        if has(CAPABILITY) {
            wanted.restore.capability = node.attribute(CAPABILITY, &mut self.buffer)?;
        }
        Ok(wanted)
    }

    fn changes_nothing(&self, node: &Node<'_>, wanted: &Wanted) -> bool {
        let capability = wanted.restore.capability.as_ref();
        let shifted = capability.and_then(|value| shift_capability(value, &self.marker.rule));
        wanted.owner == node.owner() && wanted.acls.is_empty() && shifted.is_none()
    }

    fn carry_out(&self, node: &Node<'_>, wanted: &Wanted) -> Result<()> {
        let Wanted {
            owner,
            acls,
            restore,
        } = wanted;
        if restore.flags != 0 {
            node.set_locks(0).cannot(|| "clear its immutable flag")?;
        }
        for (name, value) in acls {
            setxattr(&node.door, *name, value, XattrFlags::empty())
                .cannot(|| "change its access control list")?;
        }
        if *owner != node.owner() {
            node.chown(*owner).cannot(|| "change its owner")?;
        }
        if let Some(capability) = &restore.capability {
            let shifted = shift_capability(capability, &self.marker.rule);
            let value = shifted.as_ref().unwrap_or(capability);
            setxattr(&node.door, CAPABILITY, value, XattrFlags::empty())
                .cannot(|| "restore its capabilities")?;
        }
        if has_set_id(node, restore.mode) {
            let mode = Mode::from_raw_mode(restore.mode);
            chmod(&node.door, mode).cannot(|| "restore its mode")?;
        }
        if restore.flags != 0 {
            node.set_locks(restore.flags)
                .cannot(|| "restore its immutable flag")?;
        }
        Ok(())
    }
}

/// Whether an interruption in the middle would lose something.
fn needs_care(node: &Node<'_>, wanted: &Wanted) -> bool {
    let Pending {
        mode,
        flags,
        capability,
        ..
    } = &wanted.restore;
    *flags != 0 || capability.is_some() || has_set_id(node, *mode)
}

/// The bits of a directory stay, and a link has none.
fn has_set_id(node: &Node<'_>, mode: u32) -> bool {
    let kept = [FileType::Directory, FileType::Symlink];
    mode & SET_ID != 0 && !kept.contains(&kind(&node.stat))
}
