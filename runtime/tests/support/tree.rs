//! What a tree looks like, to compare two.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// All that can be seen of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, i64),
    pub content: Content,
    /// The first of its names, if it has several.
    pub same_as: Option<PathBuf>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a file holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    Data(Vec<u8>),
    Link(PathBuf),
    Directory,
    Fifo,
    Other,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::Link(target) => write!(f, "Link({})", target.display()),
            Self::Directory => f.write_str("Directory"),
            Self::Fifo => f.write_str("Fifo"),
            Self::Other => f.write_str("Other"),
        }
    }
}

/// Everything below `root`, and the root itself as the empty path.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut paths = BTreeSet::new();
    let mut first_names = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let full = root.join(&path);
        if fs::symlink_metadata(&full).unwrap().is_dir() {
            for entry in fs::read_dir(&full).unwrap() {
                waiting.push(path.join(entry.unwrap().file_name()));
            }
        }
        paths.insert(path);
    }
    paths
        .into_iter()
        .map(|path| {
            let seen = look(root, &path, &mut first_names);
            (path, seen)
        })
        .collect()
}

fn look(root: &Path, path: &Path, first_names: &mut BTreeMap<u64, PathBuf>) -> Seen {
    let full = root.join(path);
    let stat = fs::symlink_metadata(&full).unwrap();
    let kind = stat.file_type();
    let content = if kind.is_dir() {
        Content::Directory
    } else if kind.is_file() {
        Content::Data(fs::read(&full).unwrap())
    } else if kind.is_symlink() {
        Content::Link(fs::read_link(&full).unwrap())
    } else if kind.is_fifo() {
        Content::Fifo
    } else {
        Content::Other
    };
    let shared = stat.nlink() > 1 && !kind.is_dir();
    let same_as = shared.then(|| {
        let first = first_names.entry(stat.ino());
        first.or_insert_with(|| path.to_owned()).clone()
    });
    Seen {
        mode: stat.mode() & 0o7777,
        owner: (stat.uid(), stat.gid()),
        mtime: (stat.mtime(), stat.mtime_nsec()),
        content,
        same_as,
        xattrs: xattrs(&full),
    }
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split(|&b| b == 0).filter(|n| !n.is_empty());
    names
        .filter(|&name| name != b"security.selinux")
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let key = std::ffi::OsStr::from_bytes(name);
            let length = rustix::fs::lgetxattr(path, key, &mut value[..]).unwrap();
            (name.to_vec(), value[..length].to_vec())
        })
        .collect()
}

/// Fails with the first difference.
#[track_caller]
pub fn assert_same(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (tree(ours), tree(theirs));
    for (path, seen) in &theirs {
        assert_eq!(ours.get(path), Some(seen), "{}", path.display());
    }
    let extra: Vec<_> = ours
        .keys()
        .filter(|path| !theirs.contains_key(*path))
        .collect();
    assert!(extra.is_empty(), "only ours: {extra:?}");
}
