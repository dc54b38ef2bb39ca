//! Values of keys about limits and restrictions.

use super::field::{Field, Form, Item};
use super::values::invalid;
use super::words;
use crate::error::Result;
use crate::plan::tuning::{AskedLimit, CpuList, OomScore, Personality};

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

/// A line of `SystemCallFilter=` or `RestrictAddressFamilies=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule<T> {
    deny: bool,
    names: Vec<T>,
}

/// Whether a line's text denies and allows nothing.
pub(super) fn only_denies(text: &str) -> bool {
    text.starts_with('~')
}

fn rule<T>(text: &str, read: impl Fn(&str) -> Result<T>) -> Result<Vec<Rule<T>>> {
    let deny = only_denies(text);
    let list = text.strip_prefix('~').unwrap_or(text);
    let words = words::split(list).map_err(|rule| invalid("list", text, rule))?;
    let names: Result<Vec<T>> = words.iter().map(|word| read(word)).collect();
    Ok(vec![Rule {
        deny,
        names: names?,
    }])
}

/// A system call or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SystemCall(String);

impl Item for Rule<SystemCall> {
    const WHAT: &'static str = "names and @groups, after ~ to forbid";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        rule(text, |word| {
            let name = word.strip_prefix('@').unwrap_or(word);
            let allowed =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
            if name.is_empty() || !name.chars().all(allowed) {
                return Err(invalid("system call", word, "expected NAME or @GROUP"));
            }
            Ok(SystemCall(word.to_owned()))
        })
    }
}

/// An address family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Family(String);

impl Item for Rule<Family> {
    const WHAT: &'static str = "AF_ names, after ~ to forbid; or none";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        if text == "none" {
            return Ok(vec![Self {
                deny: false,
                names: Vec::new(),
            }]);
        }
        rule(text, |word| {
            let name = word.strip_prefix("AF_").unwrap_or_default();
            let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(allowed) {
                return Err(invalid("address family", word, "expected AF_NAME or none"));
            }
            Ok(Family(word.to_owned()))
        })
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
    fn rules_allow_or_deny() {
        let rules = Rule::<SystemCall>::parse_line("~@mount keyctl").unwrap();
        assert!(rules[0].deny && rules[0].names.len() == 2);
        let rules = Rule::<Family>::parse_line("AF_UNIX AF_INET6").unwrap();
        assert!(!rules[0].deny && rules[0].names.len() == 2);
        assert!(
            Rule::<Family>::parse_line("none").unwrap()[0]
                .names
                .is_empty()
        );
        assert!(Rule::<Family>::parse_line("INET").is_err());
        assert!(Rule::<SystemCall>::parse_line("a;b").is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,40}") {
            let _ = LimitOf::new("AS").assign(&text);
            let _ = OomScore::parse(&text);
            let _ = CpuList::parse_line(&text);
            let _ = Personality::parse(&text);
            let _ = Rule::<SystemCall>::parse_line(&text);
            let _ = Rule::<Family>::parse_line(&text);
        }
    }
}
