//! What a machine has outside of its directory, and would leave if everything were killed.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nsrun_netns::{IfName, Moved, Owner};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Incarnation;
use crate::name::MachineName;

/// Longest list that is read, in bytes; a machine notes a handful of lines.
pub(super) const MAX_SIZE: usize = 1 << 20;

/// One thing, noted before it is made. Noted in vain is harmless: taking away what is
/// not there succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Item {
    /// A control group, by its path below the root of the unified hierarchy. One of its
    /// components must be called `nsrun-` and the machine's name, alone or with a suffix
    /// after a dot: `machine.slice/nsrun-web.scope`.
    Cgroup {
        /// The path, without a leading slash.
        path: String,
    },
    /// The host end of a pair of links.
    Link {
        /// Its name.
        name: String,
        /// Its Ethernet address.
        mac: String,
        /// The text of its alias: `nsrun:`, the machine's name, and more after a colon.
        tag: String,
    },
    /// A link of the host that the machine has for itself.
    Lent {
        /// Its name.
        name: String,
        /// The text of its alias until it is back: `nsrun-lent:`, the machine's name, and more
        /// after a colon.
        tag: String,
        /// The text of its alias before.
        alias: String,
    },
    /// A bridge that machines share: `vz-` or `nsrun-vlan`, and more.
    Bridge {
        /// Its name.
        name: String,
    },
    /// Rules of the host's packet filter.
    Rules {
        /// The comment that they have: as the tag of a link.
        tag: String,
    },
    /// A lock file beside an image (`.#NAME.lck`) or in `/run/systemd/nspawn/locks` or
    /// `/run/systemd/nspawn-uid`. The lock ends with its holder, the file would stay.
    LockFile {
        /// The absolute path. In JSON a string, or the array of its bytes if it is not UTF-8.
        #[serde(serialize_with = "write_path", deserialize_with = "read_path")]
        path: PathBuf,
    },
    /// A directory with what only this machine needs, called as [`Item::scratch_name`] says.
    Scratch {
        /// The absolute path.
        path: String,
    },
}

impl Item {
    /// What a scratch directory is called: `.#nsrun-NAME-` and 16 digits.
    #[must_use]
    pub fn scratch_name(machine: &MachineName, number: Incarnation) -> String {
        format!(".#nsrun-{machine}-{number}")
    }

    /// The item for a link.
    #[must_use]
    pub fn link(owner: &Owner) -> Self {
        Self::Link {
            name: owner.name.to_string(),
            mac: owner.mac.to_string(),
            tag: owner.tag.clone(),
        }
    }
}

impl Item {
    /// The item for a link of the host that a machine has for itself.
    #[must_use]
    pub fn lent(moved: &Moved) -> Self {
        Self::Lent {
            name: moved.name.to_string(),
            tag: moved.tag.clone(),
            alias: moved.alias.clone(),
        }
    }

    /// The item for a bridge that machines share.
    #[must_use]
    pub fn bridge(name: &IfName) -> Self {
        Self::Bridge {
            name: name.to_string(),
        }
    }
}

fn write_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => serializer.serialize_str(text),
        None => serializer.collect_seq(path.as_os_str().as_bytes()),
    }
}

fn read_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Path {
        Text(String),
        Bytes(Vec<u8>),
    }
    Ok(match Path::deserialize(deserializer)? {
        Path::Text(text) => text.into(),
        Path::Bytes(bytes) => OsString::from_vec(bytes).into(),
    })
}

/// A line of the list.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    /// In which boot of the host the list was begun. Always the first line.
    Boot {
        /// The kernel's boot id.
        id: String,
    },
    #[serde(untagged)]
    Item(Item),
}

/// The list as far as it can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Residue {
    pub(super) boot_id: Option<String>,
    pub(super) items: Vec<Item>,
    /// Whole lines that another version may understand.
    pub(super) foreign: usize,
}

impl Residue {
    /// Reads the lines. One that is cut off, as the last may be by a crash or a full
    /// file system, or damaged is passed over: what it would have named was not made yet,
    /// since each line is written before.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut residue = Self::default();
        for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(Line::Boot { id }) => residue.boot_id = Some(id),
                Ok(Line::Item(item)) => residue.items.push(item),
                Err(_) if is_object(line) => residue.foreign += 1,
                Err(_) => {}
            }
        }
        residue
    }
}

fn is_object(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line).is_ok()
}

/// An item after its check: what clean-up may do on behalf of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action<'a> {
    EndCgroup(&'a Path),
    RetireLink(Owner),
    RestoreLink(Moved),
    ReleaseBridge(IfName),
    SweepRules(&'a str),
    SweepLockFile(&'a Path),
    RemoveTree(&'a Path),
}

/// What to do about an item; an error tells why this machine cannot have noted it, as
/// when the list was tampered with.
pub(super) fn action<'a>(item: &'a Item, name: &MachineName) -> Result<Action<'a>, String> {
    match item {
        Item::Cgroup { path } => cgroup(path, name).map(Action::EndCgroup),
        Item::Link {
            name: link,
            mac,
            tag,
        } => {
            owned(tag, super::TAG, name)?;
            Ok(Action::RetireLink(Owner {
                name: link.parse().map_err(|e| format!("{e}"))?,
                mac: mac.parse().map_err(|e| format!("{e}"))?,
                tag: tag.clone(),
            }))
        }
        Item::Lent {
            name: link,
            tag,
            alias,
        } => {
            owned(tag, super::LENT_TAG, name)?;
            Ok(Action::RestoreLink(Moved {
                name: link.parse().map_err(|e| format!("{e}"))?,
                tag: tag.clone(),
                alias: alias.clone(),
            }))
        }
        Item::Rules { tag } => {
            owned(tag, super::TAG, name)?;
            Ok(Action::SweepRules(tag))
        }
        Item::Bridge { name } => bridge(name).map(Action::ReleaseBridge),
        Item::LockFile { path } => lock_file(path).map(Action::SweepLockFile),
        Item::Scratch { path } => scratch(path, name).map(Action::RemoveTree),
    }
}

/// Whether the tag is one of this machine's.
fn owned(tag: &str, prefix: &str, name: &MachineName) -> Result<(), String> {
    if tag.starts_with(&format!("{prefix}{name}:")) {
        return Ok(());
    }
    let tag = tag.escape_debug();
    Err(format!("the tag '{tag}' is not this machine's"))
}

fn bridge(name: &str) -> Result<IfName, String> {
    let shared = name.starts_with("vz-") || name.starts_with("nsrun-vlan");
    match name.parse() {
        Ok(name) if shared => Ok(name),
        _ => Err(format!(
            "'{}' is no bridge that machines share",
            name.escape_debug()
        )),
    }
}

/// Whether it is a path below a root, made of plain names.
fn plain(path: &[u8]) -> bool {
    let odd = |part: &[u8]| matches!(part, b"" | b"." | b"..");
    !path.contains(&0) && !path.split(|&b| b == b'/').any(odd)
}

fn cgroup<'a>(path: &'a str, name: &MachineName) -> Result<&'a Path, String> {
    let ours = format!("nsrun-{name}");
    let named = |part: &str| {
        let rest = part.strip_prefix(&ours);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if plain(path.as_bytes()) && path.split('/').any(named) {
        Ok(Path::new(path))
    } else {
        Err(format!(
            "'{}' is not this machine's control group",
            path.escape_debug()
        ))
    }
}

fn lock_file(path: &Path) -> Result<&Path, String> {
    let refused = || {
        format!(
            "'{}' is no lock file",
            path.to_string_lossy().escape_debug()
        )
    };
    let bytes = path.as_os_str().as_bytes();
    let absolute = bytes.strip_prefix(b"/").is_some_and(plain);
    let (Some(dir), Some(file), true) = (path.parent(), path.file_name(), absolute) else {
        return Err(refused());
    };
    let file = file.as_bytes();
    let named = |kinds: &[&str]| kinds.iter().any(|kind| file.starts_with(kind.as_bytes()));
    let allowed = if dir == Path::new(crate::lock::LOCK_DIR) {
        named(&["inode-", "block-", "name-"])
    } else if dir == Path::new(crate::range::LOCK_DIR) {
        file.iter().all(u8::is_ascii_digit)
    } else {
        file.starts_with(b".#") && file.ends_with(b".lck")
    };
    allowed.then_some(path).ok_or_else(refused)
}

fn scratch<'a>(path: &'a str, name: &MachineName) -> Result<&'a Path, String> {
    let absolute = path.strip_prefix('/').is_some_and(|p| plain(p.as_bytes()));
    let file = path
        .rsplit_once('/')
        .map(|(_, file)| file)
        .filter(|_| absolute);
    let number = file.and_then(|file| file.strip_prefix(&format!(".#nsrun-{name}-")));
    if number.is_some_and(|number| number.parse::<Incarnation>().is_ok()) {
        Ok(Path::new(path))
    } else {
        Err(format!(
            "'{}' is not this machine's directory",
            path.escape_debug()
        ))
    }
}

#[cfg(test)]
mod tests;
