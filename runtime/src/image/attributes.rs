//! Which extended attributes an image may carry, and in what form.

use super::acl;

/// The access control list of a file, and the one that a directory hands on.
pub(super) const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
pub(super) const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

pub(super) const CAPABILITY: &[u8] = b"security.capability";

/// Revisions of `vfs_cap_data` in the top byte of its first word, see capabilities(7).
const REVISION_MASK: u32 = 0xff00_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;

/// Sizes of both revisions in bytes: the third has the owner of the namespace besides.
const SIZE_2: usize = 20;
const SIZE_3: usize = 24;

/// The value to store for an attribute, `None` if it is to be left out.
///
/// Kept are `user.*`, file capabilities and access control lists. `trusted.*` would
/// steer overlayfs, `security.*` otherwise belongs to the host's security modules.
pub(super) fn keep(name: &[u8], value: Vec<u8>) -> Option<Vec<u8>> {
    match name {
        CAPABILITY => unshifted_capability(value),
        ACL_ACCESS | ACL_DEFAULT => acl::is_well_formed(&value).then_some(value),
        _ => name.starts_with(b"user.").then_some(value),
    }
}

/// File capabilities in the form that names no namespace: the tree on disk is unshifted,
/// and the shift of the mount gives them to the machine's root.
fn unshifted_capability(mut value: Vec<u8>) -> Option<Vec<u8>> {
    let magic = u32::from_le_bytes(*value.first_chunk()?);
    match (magic & REVISION_MASK, value.len()) {
        (REVISION_2, SIZE_2) => {}
        (REVISION_3, SIZE_3) => {
            let magic = (magic & !REVISION_MASK) | REVISION_2;
            value[..4].copy_from_slice(&magic.to_le_bytes());
            value.truncate(SIZE_2);
        }
        _ => return None,
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capability(magic: u32, size: usize) -> Vec<u8> {
        let mut value = magic.to_le_bytes().to_vec();
        value.resize(size, 7);
        value
    }

    #[test]
    fn leaves_out_what_belongs_to_the_host() {
        for name in [
            &b"trusted.overlay.opaque"[..],
            b"security.selinux",
            b"security.ima",
            b"system.nfs4_acl",
            b"userx",
        ] {
            assert_eq!(keep(name, vec![1]), None);
        }
        assert_eq!(keep(b"user.any", vec![1]), Some(vec![1]));
    }

    #[test]
    fn capabilities_lose_the_namespace_and_keep_the_effective_bit() {
        let second = capability(REVISION_2 | 1, SIZE_2);
        assert_eq!(keep(CAPABILITY, second.clone()), Some(second.clone()));
        assert_eq!(
            keep(CAPABILITY, capability(REVISION_3 | 1, SIZE_3)),
            Some(second)
        );
    }

    #[test]
    fn malformed_capabilities_are_left_out() {
        for value in [
            vec![],
            capability(REVISION_2, SIZE_3),
            capability(REVISION_3, SIZE_2),
            capability(0x0100_0000, 12),
            capability(0x0400_0000, SIZE_2),
        ] {
            assert_eq!(keep(CAPABILITY, value), None);
        }
    }
}
