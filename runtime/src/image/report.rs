//! What an import did, and what it could not keep.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Regular files.
    pub files: u64,
    /// Directories, the root not counted.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Named pipes.
    pub fifos: u64,
    /// Bytes of file data, holes not counted.
    pub bytes: u64,
}

/// Something that was left out or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// Names that began with a slash.
    AbsoluteNames,
    /// Device nodes.
    Devices,
    /// Sockets.
    Sockets,
    /// Extended attributes that an image may not carry or the file system cannot.
    Attributes,
    /// Access control lists that name users instead of numbering them.
    Acls,
    /// Members of owners that a shifted machine cannot have.
    ForeignOwners,
    /// Times that do not fit.
    Times,
    /// An end mark of one zero block.
    LoneZeroBlock,
    /// Bytes after the end of the archive.
    TrailingBytes,
    /// Directories on which something is mounted.
    MountPoints,
    /// Files of a tree in use that changed or went while they were read.
    Changed,
    /// Members of owners that there are not.
    ReplacedOwners,
    /// Programs that would give privileges to who runs them.
    Privileges,
}

impl WarningKind {
    fn text(self) -> &'static str {
        match self {
            Self::AbsoluteNames => "names began with '/' and were taken below the root",
            Self::Devices => "device nodes were left out",
            Self::Sockets => "sockets were left out",
            Self::Attributes => "extended attributes were left out",
            Self::Acls => "access control lists with names for ids were left out",
            Self::ForeignOwners => "members have owners above 65535, nobody in a shifted machine",
            Self::Times => "times did not fit and were replaced by the nearest that do",
            Self::LoneZeroBlock => "zero block ends the archive where two should",
            Self::TrailingBytes => "bytes after the end of the archive were ignored",
            Self::MountPoints => "mount points were left empty",
            Self::Changed => "files changed or vanished while they were read",
            Self::ReplacedOwners => "files have owners that the machine has not, and are root's",
            Self::Privileges => {
                "programs lost their set-user-ID and set-group-ID bits or capabilities"
            }
        }
    }
}

/// Something that was left out or changed, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What.
    pub kind: WarningKind,
    /// How often; of [`WarningKind::TrailingBytes`] their number.
    pub count: u64,
    /// The first member that it befell, control characters escaped.
    pub first: Option<String>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, self.kind.text())?;
        match &self.first {
            Some(first) => write!(f, " (the first: '{first}')"),
            None => Ok(()),
        }
    }
}

/// Counts warnings by kind.
#[derive(Debug, Default)]
pub(super) struct Warnings(BTreeMap<WarningKind, (u64, Option<String>)>);

impl Warnings {
    /// Counts one for the member of that name.
    pub(super) fn member(&mut self, kind: WarningKind, name: &[u8]) {
        let (count, first) = self.0.entry(kind).or_default();
        *count += 1;
        first.get_or_insert_with(|| shown(name));
    }

    /// Counts `count`, if it is not 0.
    pub(super) fn add(&mut self, kind: WarningKind, count: u64) {
        if count > 0 {
            self.0.entry(kind).or_default().0 += count;
        }
    }

    /// Counts what another has counted.
    pub(super) fn merge(&mut self, others: Vec<Warning>) {
        for other in others {
            let (count, first) = self.0.entry(other.kind).or_default();
            *count += other.count;
            *first = first.take().or(other.first);
        }
    }

    pub(super) fn into_list(self) -> Vec<Warning> {
        self.0
            .into_iter()
            .map(|(kind, (count, first))| Warning { kind, count, first })
            .collect()
    }
}

/// Longest name in a message, in bytes.
const SHOWN: usize = 200;

/// A name from an archive as it may be printed: no control characters, not too long.
pub(crate) fn shown(name: &[u8]) -> String {
    let (head, dots) = match name.get(..SHOWN) {
        Some(head) if name.len() > SHOWN => (head, "..."),
        _ => (name, ""),
    };
    format!("{}{dots}", String::from_utf8_lossy(head).escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_count_and_keep_the_first() {
        let mut warnings = Warnings::default();
        warnings.member(WarningKind::Devices, b"dev/null");
        warnings.member(WarningKind::Devices, b"dev/zero");
        warnings.add(WarningKind::TrailingBytes, 0);
        let list = warnings.into_list();
        assert_eq!(list.len(), 1);
        assert_eq!(
            list[0].to_string(),
            "2 device nodes were left out (the first: 'dev/null')"
        );
    }

    #[test]
    fn names_are_shown_without_control_characters() {
        assert_eq!(shown(b"a\x1b[2J\n\xff"), "a\\u{1b}[2J\\n\u{fffd}");
        assert!(shown(&[b'x'; 9999]).len() < 300);
    }
}
