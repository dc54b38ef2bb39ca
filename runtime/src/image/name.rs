//! Names of images.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};
use crate::name::MachineName;

/// Longest name in bytes: with what hidden names add, a file name has 255.
const LONGEST: usize = 200;

/// The name of an image that exists: whatever a file may be called, since others make
/// images too. One that begins with a dot is hidden.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct ImageName(String);

impl ImageName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is left out of lists.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.0.starts_with('.')
    }

    /// The name of an image to be made: a machine's, or one with a dot before it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for any other.
    pub fn of_new(text: &str) -> Result<Self> {
        let machine: MachineName = text.strip_prefix('.').unwrap_or(text).parse()?;
        let dot = if text.starts_with('.') { "." } else { "" };
        Ok(Self(format!("{dot}{machine}")))
    }
}

/// The rule that `text` breaks, if it breaks one.
fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > LONGEST {
        return Some("it is longer than 200 bytes");
    }
    if text.contains('/') || text.chars().any(char::is_control) {
        return Some("it holds a slash or a control character");
    }
    if matches!(text, "." | ".." | ".host") || text.starts_with(".#") {
        return Some("it stands for something else");
    }
    None
}

impl FromStr for ImageName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(rule) => Err(Error::new(
                Kind::Usage,
                format!("invalid image name '{}': {rule}", text.escape_debug()),
            )),
        }
    }
}

impl From<MachineName> for ImageName {
    fn from(name: MachineName) -> Self {
        Self(name.as_str().to_owned())
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ImageName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_made_can_be_named() {
        for name in ["web", "my_image", ".hidden", "größe", "a b"] {
            assert_eq!(name.parse::<ImageName>().unwrap().as_str(), name);
        }
        for bad in ["", ".", "..", ".host", ".#web", "a/b", "a\n", "a\u{1b}"] {
            assert_eq!(bad.parse::<ImageName>().unwrap_err().kind(), Kind::Usage);
        }
        assert!("x".repeat(201).parse::<ImageName>().is_err());
    }

    #[test]
    fn what_is_made_can_be_started() {
        for name in ["web", ".web", "a.b-c"] {
            assert_eq!(ImageName::of_new(name).unwrap().as_str(), name);
        }
        for bad in ["", ".", "my_image", "..web", "a b", "removed:web"] {
            assert!(ImageName::of_new(bad).is_err(), "{bad}");
        }
    }
}
