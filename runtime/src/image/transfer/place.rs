//! What a copy's operands name: pure.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::image::report::shown;
use crate::name::MachineName;

/// One end of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A path of the host.
    Host(PathBuf),
    /// A path in a machine or image, from its root.
    Machine(MachineName, PathBuf),
    /// A tar archive on standard input or output.
    Stream,
}

impl Place {
    /// `NAME:PATH`, `PATH` or `-`. A path of the host that has a colon is told by a slash before it.
    #[must_use]
    pub fn parse(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        if bytes == b"-" {
            return Self::Stream;
        }
        let colon = bytes.iter().position(|&b| b == b':');
        let (name, path) = match colon {
            Some(colon) => (&bytes[..colon], &bytes[colon + 1..]),
            None => return Self::Host(text.into()),
        };
        let name = std::str::from_utf8(name).ok();
        match name.and_then(|name| name.parse().ok()) {
            Some(name) => {
                let path = if path.is_empty() { &b"/"[..] } else { path };
                Self::Machine(name, PathBuf::from(OsStr::from_bytes(path)))
            }
            None => Self::Host(text.into()),
        }
    }

    /// The path; none of a stream.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Host(path) | Self::Machine(_, path) => Some(path),
            Self::Stream => None,
        }
    }

    /// Whether it is in a machine or image.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        matches!(self, Self::Machine(..))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(path) => f.write_str(&shown(path.as_os_str().as_bytes())),
            Self::Machine(name, path) => {
                write!(f, "{name}:{}", shown(path.as_os_str().as_bytes()))
            }
            Self::Stream => f.write_str("-"),
        }
    }
}

/// What the source is called where it is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Called {
    /// By its own name.
    Name(Vec<u8>),
    /// Its entries are meant: `DIR/.`, or what has no name.
    Entries,
}

impl Called {
    pub(super) fn of(path: &Path) -> Self {
        let bytes = path.as_os_str().as_bytes();
        match path.file_name() {
            Some(name) if !bytes.ends_with(b"/.") => Self::Name(name.as_bytes().to_vec()),
            _ => Self::Entries,
        }
    }

    /// What it is called between the two processes, which messages tell.
    pub(super) fn between(&self) -> Vec<u8> {
        match self {
            Self::Name(name) => name.clone(),
            Self::Entries => b"entries".to_vec(),
        }
    }
}

/// Whether what a link leads to is meant by its name alone.
pub(super) fn leads_through(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/") || Called::of(path) == Called::Entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match Place::parse(text.as_ref()) {
            Place::Host(path) => format!("host {}", path.display()),
            Place::Machine(name, path) => format!("machine {name} {}", path.display()),
            Place::Stream => "stream".to_owned(),
        }
    }

    #[test]
    fn a_name_before_a_colon_is_a_machines() {
        assert_eq!(parsed("web:/etc"), "machine web /etc");
        assert_eq!(parsed("web:etc:x"), "machine web etc:x");
        assert_eq!(parsed("web:"), "machine web /");
        for host in ["/a:b", "./a:b", "a/b:c", "file", "", ":x", "_:x", "--"] {
            assert_eq!(parsed(host), format!("host {host}"));
        }
        assert_eq!(parsed("-"), "stream");
        assert_eq!(parsed("./-"), "host ./-");
    }

    #[test]
    fn what_has_no_name_of_its_own_is_its_entries() {
        let name = |path: &str| match Called::of(path.as_ref()) {
            Called::Name(name) => String::from_utf8(name).unwrap(),
            Called::Entries => ".".to_owned(),
        };
        for (path, called) in [("a/b", "b"), ("a/b/", "b"), ("b", "b"), ("a/b/.", ".")] {
            assert_eq!(name(path), called, "{path}");
        }
        for path in ["/", ".", "..", "a/..", ""] {
            assert_eq!(name(path), ".", "{path}");
        }
        assert!(leads_through("a/".as_ref()) && leads_through("/".as_ref()));
        assert!(!leads_through("a".as_ref()));
    }
}
