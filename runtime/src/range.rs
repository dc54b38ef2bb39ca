//! Ranges of user and group ids that user namespaces map to: which one a machine gets.

mod accounts;
mod candidates;
mod etc_lock;
mod lease;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

pub use accounts::Accounts;
pub use candidates::{candidates, owner_base};
pub(crate) use lease::LOCK_DIR;
pub use lease::{RangeLease, Ranges};

/// Ids in one range, and the boundary that picked ranges lie on: a full 16-bit space.
pub const SIZE: u32 = 0x1_0000;

/// The lowest base that systemd sets aside for containers, and so do we.
pub const FIRST_BASE: u32 = 0x0008_0000;

/// The highest such base.
pub const LAST_BASE: u32 = 0x6fff_0000;

/// A run of ids on the host that a namespace sees as `0..len`. The same for users and
/// groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRange")]
pub struct Range {
    base: u32,
    len: u32,
}

/// A range as it is read, before its bounds are checked.
#[derive(Deserialize)]
struct RawRange {
    base: u32,
    len: u32,
}

impl TryFrom<RawRange> for Range {
    type Error = &'static str;

    fn try_from(raw: RawRange) -> Result<Self, &'static str> {
        Self::new(raw.base, raw.len).ok_or("id range is empty or exceeds 32 bits")
    }
}

impl Range {
    /// A range; `None` if it is empty or holds 4294967295, which is no id but means
    /// "unchanged" to chown(2).
    #[must_use]
    pub fn new(base: u32, len: u32) -> Option<Self> {
        let last = base.checked_add(len.checked_sub(1)?)?;
        (last < u32::MAX).then_some(Self { base, len })
    }

    /// The id on the host that the namespace's root has.
    #[must_use]
    pub fn base(self) -> u32 {
        self.base
    }

    /// How many ids there are.
    #[must_use]
    pub fn len(self) -> u32 {
        self.len
    }

    /// Never: an empty range cannot be made.
    #[must_use]
    pub fn is_empty(self) -> bool {
        false
    }

    /// The last id.
    #[must_use]
    pub fn last(self) -> u32 {
        self.base + (self.len - 1)
    }

    /// Whether the two have an id in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.base <= other.last() && other.base <= self.last()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.base, self.len)
    }
}

/// The argument of `--private-users=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PrivateUsers {
    /// No user namespace.
    No,
    /// A range that nobody else uses, the same one each time if possible.
    #[default]
    Pick,
    /// This range.
    Fixed(Range),
}

impl FromStr for PrivateUsers {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "no" => Ok(Self::No),
            "pick" => Ok(Self::Pick),
            _ => parse_range(text).map(Self::Fixed).ok_or_else(|| {
                let text = text.escape_debug();
                let what =
                    format!("invalid user namespace '{text}': expected no, pick or BASE[:RANGE]");
                Error::new(Kind::Usage, what)
                    .hint("a range holds at least one id and ends below 4294967295")
            }),
        }
    }
}

/// `BASE` or `BASE:RANGE`, both decimal.
fn parse_range(text: &str) -> Option<Range> {
    let (base, len) = match text.split_once(':') {
        Some((base, len)) => (base, number(len)?),
        None => (text, SIZE),
    };
    Range::new(number(base)?, len)
}

fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(base: u32, len: u32) -> Range {
        Range::new(base, len).unwrap()
    }

    #[test]
    fn the_argument_is_a_word_or_a_range() {
        let parse = |text: &str| text.parse::<PrivateUsers>().unwrap();
        assert_eq!(parse("no"), PrivateUsers::No);
        assert_eq!(parse("pick"), PrivateUsers::Pick);
        assert_eq!(parse("655360"), PrivateUsers::Fixed(range(655_360, 65_536)));
        assert_eq!(parse("7:1"), PrivateUsers::Fixed(range(7, 1)));
        assert_eq!(
            parse("0:4294967295"),
            PrivateUsers::Fixed(range(0, u32::MAX))
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "yes",
            "Pick",
            ":",
            "1:",
            ":1",
            "1:0",
            "-1",
            "+1",
            "0x10",
            "1:2:3",
            " 1",
            "4294967295",
            "4294967295:1",
            "1:4294967295",
            "4294967296",
            "4294901760",
        ] {
            let error = text.parse::<PrivateUsers>().unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
        }
    }

    #[test]
    fn overlap_counts_the_ends() {
        assert!(range(10, 5).overlaps(range(14, 1)));
        assert!(range(14, 1).overlaps(range(10, 5)));
        assert!(!range(10, 5).overlaps(range(15, 5)));
    }

    #[test]
    fn a_range_read_back_is_checked() {
        let read = serde_json::from_str::<Range>;
        assert_eq!(read(r#"{"base":7,"len":2}"#).unwrap(), range(7, 2));
        assert!(read(r#"{"base":4294967295,"len":2}"#).is_err());
        assert!(read(r#"{"base":7,"len":0}"#).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[0-9:]{0,24}|.{0,12}") {
            let _ = text.parse::<PrivateUsers>();
        }

        #[test]
        fn a_range_is_parsed_as_it_is_printed(base: u32, len: u32) {
            if let Some(range) = Range::new(base, len) {
                let parsed = range.to_string().parse::<PrivateUsers>().unwrap();
                prop_assert_eq!(parsed, PrivateUsers::Fixed(range));
            }
        }
    }
}
