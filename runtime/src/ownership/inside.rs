//! Ids as the machine sees them, whatever they are on the disk.

use super::ids::{Rule, TreeIds};
use super::values::{shift_acl, shift_capability};

/// From the ids of a tree on the disk to those inside.
#[derive(Debug)]
pub(crate) struct Inside(Rule);

impl Inside {
    /// For a tree whose top has these owners; `None` if a change of them was interrupted.
    pub(crate) fn of(tree: TreeIds) -> Option<Self> {
        tree.base().map(|_| Self(Rule::new(tree, None, 0)))
    }

    /// The id inside. Ids that nobody inside has stay as they are.
    pub(crate) fn id(&self, id: u32) -> u32 {
        self.0.id(id)
    }

    /// The value of an attribute, with the ids in it as they are inside.
    pub(crate) fn attribute(&self, name: &[u8], value: &[u8]) -> Vec<u8> {
        let moved = match name {
            b"security.capability" => shift_capability(value, &self.0),
            b"system.posix_acl_access" | b"system.posix_acl_default" => shift_acl(value, &self.0),
            _ => None,
        };
        moved.unwrap_or_else(|| value.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_from_the_trees_base() {
        let inside = Inside::of(TreeIds::Shifted(655_360)).unwrap();
        assert_eq!(inside.id(655_360 + 1000), 1000);
        assert_eq!(inside.id(1000), 1000);
        let plain = Inside::of(TreeIds::Unshifted).unwrap();
        assert_eq!(plain.id(1000), 1000);
        assert!(Inside::of(TreeIds::Interrupted).is_none());
    }
}
