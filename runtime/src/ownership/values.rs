//! Ids inside extended attributes: access control lists and file capabilities.

use super::ids::Rule;

/// `POSIX_ACL_XATTR_VERSION` of `linux/posix_acl_xattr.h`.
const ACL_VERSION: u32 = 2;

/// Tags of entries that name a user or a group, from the same file.
const ACL_USER: u16 = 0x02;
const ACL_GROUP: u16 = 0x08;

/// Bytes of the version, and of each entry: tag, permissions, id.
const ACL_HEADER: usize = 4;
const ACL_ENTRY: usize = 8;

/// Revisions of `vfs_cap_data` in the top byte of its first word, see capabilities(7).
const REVISION_MASK: u32 = 0xff00_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;

/// Sizes of both revisions in bytes. The third ends with the user namespace's root.
const CAPABILITY_2: usize = 20;
const CAPABILITY_3: usize = 24;

/// The list with its users and groups moved; `None` if that changes nothing, or if it is no list
/// in a form that we know.
pub(super) fn shift_acl(value: &[u8], rule: &Rule) -> Option<Vec<u8>> {
    let (version, entries) = value.split_at_checked(ACL_HEADER)?;
    if version != ACL_VERSION.to_le_bytes() || entries.len() % ACL_ENTRY != 0 {
        return None;
    }
    let mut shifted = value.to_vec();
    for entry in shifted.get_mut(ACL_HEADER..)?.chunks_exact_mut(ACL_ENTRY) {
        let (head, id) = entry.split_at_mut(4);
        if matches!(word16(head)?, ACL_USER | ACL_GROUP) {
            let moved = rule.id(word32(id)?);
            id.copy_from_slice(&moved.to_le_bytes());
        }
    }
    (shifted != value).then_some(shifted)
}

/// The capabilities for the moved root; `None` if that changes nothing, or if they have a form
/// that we do not know. Revision 2 stands for the host's root.
pub(super) fn shift_capability(value: &[u8], rule: &Rule) -> Option<Vec<u8>> {
    let magic = word32(value)?;
    let root = match (magic & REVISION_MASK, value.len()) {
        (REVISION_2, CAPABILITY_2) => 0,
        (REVISION_3, CAPABILITY_3) => word32(value.get(CAPABILITY_2..)?)?,
        _ => return None,
    };
    let root = rule.id(root);
    let revision = if root == 0 { REVISION_2 } else { REVISION_3 };
    let mut shifted = ((magic & !REVISION_MASK) | revision).to_le_bytes().to_vec();
    shifted.extend_from_slice(value.get(4..CAPABILITY_2)?);
    if root != 0 {
        shifted.extend_from_slice(&root.to_le_bytes());
    }
    (shifted != value).then_some(shifted)
}

fn word16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.first_chunk()?))
}

fn word32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::ids::TreeIds;
    use proptest::prelude::*;

    const WEB: u32 = 655_360;

    fn there() -> Rule {
        Rule::new(TreeIds::Unshifted, None, WEB)
    }

    fn back() -> Rule {
        Rule::new(TreeIds::Shifted(WEB), None, 0)
    }

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = ACL_VERSION.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&permissions.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    }

    fn capability(magic: u32, root: Option<u32>) -> Vec<u8> {
        let mut value = magic.to_le_bytes().to_vec();
        value.extend(1..=16);
        value.extend(root.iter().flat_map(|root| root.to_le_bytes()));
        value
    }

    #[test]
    fn only_named_users_and_groups_move() {
        let list = |user, group| {
            acl(&[
                (0x01, 6, u32::MAX),
                (ACL_USER, 5, user),
                (0x04, 4, u32::MAX),
                (ACL_GROUP, 5, group),
                (0x10, 7, u32::MAX),
                (0x20, 0, u32::MAX),
            ])
        };
        let shifted = shift_acl(&list(1000, 65_534), &there()).unwrap();
        assert_eq!(shifted, list(WEB + 1000, WEB + 65_534));
        assert_eq!(shift_acl(&shifted, &there()), None);
        assert_eq!(shift_acl(&shifted, &back()), Some(list(1000, 65_534)));
        assert_eq!(shift_acl(&list(100_000, 200_000), &there()), None);
    }

    #[test]
    fn the_namespace_of_capabilities_follows_its_root() {
        let plain = capability(REVISION_2 | 1, None);
        let shifted = shift_capability(&plain, &there()).unwrap();
        assert_eq!(shifted, capability(REVISION_3 | 1, Some(WEB)));
        assert_eq!(shift_capability(&shifted, &there()), None);
        assert_eq!(shift_capability(&shifted, &back()), Some(plain));
        let foreign = capability(REVISION_3, Some(100_000));
        assert_eq!(shift_capability(&foreign, &there()), None);
    }

    #[test]
    fn unknown_forms_are_left_alone() {
        for value in [
            vec![],
            vec![2, 0, 0],
            acl(&[(ACL_USER, 5, 1)])[..9].to_vec(),
        ] {
            assert_eq!(shift_acl(&value, &there()), None);
        }
        for value in [
            vec![],
            capability(REVISION_2, Some(1)),
            capability(REVISION_3, None),
            capability(0x0100_0000, None),
        ] {
            assert_eq!(shift_capability(&value, &there()), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(value in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(shifted) = shift_acl(&value, &there()) {
                prop_assert_eq!(shifted.len(), value.len());
            }
            let _ = shift_capability(&value, &there());
        }
    }
}
