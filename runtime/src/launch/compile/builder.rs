//! Shorthand for putting a script together.

use std::ffi::{CStr, CString};

use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use crate::error::{Error, Kind, Result};
use crate::launch::op::{Need, Op, Place, Step};
use crate::launch::slot::Slot;
use crate::range::Range;

/// Flags of nearly every API file system.
pub(super) const NO_SUID_DEV_EXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// The same, read-only: for masks and for what only shows state.
pub(super) const SHOWN: MountAttrFlags = NO_SUID_DEV_EXEC.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// Collects steps in order.
#[derive(Debug)]
pub(super) struct Builder {
    steps: Vec<Step>,
    range: Option<Range>,
}

impl Builder {
    pub(super) fn new(range: Option<Range>) -> Self {
        Self {
            steps: Vec::with_capacity(192),
            range,
        }
    }

    /// How many ids the machine has.
    pub(super) fn range_length(&self) -> u32 {
        self.range.map_or(u32::MAX, Range::len)
    }

    /// Whether the machine has a user namespace.
    pub(super) fn shifted(&self) -> bool {
        self.range.is_some()
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    pub(super) fn push(&mut self, need: Need, op: Op) {
        self.steps.push(Step { op, need });
    }

    pub(super) fn must(&mut self, op: Op) {
        self.push(Need::Must, op);
    }

    pub(super) fn attach(&mut self, tree: Slot, at: Place) {
        self.must(Op::Attach { tree, at });
    }

    pub(super) fn directory(&mut self, base: Slot, path: &CStr, mode: u32) {
        let at = at(base, path);
        self.must(Op::Directory { at, mode });
    }

    pub(super) fn file(&mut self, base: Slot, path: &CStr, mode: u32, content: impl Into<Vec<u8>>) {
        let (at, content) = (at(base, path), content.into());
        self.must(Op::File { at, mode, content });
    }

    pub(super) fn link(&mut self, base: Slot, path: &CStr, target: &CStr) {
        let (at, target) = (at(base, path), target.to_owned());
        self.must(Op::Link { at, target });
    }

    pub(super) fn new_fs(
        &mut self,
        kind: &CStr,
        options: &[(&CStr, &CStr)],
        attributes: MountAttrFlags,
        into: Slot,
    ) {
        let owned = |&(key, value): &(&CStr, &CStr)| (key.to_owned(), value.to_owned());
        self.must(Op::NewFs {
            kind: kind.to_owned(),
            options: options.iter().map(owned).collect(),
            attributes,
            into,
        });
    }

    /// Mounts a copy of `from` on `to` with the given attributes.
    pub(super) fn bind(&mut self, need: Need, from: Place, set: MountAttrFlags, to: Place) {
        self.copy(need, from, (set, true), to);
    }

    /// The same; what is mounted below keeps the attributes that it has.
    pub(super) fn bind_top(&mut self, from: Place, set: MountAttrFlags, to: Place) {
        self.copy(Need::Must, from, (set, false), to);
    }

    fn copy(
        &mut self,
        need: Need,
        from: Place,
        (set, recursive): (MountAttrFlags, bool),
        to: Place,
    ) {
        let tree = Slot::Passing;
        self.push(
            need,
            Op::CloneTree {
                from,
                recursive: true,
                into: tree,
            },
        );
        if !set.is_empty() {
            self.push(
                need,
                Op::SetAttributes {
                    tree,
                    recursive,
                    set,
                    propagation: MountPropagationFlags::empty(),
                },
            );
        }
        self.push(need, Op::Attach { tree, at: to });
    }
}

/// A path below a descriptor of the child.
pub(super) fn at(base: Slot, path: &CStr) -> Place {
    Place {
        base: Some(base),
        path: path.to_owned(),
    }
}

/// A path in the mount namespace of the child.
pub(super) fn host(path: CString) -> Place {
    Place { base: None, path }
}

/// A C string of a value from outside.
pub(super) fn text(what: &str, bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| {
        let text = String::from_utf8_lossy(bytes);
        let text = text.escape_debug();
        Error::new(Kind::Usage, format!("{what} contains a NUL byte: '{text}'"))
    })
}
