//! What is known of an image beside its files. It lies under the state root, never in
//! the image, where the machine could write it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags, statx};
use serde::{Deserialize, Serialize};

use super::report::{Counts, Warning};
use super::sniff::Compression;
use crate::dirs::Dirs;
use crate::error::{Context, Result};
use crate::lock::make_dir;
use crate::name::MachineName;

/// Where an image came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The image's directory, so that another of the same name is not mistaken for it.
    pub identity: Identity,
    /// The file or directory that it was imported from, `-` for standard input.
    pub source: String,
    /// How the archive was compressed; `None` for a directory.
    pub compression: Option<Compression>,
    /// SHA-256 of the archive's file in hexadecimal; `None` for a directory.
    pub sha256: Option<String>,
    /// Bytes of the archive's file.
    pub archive_bytes: u64,
    /// What was made.
    pub counts: Counts,
    /// What was left out or changed.
    pub warnings: Vec<Warning>,
    /// When.
    pub imported: jiff::Timestamp,
}

/// What tells a directory from any other of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Inode number.
    pub inode: u64,
    /// Birth in seconds since the epoch, 0 where the file system does not keep it.
    pub born: i64,
}

impl Identity {
    /// That of an open directory.
    pub(super) fn of(dir: BorrowedFd<'_>) -> io::Result<Self> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let stat = statx(dir, "", AtFlags::EMPTY_PATH, wanted)?;
        Ok(Self {
            inode: stat.stx_ino,
            born: stat.stx_btime.tv_sec,
        })
    }
}

fn dir(dirs: &Dirs) -> PathBuf {
    dirs.lib().join("meta")
}

fn path(dirs: &Dirs, name: &MachineName) -> PathBuf {
    dir(dirs).join(format!("{name}.json"))
}

/// Makes the directory for metadata.
pub(super) fn prepare(dirs: &Dirs) -> Result<()> {
    for dir in [dirs.lib(), &dir(dirs)] {
        make_dir(dir, 0o700).cannot(|| format!("make {}", dir.display()))?;
    }
    Ok(())
}

/// Replaces what is known of the image `name`, in one step.
pub(super) fn write(dirs: &Dirs, name: &MachineName, metadata: &Metadata) -> Result<()> {
    let path = path(dirs, name);
    let what = || format!("write {}", path.display());
    let text = serde_json::to_vec_pretty(metadata)
        .map_err(io::Error::from)
        .cannot(what)?;
    replace(&path, &text).cannot(what)
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

/// Forgets what is known of images called `name`.
pub(super) fn remove(dirs: &Dirs, name: &str) -> Result<()> {
    let path = dir(dirs).join(format!("{name}.json"));
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.cannot(|| format!("remove {}", path.display())),
    }
}

/// What is known of `old` is known of `new` from now on.
pub(super) fn rename(dirs: &Dirs, old: &str, new: &str) -> Result<()> {
    let path = |name| dir(dirs).join(format!("{name}.json"));
    match std::fs::rename(path(old), path(new)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.cannot(|| format!("rename {}", path(old).display())),
    }
}

/// What is known of the image `name` whose directory is `image`; `None` if nothing is,
/// or if it is about another image that had the name before.
#[must_use]
pub fn read(dirs: &Dirs, name: &MachineName, image: BorrowedFd<'_>) -> Option<Metadata> {
    let text = std::fs::read(path(dirs, name)).ok()?;
    let metadata: Metadata = serde_json::from_slice(&text).ok()?;
    let identity = Identity::of(image).ok()?;
    (metadata.identity == identity).then_some(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn metadata(identity: Identity) -> Metadata {
        Metadata {
            identity,
            source: "x.tar".to_owned(),
            compression: Some(Compression::Xz),
            sha256: Some("00".repeat(32)),
            archive_bytes: 1,
            counts: Counts::default(),
            warnings: Vec::new(),
            imported: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn is_read_back_for_the_same_directory_only() {
        let state = tempfile::tempdir().unwrap();
        let dirs = Dirs::new(None, Some(state.path()));
        let name = "web".parse().unwrap();
        let image = File::open(state.path()).unwrap();
        prepare(&dirs).unwrap();
        assert_eq!(read(&dirs, &name, image.as_fd()), None);
        let written = metadata(Identity::of(image.as_fd()).unwrap());
        write(&dirs, &name, &written).unwrap();
        assert_eq!(read(&dirs, &name, image.as_fd()), Some(written));
        let other = File::open("/").unwrap();
        assert_eq!(read(&dirs, &name, other.as_fd()), None);
    }

    #[test]
    fn a_torn_file_counts_as_nothing_known() {
        let state = tempfile::tempdir().unwrap();
        let dirs = Dirs::new(None, Some(state.path()));
        let name = "web".parse().unwrap();
        let image = File::open(state.path()).unwrap();
        prepare(&dirs).unwrap();
        for text in [&b""[..], b"{", b"\0\0\0", b"[1]"] {
            std::fs::write(path(&dirs, &name), text).unwrap();
            assert_eq!(read(&dirs, &name, image.as_fd()), None);
        }
    }
}
