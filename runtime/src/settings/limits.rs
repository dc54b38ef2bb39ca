//! Values of keys about limits and restrictions.

use super::field::{Form, Item};
use super::values::{invalid, one_of};
use super::words;
use crate::error::Result;

/// A resource limit: `SOFT[:HARD]`, `None` being infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResourceLimit {
    soft: Option<u64>,
    hard: Option<u64>,
}

impl Form for ResourceLimit {
    const WHAT: &'static str = "SOFT[:HARD], numbers or infinity";

    fn parse(text: &str) -> Result<Self> {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        let both = amount(soft).zip(amount(hard));
        let (soft, hard) = both
            .ok_or_else(|| invalid("limit", text, "expected SOFT[:HARD], numbers or `infinity`"))?;
        if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            let rule = "the soft limit is above the hard one";
            return Err(invalid("limit", text, rule));
        }
        Ok(Self { soft, hard })
    }
}

/// A number, K to E times a power of 1024.
fn amount(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text == "infinity" {
        return Some(None);
    }
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => 0,
        suffix => {
            1 + ["K", "M", "G", "T", "P", "E"]
                .iter()
                .position(|u| *u == suffix)?
        }
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let factor = 1024_u64.checked_pow(u32::try_from(unit).ok()?)?;
    digits.parse::<u64>().ok()?.checked_mul(factor).map(Some)
}

/// `OOMScoreAdjust=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OomScore(i16);

impl Form for OomScore {
    const WHAT: &'static str = "-1000 to 1000";

    fn parse(text: &str) -> Result<Self> {
        let number = text.parse().ok().filter(|n| (-1000..=1000).contains(n));
        number
            .map(Self)
            .ok_or_else(|| invalid("score", text, "expected -1000 to 1000"))
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

/// Processors, from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cpus {
    first: u16,
    last: u16,
}

impl Item for Cpus {
    const WHAT: &'static str = "numbers and ranges";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        words
            .map(|word| {
                let (first, last) = word.split_once('-').unwrap_or((word, word));
                let both = first.parse().ok().zip(last.parse().ok());
                both.filter(|(first, last)| first <= last && *last < 8192)
                    .map(|(first, last)| Self { first, last })
                    .ok_or_else(|| invalid("list of processors", word, "expected 0-3,5"))
            })
            .collect()
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

/// Architectures by systemd's names.
const ARCHITECTURES: [&str; 24] = [
    "alpha",
    "arc",
    "arm",
    "arm64",
    "loongarch64",
    "m68k",
    "mips",
    "mips-le",
    "mips64",
    "mips64-le",
    "parisc",
    "parisc64",
    "ppc",
    "ppc-le",
    "ppc64",
    "ppc64-le",
    "riscv32",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "x86",
    "x86-64",
];

/// `Personality=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Personality(&'static str);

impl Form for Personality {
    const WHAT: &'static str = "architecture";

    fn parse(text: &str) -> Result<Self> {
        one_of("architecture", text, &ARCHITECTURES).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_have_units_and_two_parts() {
        let limit = |text| ResourceLimit::parse(text).unwrap();
        let both = |soft, hard| ResourceLimit { soft, hard };
        assert_eq!(limit("10"), both(Some(10), Some(10)));
        assert_eq!(limit("1K:2M"), both(Some(1024), Some(2 << 20)));
        assert_eq!(limit("8:infinity"), both(Some(8), None));
        for text in [
            "x",
            "1:",
            "2:1",
            "infinity:1",
            "-1",
            "1KB",
            "99999999999999999999",
            "16E",
        ] {
            assert!(ResourceLimit::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn scores_counts_and_processors_have_bounds() {
        assert!(OomScore::parse("-1000").is_ok());
        assert!(OomScore::parse("1001").is_err());
        assert!(Delegated::parse("17").is_err());
        let cpus = Cpus::parse_line("0-3, 5 7").unwrap();
        let firsts: Vec<u16> = cpus.iter().map(|cpus| cpus.first).collect();
        assert_eq!(firsts, [0, 5, 7]);
        for text in ["3-1", "a", "-1", "0-99999", "8192"] {
            assert!(Cpus::parse_line(text).is_err(), "{text}");
        }
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
            let _ = ResourceLimit::parse(&text);
            let _ = OomScore::parse(&text);
            let _ = Cpus::parse_line(&text);
            let _ = Rule::<SystemCall>::parse_line(&text);
            let _ = Rule::<Family>::parse_line(&text);
        }

        #[test]
        fn a_limit_that_is_accepted_has_its_parts_in_order(text in "[0-9]{1,3}[KMG]?(:[0-9]{1,3}[KMG]?)?") {
            if let Ok(limit) = ResourceLimit::parse(&text) {
                prop_assert!(limit.soft <= limit.hard);
            }
        }
    }
}
