//! Values of keys about limits and restrictions.

use super::field::{Field, Form, Item};
use super::values::invalid;
use crate::error::Result;
use crate::plan::tuning::{AskedLimit, CpuList, OomScore, Personality};
use crate::seccomp::{CallRule, FamilyRule};

/// `LimitCPU=` and the like: the value of `--rlimit=`, whose name the key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LimitOf {
    resource: &'static str,
    pub(super) limit: Option<AskedLimit>,
}

impl LimitOf {
    pub(super) fn new(resource: &'static str) -> Self {
        Self {
            resource,
            limit: None,
        }
    }
}

impl Field for LimitOf {
    fn assign(&mut self, text: &str) -> Result<()> {
        self.limit = match text {
            "" => None,
            text => Some(format!("{}={text}", self.resource).parse()?),
        };
        Ok(())
    }

    fn clear(&mut self) {
        self.limit = None;
    }

    fn is_set(&self) -> bool {
        self.limit.is_some()
    }

    fn adds_up(&self) -> bool {
        false
    }

    fn what(&self) -> &'static str {
        "SOFT[:HARD], numbers or infinity"
    }
}

impl Form for OomScore {
    const WHAT: &'static str = "-1000 to 1000";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Form for Personality {
    const WHAT: &'static str = "architecture";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Item for CpuList {
    const WHAT: &'static str = "numbers and ranges";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        text.parse().map(|list| vec![list])
    }
}

/// `PrivateUsersDelegate=`: how many more ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delegated(u8);

impl Form for Delegated {
    const WHAT: &'static str = "0 to 16";

    fn parse(text: &str) -> Result<Self> {
        let number = text.parse().ok().filter(|n| *n <= 16);
        number
            .map(Self)
            .ok_or_else(|| invalid("number of ranges", text, "expected 0 to 16"))
    }
}

/// Whether a line's text denies and allows nothing.
pub(super) fn only_denies(text: &str) -> bool {
    text.trim_ascii().starts_with('~')
}

impl Item for CallRule {
    const WHAT: &'static str = "names and @groups, after ~ to forbid";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        text.parse().map(|rule| vec![rule])
    }
}

impl Item for FamilyRule {
    const WHAT: &'static str = "AF_ names, after ~ to forbid; or none";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        text.parse().map(|rule| vec![rule])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_limits_name_is_the_keys() {
        let mut limit = LimitOf::new("NOFILE");
        limit.assign("10:infinity").unwrap();
        let expected: AskedLimit = "NOFILE=10:infinity".parse().unwrap();
        assert_eq!(limit.limit, Some(expected));
        assert!(limit.assign("2:1").is_err());
        assert_eq!(limit.limit, Some(expected));
        limit.assign("").unwrap();
        assert!(!limit.is_set());
    }

    #[test]
    fn a_line_that_only_forbids_begins_with_a_tilde() {
        assert!(only_denies("~@mount") && only_denies(" ~ mount"));
        assert!(!only_denies("@mount ~clock") && !only_denies(""));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,40}") {
            let _ = LimitOf::new("AS").assign(&text);
            let _ = OomScore::parse(&text);
            let _ = CpuList::parse_line(&text);
            let _ = Personality::parse(&text);
            let _ = CallRule::parse_line(&text);
            let _ = FamilyRule::parse_line(&text);
        }
    }
}
