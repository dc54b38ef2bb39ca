//! The note on a tree's top that makes an interrupted change of owners complete itself.
//!
//! It tells which ids are moved, and what the kernel takes from the one file that is in work:
//! chown(2) clears the set-user-ID bit and file capabilities, and needs the immutable flag
//! cleared. File systems with a journal keep the order of changes to one file system, so this
//! holds after a crash of the host, too.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::hash::Hasher;
use std::os::fd::BorrowedFd;

use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
use rustix::io::{Errno, Result as SysResult};
use siphasher::sip::SipHasher13;

use super::ids::{Rule, Sources};

/// Nobody without privileges on the host can set it.
const NAME: &str = "trusted.nsrun.owners";

/// More than the longest note: 99 bases and one file.
const LONGEST: usize = 4096;

/// What is to be restored of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// The file, by [`path_hash`].
    pub(super) path: u64,
    /// Permission bits with set-user-ID and the like.
    pub(super) mode: u32,
    /// Inode flags that forbid changes, as in `FS_IOC_GETFLAGS`.
    pub(super) flags: u32,
    /// File capabilities.
    pub(super) capability: Option<Vec<u8>>,
}

/// The note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) rule: Rule,
    pub(super) pending: Option<Pending>,
}

/// A short name for a path below the top.
pub(super) fn path_hash(path: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(path);
    hasher.finish()
}

impl Marker {
    /// The note on `top`; `None` if there is none that can be understood.
    pub(super) fn read(top: BorrowedFd<'_>) -> Option<Self> {
        let mut buffer = [0; LONGEST];
        let length = fgetxattr(top, NAME, &mut buffer).ok()?;
        Self::parse(std::str::from_utf8(buffer.get(..length)?).ok()?)
    }

    /// Leaves the note; `false` if the file system keeps none.
    pub(super) fn write(&self, top: BorrowedFd<'_>) -> SysResult<bool> {
        match fsetxattr(top, NAME, self.text().as_bytes(), XattrFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Takes the note away.
    pub(super) fn remove(top: BorrowedFd<'_>) -> SysResult<()> {
        match fremovexattr(top, NAME) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            other => other,
        }
    }

    /// `to=BASE from=BASE,BASE` or `from=any`; then, of a file in work, `path=`, `mode=`,
    /// `flags=` and `capability=`, all hexadecimal.
    fn text(&self) -> String {
        let mut text = format!("to={} from=", self.rule.to);
        match &self.rule.from {
            Sources::Any => text.push_str("any"),
            Sources::These(bases) => {
                let words: Vec<String> = bases.iter().map(u32::to_string).collect();
                text.push_str(&words.join(","));
            }
        }
        if let Some(pending) = &self.pending {
            let Pending {
                path, mode, flags, ..
            } = pending;
            // Writing to a string does not fail.
            let _ = write!(text, " path={path:x} mode={mode:x} flags={flags:x}");
            if let Some(capability) = &pending.capability {
                text.push_str(" capability=");
                for byte in capability {
                    let _ = write!(text, "{byte:02x}");
                }
            }
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let mut words = text.split(' ').filter_map(|word| word.split_once('='));
            words.find_map(|(k, v)| (k == key).then_some(v))
        };
        let from = match value("from")? {
            "any" => Sources::Any,
            list => {
                let bases: Option<BTreeSet<u32>> =
                    list.split(',').map(|b| b.parse().ok()).collect();
                Sources::These(bases?)
            }
        };
        let to = value("to")?.parse().ok()?;
        let pending = match value("path") {
            None => None,
            Some(path) => Some(Pending {
                path: u64::from_str_radix(path, 16).ok()?,
                mode: u32::from_str_radix(value("mode")?, 16).ok()?,
                flags: u32::from_str_radix(value("flags")?, 16).ok()?,
                capability: match value("capability") {
                    None => None,
                    Some(text) => Some(bytes(text)?),
                },
            }),
        };
        Some(Self {
            rule: Rule { from, to },
            pending,
        })
    }
}

/// Pairs of hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [_, _] => u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::fd::AsFd;

    fn marker(pending: Option<Pending>) -> Marker {
        let from = Sources::These(BTreeSet::from([0, 655_360]));
        Marker {
            rule: Rule { from, to: 720_896 },
            pending,
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let top = std::fs::File::open(dir.path()).unwrap();
        let top = top.as_fd();
        assert_eq!(Marker::read(top), None);
        let note = marker(Some(Pending {
            path: path_hash(b"usr/bin/su"),
            mode: 0o4755,
            flags: 0x10,
            capability: Some(vec![1, 0, 0, 2, 255]),
        }));
        assert!(note.write(top).unwrap());
        assert_eq!(Marker::read(top), Some(note));
        let plain = marker(None);
        assert!(plain.write(top).unwrap());
        assert_eq!(Marker::read(top), Some(plain));
        Marker::remove(top).unwrap();
        Marker::remove(top).unwrap();
        assert_eq!(Marker::read(top), None);
    }

    #[test]
    fn a_damaged_note_is_none() {
        for text in [
            "",
            "to=1",
            "from=0",
            "to=x from=0",
            "to=1 from=",
            "to=1 from=0 path=zz mode=0 flags=0",
            "to=1 from=0 path=1",
            "to=1 from=0 path=1 mode=0 flags=0 capability=123",
        ] {
            assert_eq!(Marker::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_rule_survives(
            bases in prop::collection::btree_set(any::<u32>(), 1..99),
            to: u32,
            path: u64,
            mode: u32,
            capability in prop::option::of(prop::collection::vec(any::<u8>(), 1..24)),
        ) {
            let pending = Some(Pending { path, mode, flags: 0, capability });
            let note = Marker { rule: Rule { from: Sources::These(bases), to }, pending };
            prop_assert!(note.text().len() < LONGEST);
            prop_assert_eq!(Marker::parse(&note.text()), Some(note));
        }

        #[test]
        fn parsing_never_panics(text in "[a-z=0-9, é]{0,60}") {
            let _ = Marker::parse(&text);
        }
    }
}
