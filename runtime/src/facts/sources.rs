//! What mounts are made of, opened before anything is decided about it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::image::ImageRoot;
use crate::device_policy::NodeKind;
use crate::error::{Error, Kind, Result};
use crate::plan::mounts::{Mount, Shape, Source, sources};

/// Directories below a bound directory of /dev that are searched for nodes.
const DEEPEST: usize = 4;

/// A device node that a mount shows: kind, major and minor number.
pub(crate) type Node = (NodeKind, u32, u32);

/// One source of a mount.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The file or directory; a new one is not there yet.
    pub(crate) fd: Option<OwnedFd>,
    /// Whether it is a directory.
    pub(crate) shape: Shape,
    /// Device nodes that it is or holds.
    pub(crate) nodes: Vec<Node>,
}

/// Opens the sources of `mounts`, in the order of [`sources`].
/// `image` is the image's top, and `root` the machine's root in it.
pub(crate) fn open(mounts: &[Mount], image: &ImageRoot, root: &ImageRoot) -> Result<Vec<Opened>> {
    let open = |source| one(source, image, root);
    sources(mounts).map(open).collect()
}

fn one(source: &Source, image: &ImageRoot, root: &ImageRoot) -> Result<Opened> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = match source {
        Source::Fresh | Source::Made(_) => {
            return Ok(Opened {
                fd: None,
                shape: Shape::Directory,
                nodes: Vec::new(),
            });
        }
        Source::Host(path) => rustix::fs::open(path, flags, Mode::empty()),
        Source::Top => image.resolve(".", flags),
        Source::Image(path) | Source::Hidden(path) => root.resolve(path, flags),
    };
    let examined = opened.and_then(|fd| rustix::fs::fstat(&fd).map(|stat| (fd, stat)));
    let (fd, stat) = examined.map_err(|errno| missing(source, errno))?;
    let nodes = nodes(fd.as_fd(), &stat);
    let shape = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Shape::Directory,
        _ => Shape::File,
    };
    Ok(Opened {
        fd: Some(fd),
        shape,
        nodes,
    })
}

fn missing(source: &Source, errno: Errno) -> Error {
    let kind = match errno {
        Errno::NOENT => Kind::NotFound,
        _ => Kind::Failed,
    };
    let (path, place) = match source {
        Source::Image(path) | Source::Hidden(path) => (path.clone(), " in the image"),
        source => (source.to_string(), ""),
    };
    let path = path.escape_debug();
    let what = format!("cannot open {path}{place}, which is to be mounted");
    Error::new(kind, what).because(std::io::Error::from(errno))
}

fn nodes(fd: BorrowedFd<'_>, stat: &Stat) -> Vec<Node> {
    let mut found = Vec::new();
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        // Elsewhere a directory may hold nodes that somebody smuggled in.
        let dev = std::fs::metadata("/dev");
        let is_below = dev.is_ok_and(|dev| dev.dev() == stat.st_dev && dev.ino() != stat.st_ino);
        if is_below {
            collect(fd, DEEPEST, &mut found);
        }
    } else {
        found.extend(node(stat));
    }
    found
}

fn node(stat: &Stat) -> Option<Node> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => NodeKind::Block,
        FileType::CharacterDevice => NodeKind::Char,
        _ => return None,
    };
    let (major, minor) = (
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    );
    Some((kind, major, minor))
}

/// Nodes in a directory and below. What cannot be read has none.
fn collect(directory: BorrowedFd<'_>, depth: usize, found: &mut Vec<Node>) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = rustix::fs::openat(directory, c".", flags, Mode::empty());
    let Ok(entries) = opened.and_then(Dir::new) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let Ok(fd) = rustix::fs::openat(directory, name, flags, Mode::empty()) else {
            continue;
        };
        let Ok(stat) = rustix::fs::fstat(&fd) else {
            continue;
        };
        found.extend(node(&stat));
        if depth > 0 && FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            collect(fd.as_fd(), depth - 1, found);
        }
    }
}
