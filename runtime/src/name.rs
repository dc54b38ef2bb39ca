//! Names of machines and images.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind};

/// A machine's name: a host name of at most 64 bytes, so that it fits the kernel's
/// `sethostname(2)` limit and can be used in paths, cgroups and link names as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct MachineName(String);

/// Longest machine name in bytes: `__NEW_UTS_LEN` of the kernel.
pub const MAX_LEN: usize = 64;

impl MachineName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A valid name made from any text by dropping what a host name may not hold, as
    /// nspawn does with the last component of `--directory=`; `None` if nothing remains.
    #[must_use]
    pub fn cleaned(text: &str) -> Option<Self> {
        let mut name = String::new();
        for c in text.chars().filter(|&c| allowed(c)) {
            let after_edge = name.is_empty() || name.ends_with('.');
            if (c == '.' && (after_edge || name.ends_with('-'))) || (c == '-' && after_edge) {
                continue;
            }
            name.push(c);
        }
        name.truncate(MAX_LEN);
        name.truncate(name.trim_end_matches(['.', '-']).len());
        name.parse().ok()
    }

    /// This name, cut if it must be, with a hyphen and `suffix`, as nspawn names one of many
    /// machines of an image.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the suffix is too long or may not be in a name.
    pub fn with_suffix(&self, suffix: &str) -> Result<Self, Error> {
        let room = MAX_LEN.saturating_sub(suffix.len() + 1);
        let base = self.0.get(..room.min(self.0.len())).unwrap_or_default();
        format!("{}-{suffix}", base.trim_end_matches(['.', '-'])).parse()
    }
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '.'
}

/// The rule that `text` breaks, if it breaks one.
fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > MAX_LEN {
        return Some("it is longer than 64 bytes");
    }
    if !text.chars().all(allowed) {
        return Some("only a-z, A-Z, 0-9, '-' and '.' are allowed");
    }
    let bad_label = |l: &str| l.is_empty() || l.starts_with('-') || l.ends_with('-');
    text.split('.')
        .any(bad_label)
        .then_some("each part between dots must begin and end with a letter or digit")
}

impl FromStr for MachineName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(rule) => Err(Error::new(
                Kind::Usage,
                format!("invalid machine name '{}': {rule}", text.escape_debug()),
            )),
        }
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for MachineName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_suffix_is_never_cut() {
        let name = |text: &str| text.parse::<MachineName>().unwrap();
        assert_eq!(name("web").with_suffix("1f").unwrap(), name("web-1f"));
        let long = format!("{}.b", "x".repeat(60));
        let cut = name(&long).with_suffix("12").unwrap();
        assert_eq!(cut.as_str(), format!("{}-12", "x".repeat(60)));
        assert!(name("web").with_suffix("_").is_err());
    }

    #[test]
    fn accepts_host_names() {
        let longest = "x".repeat(MAX_LEN);
        for name in ["a", "web", "nginx-test", "a.b-c.d", "0", &longest] {
            assert!(name.parse::<MachineName>().is_ok(), "{name}");
        }
    }

    #[test]
    fn refuses_what_paths_options_and_links_could_trip_over() {
        let too_long = "x".repeat(MAX_LEN + 1);
        for name in [
            "", ".", "..", "/", "a/b", "-rf", "a\n", "a\0b", "é", ".host", "%n", "~", "a.", "a..b",
            "a_b", "a-", "a.-b", &too_long,
        ] {
            let error = name.parse::<MachineName>().unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{name}");
        }
    }

    #[test]
    fn the_message_escapes_control_characters() {
        let error = "a\u{1b}[2J".parse::<MachineName>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }

    proptest! {
        #[test]
        fn cleaning_gives_a_valid_name_or_none(text in ".{0,100}") {
            if let Some(name) = MachineName::cleaned(&text) {
                prop_assert!(name.as_str().parse::<MachineName>().is_ok());
            }
        }

        #[test]
        fn cleaning_keeps_a_valid_name(text in "[a-z0-9]{1,20}(-[a-z0-9]{1,5})?(\\.[a-z]{1,9})?") {
            let name = MachineName::cleaned(&text).unwrap();
            prop_assert_eq!(name.as_str(), text);
        }
    }
}
