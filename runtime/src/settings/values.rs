//! The values of keys that are more than a text, and how they are read.

use std::path::Path;

use super::field::{Form, Item};
use super::words;
use crate::caps::CapSet;
use crate::error::{Error, Kind, Result};
use crate::name::MachineName;
use crate::ownership::Ownership;
use crate::plan::{PivotRoot, parse_id};
use crate::range::{PrivateUsers, Range, SIZE};
use crate::supervise::Signal;

/// What is wrong with a value, told with the value itself.
pub(super) fn invalid(what: &str, text: &str, rule: &str) -> Error {
    // A value may be as long as a file.
    let short: String = text.chars().take(80).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    let shown = format!("{}{dots}", short.escape_debug());
    Error::new(Kind::BadInput, format!("invalid {what} '{shown}': {rule}"))
}

impl Form for bool {
    const WHAT: &'static str = "yes or no";

    fn parse(text: &str) -> Result<Self> {
        truth(text).ok_or_else(|| invalid("boolean", text, "expected yes or no"))
    }
}

/// systemd's words for true and false, in either case.
pub(super) fn truth(text: &str) -> Option<bool> {
    match &*text.to_ascii_lowercase() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// A word of a list.
pub(super) fn one_of(what: &str, text: &str, known: &[&'static str]) -> Result<&'static str> {
    let found = known.iter().copied().find(|word| *word == text);
    found.ok_or_else(|| {
        let rule = format!("expected one of {}", known.join(", "));
        invalid(what, text, &rule)
    })
}

/// Words as they are: arguments, user names.
impl Item for String {
    const WHAT: &'static str = "words";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        words::split(text).map_err(|rule| invalid("list", text, rule))
    }
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable(pub(super) String, pub(super) String);

impl Item for Variable {
    const WHAT: &'static str = "NAME=VALUE words";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        let words = String::parse_line(text)?;
        let pairs = words.iter().map(|word| {
            let pair = word.split_once('=').filter(|(name, _)| is_variable(name));
            pair.map(|(name, value)| Self(name.to_owned(), value.to_owned()))
                .ok_or_else(|| invalid("environment variable", word, "expected NAME=VALUE"))
        });
        pairs.collect()
    }
}

fn is_variable(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A user of the machine, by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserName(pub(super) String);

impl Form for UserName {
    const WHAT: &'static str = "user name or number";

    fn parse(text: &str) -> Result<Self> {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/');
        if text.contains(forbidden) || text.starts_with('-') {
            return Err(invalid("user", text, "it is neither a name nor a number"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An absolute path inside the machine without `.` and `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InnerPath(pub(super) String);

impl Form for InnerPath {
    const WHAT: &'static str = "absolute path";

    fn parse(text: &str) -> Result<Self> {
        absolute(text).map(Self)
    }
}

pub(super) fn absolute(text: &str) -> Result<String> {
    if !text.starts_with('/') {
        return Err(invalid("path", text, "it must begin with /"));
    }
    if text.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(invalid("path", text, "it must not have . or .. in it"));
    }
    // Components join to the same path without repeated and final slashes.
    let plain: std::path::PathBuf = Path::new(text).components().collect();
    Ok(plain.to_string_lossy().into_owned())
}

impl Form for PivotRoot {
    const WHAT: &'static str = "NEW[:OLD]";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Item for CapSet {
    const WHAT: &'static str = "capabilities or all";

    fn parse_line(text: &str) -> Result<Vec<Self>> {
        text.parse().map(|set| vec![set])
    }
}

impl Form for Signal {
    const WHAT: &'static str = "signal";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Form for MachineName {
    const WHAT: &'static str = "host name";

    fn parse(text: &str) -> Result<Self> {
        text.parse()
            .map_err(|_| invalid("host name", text, "expected letters, digits, - and ."))
    }
}

/// A machine id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MachineId(pub(super) String);

impl Form for MachineId {
    const WHAT: &'static str = "machine id";

    fn parse(text: &str) -> Result<Self> {
        let valid = parse_id(text).is_some();
        valid.then(|| Self(text.to_owned())).ok_or_else(|| {
            invalid(
                "machine id",
                text,
                "expected 32 hexadecimal digits, not all zero",
            )
        })
    }
}

/// Words of `PrivateUsers=` beside those of the option: `yes` is the image's own range, which `pick`
/// begins with, and `identity` the host's ids in a namespace.
impl Form for PrivateUsers {
    const WHAT: &'static str = "no, yes, pick, identity or BASE[:RANGE]";

    fn parse(text: &str) -> Result<Self> {
        let digits = text.starts_with(|c: char| c.is_ascii_digit());
        match (text, truth(text).filter(|_| !digits)) {
            (_, Some(true)) => Ok(Self::Pick),
            (_, Some(false)) => Ok(Self::No),
            ("identity", _) => Ok(Range::new(0, SIZE).map_or(Self::Pick, Self::Fixed)),
            ("managed", _) => Err(invalid(
                "user namespace",
                text,
                "it takes systemd-nsresourced, which nsrun does not use",
            )
            .hint("`pick` takes a free range")),
            _ => text.parse(),
        }
    }
}

impl Form for Ownership {
    const WHAT: &'static str = "off, chown, map or auto";

    fn parse(text: &str) -> Result<Self> {
        match (text, truth(text)) {
            (_, Some(true)) => Ok(Self::Auto),
            (_, Some(false)) => Ok(Self::Off),
            ("foreign", _) => Err(invalid(
                "ownership",
                text,
                "it takes systemd's foreign id range, which nsrun does not use",
            )
            .hint("`map` leaves owners on the disk alone")),
            _ => {
                let words = Self::ALL.map(Self::word);
                let word = one_of("ownership", text, &words)?;
                let found = Self::ALL.into_iter().find(|mode| mode.word() == word);
                found.ok_or_else(|| invalid("ownership", text, "it is not known"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn booleans_have_systemds_words() {
        for text in ["1", "yes", "Y", "TRUE", "t", "On"] {
            assert!(bool::parse(text).unwrap(), "{text}");
        }
        for text in ["0", "no", "N", "False", "f", "off"] {
            assert!(!bool::parse(text).unwrap(), "{text}");
        }
        for text in ["2", "ja", "yes no", "nope"] {
            assert!(bool::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn digits_are_ids_and_no_booleans() {
        let range = |base, len| PrivateUsers::Fixed(Range::new(base, len).unwrap());
        let table = [
            ("yes", PrivateUsers::Pick),
            ("pick", PrivateUsers::Pick),
            ("no", PrivateUsers::No),
            ("off", PrivateUsers::No),
            ("0", range(0, SIZE)),
            ("1", range(1, SIZE)),
            ("655360:1000", range(655_360, 1000)),
            ("identity", range(0, SIZE)),
        ];
        for (text, users) in table {
            assert_eq!(PrivateUsers::parse(text).unwrap(), users, "{text}");
        }
        assert!(
            PrivateUsers::parse("managed")
                .unwrap_err()
                .advice()
                .is_some()
        );
        assert!(PrivateUsers::parse("pikc").is_err());
    }

    #[test]
    fn environment_lines_hold_many_variables() {
        let all = Variable::parse_line(r#"A=1 "B=two words" C= "#).unwrap();
        let pair = |name: &str, value: &str| Variable(name.into(), value.into());
        assert_eq!(all, [pair("A", "1"), pair("B", "two words"), pair("C", "")]);
        for text in ["A", "=x", "1A=x", "A-B=x", "A=1 \"B"] {
            assert!(Variable::parse_line(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_absolute_and_have_one_spelling() {
        assert_eq!(absolute("//srv//www/").unwrap(), "/srv/www");
        assert_eq!(absolute("/").unwrap(), "/");
        for text in ["srv", "", "/a/../b", "/./a", ".."] {
            assert!(absolute(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_message_is_printable_and_short() {
        let error = bool::parse(&"\u{1b}x".repeat(1000)).unwrap_err();
        let text = error.to_string();
        assert!(
            !text.contains('\u{1b}') && text.chars().count() < 1000,
            "{text}"
        );
    }

    #[test]
    fn what_another_service_would_have_to_do_is_refused_with_a_way_out() {
        assert!(Ownership::parse("foreign").unwrap_err().advice().is_some());
        assert_eq!(Ownership::parse("yes").unwrap(), Ownership::Auto);
        assert_eq!(Ownership::parse("chown").unwrap(), Ownership::Chown);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,40}") {
            let _ = bool::parse(&text);
            let _ = Variable::parse_line(&text);
            let _ = UserName::parse(&text);
            let _ = PivotRoot::parse(&text);
            let _ = PrivateUsers::parse(&text);
            let _ = Ownership::parse(&text);
            let _ = MachineId::parse(&text);
            let _ = MachineName::parse(&text);
        }

        #[test]
        fn a_path_read_twice_is_the_same(text in "/[a-z/.]{0,30}") {
            if let Ok(path) = absolute(&text) {
                prop_assert_eq!(absolute(&path).unwrap(), path);
            }
        }
    }
}
