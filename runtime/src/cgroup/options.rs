//! What is asked for of a machine's scope.

use std::path::PathBuf;
use std::str::FromStr;

use super::property::Property;
use crate::error::{Error, Kind, Result};

/// The slice of systemd's that machines are in.
const MACHINES: &str = "machine.slice";

/// Where the scope is to be, and what its limits are. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeOptions {
    /// The slice of systemd's, if not `machine.slice`.
    pub slice: Option<Slice>,
    /// Limits; of two of one name the last counts.
    pub properties: Vec<Property>,
}

/// The name of a slice of systemd's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice(String);

impl Slice {
    /// Its name, such as `machine.slice`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its cgroup below the root: `a-b.slice` lies in `a.slice`.
    pub(super) fn path(&self) -> PathBuf {
        let stem = self.0.trim_end_matches(".slice");
        let ends = stem.match_indices('-').map(|(at, _)| at);
        let stems = ends.chain([stem.len()]).map(|end| &stem[..end]);
        stems.map(|stem| format!("{stem}.slice")).collect()
    }
}

impl Default for Slice {
    fn default() -> Self {
        Self(MACHINES.to_owned())
    }
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Slice {
    type Err = Error;

    /// The ending may be left out, as with `systemctl`.
    fn from_str(text: &str) -> Result<Self> {
        let stem = text.strip_suffix(".slice").unwrap_or(text);
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":_.\\-".contains(c);
        let parts = stem.split('-').all(|part| !part.is_empty());
        if parts && stem.chars().all(allowed) && stem.len() < 250 {
            return Ok(Self(format!("{stem}.slice")));
        }
        let text = text.escape_debug();
        Err(Error::new(Kind::Usage, format!("invalid slice '{text}'"))
            .hint("such as machine.slice; a hyphen stands for a slice in another"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hyphen_stands_for_a_slice_in_another() {
        let path = |text: &str| text.parse::<Slice>().unwrap().path();
        assert_eq!(path("machine"), PathBuf::from("machine.slice"));
        let nested = PathBuf::from("a.slice/a-b.slice/a-b-c.slice");
        assert_eq!(path("a-b-c.slice"), nested);
        assert_eq!(Slice::default().path(), PathBuf::from(MACHINES));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for text in ["", ".slice", "-", "a--b", "-a", "a/b", "../x", "a b", "a\n"] {
            assert!(text.parse::<Slice>().is_err(), "{text:?}");
        }
    }
}
