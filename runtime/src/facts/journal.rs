//! What the host has of a machine's journal.

use std::path::PathBuf;

use crate::plan::JOURNALS;

/// What is at the place of a machine's journal on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory {
        /// Nothing is in it.
        is_empty: bool,
    },
    /// A link to this path.
    Link(PathBuf),
    /// Something else, or something that cannot be looked at.
    Other,
}

/// The host's journals as planning sees them.
#[derive(Clone, Debug)]
pub(crate) struct JournalFacts {
    /// The host's own id, of 32 digits.
    pub(crate) host_id: Option<String>,
    /// Whether the host keeps journals on its disk.
    pub(crate) keeps: bool,
    /// What there is for the machine.
    pub(crate) entry: Entry,
}

impl JournalFacts {
    /// Looks at the place for a machine with this id.
    pub(crate) fn probe(id: &str) -> Self {
        let host_id = std::fs::read_to_string("/etc/machine-id").ok();
        let path = PathBuf::from(JOURNALS).join(id);
        let entry = match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Entry::Nothing,
            Ok(found) if found.is_dir() => {
                let mut entries = std::fs::read_dir(&path);
                let is_empty = entries.as_mut().is_ok_and(|all| all.next().is_none());
                Entry::Directory { is_empty }
            }
            Ok(found) if found.is_symlink() => {
                std::fs::read_link(&path).map_or(Entry::Other, Entry::Link)
            }
            _ => Entry::Other,
        };
        Self {
            host_id: host_id.map(|text| text.trim().to_owned()),
            keeps: std::fs::metadata(JOURNALS).is_ok_and(|found| found.is_dir()),
            entry,
        }
    }
}
