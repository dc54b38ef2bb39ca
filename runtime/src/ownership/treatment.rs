//! What is done about the owners of an image's files: pure.

use std::fmt;

use super::ids::TreeIds;
use crate::error::{Error, Kind, Result};
use crate::range::{Range, SIZE};

/// The argument of `--private-users-ownership=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ownership {
    /// The disk is left alone: as it is if it has the payload's ids already, else mapped.
    #[default]
    Auto,
    /// Mapped by the mount in any case.
    Map,
    /// Changed on the disk.
    Chown,
    /// As they are.
    Off,
}

impl Ownership {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Map, Self::Chown, Self::Off];

    /// The word that `--private-users-ownership=` takes.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Map => "map",
            Self::Chown => "chown",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How the mount of an image shows owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdMap {
    /// As they are on the disk.
    None,
    /// Those from 0 on as the payload's.
    Payload,
    /// Those of another machine's range as the payload's.
    Between {
        /// First id on the disk.
        from: u32,
        /// First id that takes its place.
        to: u32,
        /// How many.
        length: u32,
    },
}

impl IdMap {
    /// The host's ids for owners on the disk, in the mount of a payload whose range begins at
    /// `base`.
    pub(crate) fn show(self, (uid, gid): (u32, u32), base: u32) -> (u32, u32) {
        let show = |id: u32| match self {
            Self::None => id,
            Self::Payload => base.saturating_add(id),
            Self::Between { from, to, .. } => to.saturating_add(id.saturating_sub(from)),
        };
        (show(uid), show(gid))
    }
}

/// What is done about owners before the payload starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// Nothing on the disk.
    Mount(IdMap),
    /// They are changed to count from this base.
    Chown(u32),
}

impl Treatment {
    /// How the image is mounted afterwards.
    pub(crate) fn id_map(self) -> IdMap {
        match self {
            Self::Mount(map) => map,
            Self::Chown(_) => IdMap::None,
        }
    }
}

/// Decides for a tree and the range of its payload, `None` without a user namespace.
///
/// # Errors
/// [`Kind::BadInput`] if the tree's owners were changed in part only.
pub(crate) fn treat(
    ownership: Ownership,
    tree: TreeIds,
    range: Option<Range>,
) -> Result<Treatment> {
    if let (Ownership::Chown, Some(range)) = (ownership, range) {
        return Ok(Treatment::Chown(range.base()));
    }
    let base = tree.base().ok_or_else(half_changed)?;
    let Some(range) = range.filter(|_| ownership != Ownership::Off) else {
        return Ok(Treatment::Mount(IdMap::None));
    };
    Ok(Treatment::Mount(match (ownership, base) {
        (_, 0) => IdMap::Payload,
        (Ownership::Auto, base) if base == range.base() => IdMap::None,
        (_, from) => IdMap::Between {
            from,
            to: range.base(),
            length: range.len().min(SIZE),
        },
    }))
}

fn half_changed() -> Error {
    let what = "a change of the image's owners was interrupted";
    Error::new(Kind::BadInput, what).hint("let it go on: --private-users-ownership=chown")
}

/// What is odd about a payload that finds a tree with owners as they are on the disk.
pub(crate) fn warning(treatment: Treatment, tree: TreeIds, range: Option<Range>) -> Option<String> {
    let (Treatment::Mount(IdMap::None), Some(base)) = (treatment, tree.base()) else {
        return None;
    };
    let payload = range.map_or(0, Range::base);
    (base != payload).then(|| {
        format!(
            "the image's files belong to ids from {base} on, but the payload has those from \
             {payload} on"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: u32 = 655_360;

    fn range(base: u32, len: u32) -> Option<Range> {
        Range::new(base, len)
    }

    fn map(ownership: Ownership, tree: TreeIds, range: Option<Range>) -> IdMap {
        match treat(ownership, tree, range).unwrap() {
            Treatment::Mount(map) => map,
            Treatment::Chown(base) => panic!("chown to {base}"),
        }
    }

    #[test]
    fn by_default_the_disk_is_left_alone() {
        let web = range(WEB, SIZE);
        assert_eq!(
            map(Ownership::Auto, TreeIds::Unshifted, web),
            IdMap::Payload
        );
        assert_eq!(
            map(Ownership::Auto, TreeIds::Shifted(WEB), web),
            IdMap::None
        );
        let other = map(Ownership::Auto, TreeIds::Shifted(WEB), range(7, 100));
        let between = IdMap::Between {
            from: WEB,
            to: 7,
            length: 100,
        };
        assert_eq!(other, between);
        assert_eq!(map(Ownership::Auto, TreeIds::Unshifted, None), IdMap::None);
    }

    #[test]
    fn a_map_can_be_had_of_a_shifted_tree_too() {
        let map = map(Ownership::Map, TreeIds::Shifted(WEB), range(WEB, SIZE));
        let same = IdMap::Between {
            from: WEB,
            to: WEB,
            length: SIZE,
        };
        assert_eq!(map, same);
    }

    #[test]
    fn a_change_that_was_interrupted_must_go_on() {
        let web = range(WEB, SIZE);
        for ownership in [Ownership::Auto, Ownership::Map, Ownership::Off] {
            let error = treat(ownership, TreeIds::Interrupted, web).unwrap_err();
            assert_eq!(error.kind(), Kind::BadInput);
        }
        let chown = treat(Ownership::Chown, TreeIds::Interrupted, web).unwrap();
        assert_eq!(chown, Treatment::Chown(WEB));
        assert_eq!(chown.id_map(), IdMap::None);
    }

    #[test]
    fn owners_that_the_payload_does_not_know_are_told_of() {
        let as_is = Treatment::Mount(IdMap::None);
        let web = range(WEB, SIZE);
        assert!(warning(as_is, TreeIds::Unshifted, web).is_some());
        assert!(warning(as_is, TreeIds::Shifted(WEB), None).is_some());
        assert_eq!(warning(as_is, TreeIds::Shifted(WEB), web), None);
        assert_eq!(warning(as_is, TreeIds::Unshifted, None), None);
        let mapped = Treatment::Mount(IdMap::Payload);
        assert_eq!(warning(mapped, TreeIds::Unshifted, web), None);
    }
}
