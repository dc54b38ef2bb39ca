//! Mounts that the user asks for, in nspawn's words.

mod check;
mod parse;

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use self::check::arrange;
pub(super) use self::check::settle;
use crate::error::{Error, Kind, Result};

/// Where all paths of Nix's packages begin.
pub(crate) const NIX_STORE: &str = "/nix/store";

/// Where the content of a mount comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A path on the host; relative to the caller's directory until [`Mount::based`].
    Host(PathBuf),
    /// A path inside the machine, written with `+` before it.
    Image(String),
    /// A path in the image that the machine does not see otherwise.
    Hidden(String),
    /// The image's top, where the machine's root is another directory of the image.
    Top,
    /// A directory of the host that is made before the machine starts, if it is missing.
    Made(PathBuf),
    /// A new, empty directory that goes with the machine.
    Fresh,
}

/// Whom the files of a bind mount belong to inside the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    /// To the host's users: with a user namespace to nobody.
    #[default]
    Same,
    /// To the users of the same number in the machine.
    Shifted,
    /// Those of the source's owner to root; all others to nobody.
    Root,
    /// Those of the source's owner to the owner of the target; all others to nobody.
    Owner,
    /// Those of this user and group of the host to the user and group of that number; all others to
    /// nobody.
    Account {
        /// User and group on the host.
        host: (u32, u32),
        /// Both in the machine.
        machine: u32,
    },
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory, file or device node of the host or of the image.
    Bind {
        /// What is to be seen.
        source: Source,
        /// With the mounts below it.
        recursive: bool,
        /// Whose its files are.
        ids: Ids,
    },
    /// A new file system in memory, with options of tmpfs(5).
    Tmpfs(Vec<(String, String)>),
    /// Nothing that can be opened.
    Inaccessible,
    /// Directories on top of one another.
    Overlay {
        /// Those below, the lowest first.
        lowers: Vec<Source>,
        /// The one that takes the changes; with a read-only overlay only the topmost.
        upper: Source,
    },
}

/// One mount in the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path in the machine, without `.` and `..`.
    pub target: String,
    /// Whether nothing can be changed through it.
    pub read_only: bool,
    /// What is mounted.
    pub what: What,
    /// The option and its value, for messages.
    pub spelling: String,
}

/// What a start has to know of a [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// A mount and what it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What was asked for.
    pub mount: Mount,
    /// What is mounted; of something inaccessible, not known yet.
    pub shape: Shape,
}

impl Mount {
    /// Makes relative paths of the host absolute.
    #[must_use]
    pub fn based(mut self, directory: &Path) -> Self {
        for source in self.what.sources_mut() {
            if let Source::Host(path) = source {
                *path = directory.join(&path);
            }
        }
        self
    }

    /// Whether it is Nix's store, which is the same for all that use it.
    pub(crate) fn is_nix_store(&self) -> bool {
        self.target == NIX_STORE && self.read_only
    }

    /// Nix's store of the host.
    #[must_use]
    pub fn nix_store(store: &Path) -> Self {
        Self {
            target: NIX_STORE.to_owned(),
            read_only: true,
            what: What::Bind {
                source: Source::Host(store.to_owned()),
                recursive: true,
                ids: Ids::Same,
            },
            spelling: "--system".to_owned(),
        }
    }

    /// A directory of the image at its own place, read-only, in a root that is not the image's.
    pub(super) fn image_part(path: &str) -> Self {
        Self {
            target: path.to_owned(),
            read_only: true,
            what: What::Bind {
                source: Source::Hidden(path.to_owned()),
                recursive: true,
                ids: Ids::Same,
            },
            spelling: "--volatile=yes".to_owned(),
        }
    }

    /// A file of the host, read-only.
    pub(super) fn host_file(path: &str, target: &str, option: &str) -> Self {
        Self {
            target: target.to_owned(),
            read_only: true,
            what: What::Bind {
                source: Source::Host(path.into()),
                recursive: false,
                ids: Ids::Same,
            },
            spelling: option.to_owned(),
        }
    }

    /// Whether it is an overlay whose changes go into the image.
    pub(super) fn takes_changes_in_image(&self) -> bool {
        let upper = match &self.what {
            What::Overlay { upper, .. } => upper,
            _ => return false,
        };
        !self.read_only && matches!(upper, Source::Image(_))
    }

    /// A usage error about this mount.
    pub(super) fn refused(&self, why: impl fmt::Display) -> Error {
        Error::new(Kind::Usage, format!("cannot use {}: {why}", self.spelling))
    }
}

impl What {
    /// All sources, in the order in which a start opens them.
    pub(crate) fn sources(&self) -> Vec<&Source> {
        match self {
            Self::Bind { source, .. } => vec![source],
            Self::Overlay { lowers, upper } => lowers.iter().chain([upper]).collect(),
            Self::Tmpfs(_) | Self::Inaccessible => Vec::new(),
        }
    }

    fn sources_mut(&mut self) -> Vec<&mut Source> {
        match self {
            Self::Bind { source, .. } => vec![source],
            Self::Overlay { lowers, upper } => lowers.iter_mut().chain([upper]).collect(),
            Self::Tmpfs(_) | Self::Inaccessible => Vec::new(),
        }
    }
}

/// All sources of all mounts, in the order in which a start opens them.
pub(crate) fn sources(mounts: &[Mount]) -> impl Iterator<Item = &Source> {
    mounts.iter().flat_map(|mount| mount.what.sources())
}

impl fmt::Display for Mount {
    /// Target and content, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.escape_debug();
        match &self.what {
            What::Bind { source, .. } => write!(f, "{source} on {target}"),
            What::Tmpfs(_) => write!(f, "tmpfs on {target}"),
            What::Inaccessible => write!(f, "nothing on {target}"),
            What::Overlay { lowers, upper } => {
                lowers.iter().try_for_each(|lower| write!(f, "{lower}, "))?;
                write!(f, "{upper} on {target}")
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(path) | Self::Made(path) => {
                write!(f, "{}", path.to_string_lossy().escape_debug())
            }
            Self::Image(path) => write!(f, "+{}", path.escape_debug()),
            Self::Hidden(path) => write!(f, "the image's {}", path.escape_debug()),
            Self::Top => f.write_str("the image's top"),
            Self::Fresh => f.write_str("a new directory"),
        }
    }
}

/// Splits at colons; `\:` is a colon and `\\` a backslash.
pub(super) fn fields(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let kept = match c {
            ':' => {
                all.push(String::new());
                continue;
            }
            '\\' => match chars.clone().next() {
                Some(escaped @ (':' | '\\')) => {
                    chars.next();
                    escaped
                }
                _ => c,
            },
            _ => c,
        };
        if let Some(last) = all.last_mut() {
            last.push(kept);
        }
    }
    all
}

/// An absolute path inside the machine in its shortest form.
pub(super) fn inside(path: &str) -> Result<String> {
    let bad = |why: &str| {
        let path = path.escape_debug();
        Error::new(
            Kind::Usage,
            format!("invalid path in the machine '{path}': {why}"),
        )
    };
    if !path.starts_with('/') {
        return Err(bad("it is not absolute"));
    }
    if path.contains('\0') {
        return Err(bad("it holds a NUL byte"));
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|p| !matches!(*p, "" | "."))
        .collect();
    if parts.contains(&"..") {
        return Err(bad("it leads upwards"));
    }
    Ok(format!("/{}", parts.join("/")))
}
