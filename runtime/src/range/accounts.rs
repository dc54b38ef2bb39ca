//! Ids that the host's account files have given away.

use std::fs;
use std::io;
use std::path::Path;

use super::Range;
use crate::error::{Context, Result};

/// Ids of users and groups, and those set aside for rootless containers.
///
/// Read from files, not through the name service switch: that would load the host's
/// modules into this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    taken: Vec<Range>,
}

impl Accounts {
    /// Reads `passwd`, `group`, `subuid` and `subgid` below `etc`; a missing file gives
    /// nothing away.
    ///
    /// # Errors
    /// If a file exists and cannot be read.
    pub fn read(etc: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = etc.join(name);
            match fs::read(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                other => other.cannot(|| format!("read {}", path.display())),
            }
        };
        let mut accounts = Self::default();
        accounts.add_ids(&read("passwd")?);
        accounts.add_ids(&read("group")?);
        accounts.add_ranges(&read("subuid")?);
        accounts.add_ranges(&read("subgid")?);
        Ok(accounts)
    }

    /// Whether an id of the range is somebody's.
    #[must_use]
    pub fn collide_with(&self, range: Range) -> bool {
        self.taken.iter().any(|taken| taken.overlaps(range))
    }

    /// Lines of passwd(5) and group(5): the id is the third field of both.
    fn add_ids(&mut self, text: &[u8]) {
        let ids = lines(text).filter_map(|fields| Range::new(number(fields.get(2)?)?, 1));
        self.taken.extend(ids);
    }

    /// Lines of subuid(5): owner, first id, count.
    fn add_ranges(&mut self, text: &[u8]) {
        let ranges = lines(text)
            .filter_map(|fields| Range::new(number(fields.get(1)?)?, number(fields.get(2)?)?));
        self.taken.extend(ranges);
    }
}

/// The fields of each line. What is malformed is left to those whose file it is: it can
/// only make a range look free that nobody can use through it either.
fn lines(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    text.split(|&b| b == b'\n')
        .map(|line| line.split(|&b| b == b':').collect())
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accounts(passwd: &str, subuid: &str) -> Accounts {
        let mut accounts = Accounts::default();
        accounts.add_ids(passwd.as_bytes());
        accounts.add_ranges(subuid.as_bytes());
        accounts
    }

    fn range(base: u32) -> Range {
        Range::new(base, super::super::SIZE).unwrap()
    }

    #[test]
    fn an_account_or_a_subordinate_range_takes_its_ids() {
        let accounts = accounts(
            "root:x:0:0:root:/root:/bin/sh\nodd:x:655460:100::/:/bin/false\n",
            "me:1000000:65536\n",
        );
        assert!(accounts.collide_with(range(655_360)));
        assert!(!accounts.collide_with(range(720_896)));
        assert!(accounts.collide_with(range(983_040)));
        assert!(accounts.collide_with(range(1_048_576)));
        assert!(!accounts.collide_with(range(1_114_112)));
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let accounts = accounts(
            "::\nx\nx:y:z\n\u{0}:x:99999999999:\nlast:x:655360",
            "a:b:c\na:1\n",
        );
        assert!(accounts.collide_with(range(655_360)));
        assert!(!accounts.collide_with(range(720_896)));
    }

    #[test]
    fn missing_files_give_nothing_away() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(Accounts::read(empty.path()).unwrap(), Accounts::default());
        fs::write(empty.path().join("group"), "g:x:655361:\n").unwrap();
        assert!(
            Accounts::read(empty.path())
                .unwrap()
                .collide_with(range(655_360))
        );
        fs::create_dir(empty.path().join("subgid")).unwrap();
        assert!(Accounts::read(empty.path()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut accounts = Accounts::default();
            accounts.add_ids(&text);
            accounts.add_ranges(&text);
            let _ = accounts.collide_with(range(655_360));
        }
    }
}
