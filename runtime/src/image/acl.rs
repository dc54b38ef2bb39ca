//! POSIX access control lists: from the text that tar archives hold to the kernel's form.

/// Version number that begins the kernel's form.
const VERSION: u32 = 2;

/// The id of entries that have none.
const NO_ID: u32 = u32::MAX;

/// What an entry is about; the numbers are the kernel's and give its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    UserOwner = 0x01,
    User = 0x02,
    GroupOwner = 0x04,
    Group = 0x08,
    Mask = 0x10,
    Other = 0x20,
}

/// The value of `system.posix_acl_access` or `system.posix_acl_default` for a list as
/// text, `user::rwx,group:100:r-x,...`. `None` if it names an owner without giving the
/// number, for whose meaning the host must not be asked, or is malformed.
pub(super) fn from_text(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut entries = text
        .split([',', '\n'])
        .map(|entry| entry.split('#').next().unwrap_or_default().trim())
        .filter(|entry| !entry.is_empty())
        .map(parse)
        .collect::<Option<Vec<_>>>()?;
    if entries.is_empty() {
        return None;
    }
    entries.sort_unstable_by_key(|&(tag, _, id)| (tag, id));
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend_from_slice(&(tag as u16).to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    Some(value)
}

/// `TAG:QUALIFIER:PERMISSIONS`, with the number as a fourth field in archives of star.
fn parse(entry: &str) -> Option<(Tag, u16, u32)> {
    let entry = entry.strip_prefix("default:").unwrap_or(entry);
    let mut fields = entry.split(':');
    let (tag, qualifier) = (fields.next()?, fields.next()?);
    // A mask or other may be written with two fields.
    let (qualifier, permissions) = match fields.next() {
        Some(permissions) => (qualifier, permissions),
        None => ("", qualifier),
    };
    let number = fields.next().unwrap_or(qualifier);
    let tag = match (tag, qualifier.is_empty()) {
        ("user" | "u", true) => Tag::UserOwner,
        ("user" | "u", false) => Tag::User,
        ("group" | "g", true) => Tag::GroupOwner,
        ("group" | "g", false) => Tag::Group,
        ("mask" | "m", true) => Tag::Mask,
        ("other" | "o", true) => Tag::Other,
        _ => return None,
    };
    let id = match tag {
        Tag::User | Tag::Group => number.parse().ok().filter(|&id| id != NO_ID)?,
        _ => NO_ID,
    };
    Some((tag, parse_permissions(permissions)?, id))
}

fn parse_permissions(text: &str) -> Option<u16> {
    text.trim().chars().try_fold(0, |bits, letter| {
        Some(
            bits | match letter {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                '-' => 0,
                _ => return None,
            },
        )
    })
}

/// Whether a value has the shape of the kernel's form.
pub(super) fn is_well_formed(value: &[u8]) -> bool {
    value.len() > 4 && value.len() % 8 == 4 && value.starts_with(&VERSION.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_entries_in_the_kernels_order() {
        let value = from_text(b"other::r--,user::rw-,mask::r-x,user:1000:r-x,group::r--").unwrap();
        let expected = [
            &[2, 0, 0, 0][..],
            &[0x01, 0, 6, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x02, 0, 5, 0, 0xe8, 0x03, 0, 0],
            &[0x04, 0, 4, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x10, 0, 5, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x20, 0, 4, 0, 0xff, 0xff, 0xff, 0xff],
        ];
        assert_eq!(value, expected.concat());
        assert!(is_well_formed(&value));
    }

    #[test]
    fn takes_the_number_beside_a_name_and_never_the_name() {
        let with_number = from_text(b"group:wheel:rwx:10").unwrap();
        assert_eq!(with_number[8..], [10, 0, 0, 0]);
        assert_eq!(from_text(b"user::rwx,user:bob:rwx"), None);
        assert_eq!(from_text(b"user:4294967295:rwx"), None);
    }

    #[test]
    fn refuses_what_is_no_list() {
        for text in [
            &b""[..],
            b"user",
            b"user::rwz",
            b"mask:5:rwx",
            b"nobody::r",
            b"\xff",
        ] {
            assert_eq!(from_text(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_well_formed(text in "[ugmo:rwx,0-9\n-]{0,60}") {
            if let Some(value) = from_text(text.as_bytes()) {
                prop_assert!(is_well_formed(&value));
            }
        }
    }
}
