//! What the owner of a tree's top tells about all owners in it, and how ids are moved.

use std::collections::BTreeSet;

use crate::range::{FIRST_BASE, LAST_BASE, SIZE, owner_base};

/// Owner of a tree's top while the owners below change, as systemd-nspawn has it: neither
/// program takes such a tree for one that is shifted.
pub(crate) const BUSY_BASE: u32 = 0xfffe_0000;

/// Where systemd keeps trees that belong to no machine of this host, its foreign range.
const FOREIGN_BASE: u32 = 0x7ffe_0000;

/// The space of 65536 ids that an id lies in.
pub(super) fn base_of(id: u32) -> u32 {
    id & !(SIZE - 1)
}

/// Where the owners in a tree count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TreeIds {
    /// From 0, as they were packed.
    Unshifted,
    /// From this base.
    Shifted(u32),
    /// From one base or another: a change was interrupted.
    Interrupted,
}

impl TreeIds {
    /// Judges by the owner of the top.
    pub(crate) fn of((uid, gid): (u32, u32)) -> Self {
        if base_of(uid) == BUSY_BASE || base_of(gid) == BUSY_BASE {
            Self::Interrupted
        } else if (base_of(uid), base_of(gid)) == (FOREIGN_BASE, FOREIGN_BASE) {
            Self::Shifted(FOREIGN_BASE)
        } else {
            owner_base(uid, gid).map_or(Self::Unshifted, Self::Shifted)
        }
    }

    /// The base, if it is one.
    pub(crate) fn base(self) -> Option<u32> {
        match self {
            Self::Unshifted => Some(0),
            Self::Shifted(base) => Some(base),
            Self::Interrupted => None,
        }
    }
}

/// The bases that ids are moved from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sources {
    /// These.
    These(BTreeSet<u32>),
    /// Every one that a tree of a container can have: what an interrupted change began with is
    /// not known.
    Any,
}

/// Which ids are moved, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) from: Sources,
    pub(super) to: u32,
}

impl Rule {
    /// The id that takes the place of `id`. Ids of other bases stay: they belong to nobody that
    /// the tree's owners could tell.
    pub(super) fn id(&self, id: u32) -> u32 {
        if self.moves(base_of(id)) {
            self.to | (id & (SIZE - 1))
        } else {
            id
        }
    }

    /// Whether an id is neither moved nor where it is to be.
    pub(super) fn leaves(&self, id: u32) -> bool {
        let base = base_of(id);
        base != self.to && !self.moves(base)
    }

    fn moves(&self, base: u32) -> bool {
        base != self.to
            && match &self.from {
                Sources::These(bases) => bases.contains(&base),
                Sources::Any => {
                    base == 0 || base == FOREIGN_BASE || (FIRST_BASE..=LAST_BASE).contains(&base)
                }
            }
    }

    /// The rule for a tree whose top has these owners. `interrupted` is the rule of a change
    /// that did not come to its end.
    pub(super) fn new(tree: TreeIds, interrupted: Option<&Self>, to: u32) -> Self {
        let from = match (tree.base(), interrupted) {
            (Some(base), _) => Sources::These(BTreeSet::from([base])),
            (None, Some(rule)) => rule.with_target(),
            (None, None) => Sources::Any,
        };
        Self { from, to }
    }

    /// Where ids are while this rule has been carried out in part.
    fn with_target(&self) -> Sources {
        match &self.from {
            Sources::These(bases) => {
                let all = bases.iter().copied().chain([self.to]);
                Sources::These(all.collect())
            }
            Sources::Any => Sources::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WEB: u32 = 655_360;

    #[test]
    fn the_top_tells_where_owners_count_from() {
        assert_eq!(TreeIds::of((0, 0)), TreeIds::Unshifted);
        assert_eq!(TreeIds::of((1000, 100)), TreeIds::Unshifted);
        assert_eq!(TreeIds::of((WEB, WEB + 7)), TreeIds::Shifted(WEB));
        assert_eq!(
            TreeIds::of((FOREIGN_BASE, FOREIGN_BASE)),
            TreeIds::Shifted(FOREIGN_BASE)
        );
        assert_eq!(TreeIds::of((BUSY_BASE, BUSY_BASE)), TreeIds::Interrupted);
        assert_eq!(TreeIds::of((WEB, 0)), TreeIds::Unshifted);
    }

    #[test]
    fn ids_of_the_tree_move_and_others_stay() {
        let rule = Rule::new(TreeIds::Unshifted, None, WEB);
        assert_eq!(rule.id(0), WEB);
        assert_eq!(rule.id(65_535), WEB + 65_535);
        assert_eq!(rule.id(65_536), 65_536);
        assert_eq!(rule.id(WEB + 3), WEB + 3);
        assert!(rule.leaves(65_536) && rule.leaves(u32::MAX));
        assert!(!rule.leaves(5) && !rule.leaves(WEB + 5));
    }

    #[test]
    fn an_interrupted_change_goes_on_from_both_ends() {
        let first = Rule::new(TreeIds::Unshifted, None, WEB);
        let other = Rule::new(TreeIds::Interrupted, Some(&first), 2 * WEB);
        assert_eq!(other.id(3), 2 * WEB + 3);
        assert_eq!(other.id(WEB + 3), 2 * WEB + 3);
        let back = Rule::new(TreeIds::Interrupted, Some(&other), 0);
        for id in [3, WEB + 3, 2 * WEB + 3] {
            assert_eq!(back.id(id), 3);
        }
    }

    #[test]
    fn without_knowledge_of_the_beginning_containers_ids_move() {
        let rule = Rule::new(TreeIds::Interrupted, None, WEB);
        for id in [7, 2 * WEB + 7, FOREIGN_BASE + 7] {
            assert_eq!(rule.id(id), WEB + 7);
        }
        assert_eq!(rule.id(100_000), 100_000);
    }

    #[test]
    fn a_top_that_is_not_busy_is_believed() {
        let stale = Rule::new(TreeIds::Unshifted, None, WEB);
        let rule = Rule::new(TreeIds::Shifted(WEB), Some(&stale), 0);
        assert_eq!(rule, Rule::new(TreeIds::Shifted(WEB), None, 0));
    }

    proptest! {
        #[test]
        fn moving_twice_is_moving_once(id: u32, to in 0u32..0xfffe, known: bool) {
            let tree = if known { TreeIds::Unshifted } else { TreeIds::Interrupted };
            let rule = Rule::new(tree, None, to << 16);
            prop_assert_eq!(rule.id(rule.id(id)), rule.id(id));
            prop_assert_eq!(rule.id(id) & 0xffff, id & 0xffff);
        }

        #[test]
        fn there_and_back(id in 0u32..SIZE, to in 8u32..0x6fff) {
            let there = Rule::new(TreeIds::Unshifted, None, to << 16);
            let back = Rule::new(TreeIds::Shifted(to << 16), None, 0);
            prop_assert_eq!(back.id(there.id(id)), id);
        }
    }
}
