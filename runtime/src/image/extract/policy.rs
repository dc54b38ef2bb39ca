//! What of a member's looks does not fit where it is unpacked.

use crate::image::attach::Looks;
use crate::image::report::{WarningKind, Warnings};
use crate::image::tar::{Entry, EntryKind};

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// What is changed. By default nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::image) struct Policy {
    /// How many ids there are; without a number all.
    pub(in crate::image) ids: Option<u32>,
    /// Programs lose the privileges that they give to who runs them.
    pub(in crate::image) disarm: bool,
}

impl Policy {
    /// Changes the looks of a member, and counts it.
    pub(super) fn apply(self, entry: &Entry, looks: &mut Looks, warnings: &mut Warnings) {
        let is_program = entry.kind != EntryKind::Directory;
        if self
            .ids
            .is_some_and(|count| looks.uid.max(looks.gid) >= count)
        {
            warnings.member(WarningKind::ReplacedOwners, &entry.name);
            (looks.uid, looks.gid) = (0, 0);
            // What it would give was not root's to give.
            if is_program {
                looks.mode &= !SET_ID;
                looks.attributes.disarm();
            }
        }
        if !self.disarm || !is_program {
            return;
        }
        if looks.attributes.disarm() || looks.mode & SET_ID != 0 {
            looks.mode &= !SET_ID;
            warnings.member(WarningKind::Privileges, &entry.name);
        }
    }
}
