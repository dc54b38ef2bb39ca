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

/// A list in the kernel's form as text that every reader of tar archives takes: owners by
/// their numbers. `None` if it is malformed.
pub(super) fn to_text(value: &[u8]) -> Option<String> {
    let entries = value.strip_prefix(&VERSION.to_le_bytes())?;
    if entries.is_empty() || !entries.len().is_multiple_of(8) {
        return None;
    }
    let text = entries.chunks_exact(8).map(entry_text);
    Some(text.collect::<Option<Vec<_>>>()?.join(","))
}

fn entry_text(entry: &[u8]) -> Option<String> {
    let (head, id) = entry.split_first_chunk::<4>()?;
    let [tag, permissions] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_le_bytes);
    let id = u32::from_le_bytes(*id.first_chunk()?);
    let (word, has_id) = match tag {
        0x01 => ("user", false),
        0x02 => ("user", true),
        0x04 => ("group", false),
        0x08 => ("group", true),
        0x10 => ("mask", false),
        0x20 => ("other", false),
        _ => return None,
    };
    let id = if has_id {
        id.to_string()
    } else {
        String::new()
    };
    let letter = |bit, letter| if permissions & bit == 0 { '-' } else { letter };
    let (r, w, x) = (letter(4, 'r'), letter(2, 'w'), letter(1, 'x'));
    Some(format!("{word}:{id}:{r}{w}{x}"))
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
    fn text_is_read_back_as_it_was() {
        let lists = [
            "user::rw-,user:1000:r-x,group::r--,mask::r-x,other::---",
            "user::rwx,group::r-x,group:0:-w-,group:77:r--,mask::rwx,other::r-x",
        ];
        for text in lists {
            let value = from_text(text.as_bytes()).unwrap();
            assert_eq!(to_text(&value).as_deref(), Some(text));
        }
        for bad in [
            &b""[..],
            &[2, 0, 0, 0],
            &[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(to_text(bad), None);
        }
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
