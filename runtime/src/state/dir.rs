//! Directories that nobody but their owner, ourselves, can change, used by descriptor.
//! Names are single components; no symbolic link is followed anywhere below the first.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::error::{Context, Error, Kind, Result};

const DIR_MODE: u32 = 0o755;

/// Far deeper than anything that is put into a machine's directory.
const MAX_DEPTH: u32 = 16;

/// A directory that was found to be ours.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
    /// Whose it and all within must be.
    owner: u32,
}

impl Dir {
    /// Opens the directory at `path`; `None` if there is none.
    pub(super) fn open_at(path: &Path) -> Result<Option<Self>> {
        let owner = rustix::process::geteuid().as_raw();
        let opened = rustix::fs::open(path, dir_flags(), Mode::empty());
        Self::checked(opened, path.to_owned(), owner)
    }

    /// Opens the directory at `path`, which is made before if need be, like those above.
    pub(super) fn create_at(path: &Path) -> Result<Self> {
        let builder = DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(path);
        builder.cannot(|| format!("create {}", path.display()))?;
        Self::open_at(path)?.ok_or_else(|| vanished(path))
    }

    /// Opens a directory within; `None` if there is none.
    pub(super) fn open(&self, name: &str) -> Result<Option<Self>> {
        let opened = openat(&self.fd, name, dir_flags(), Mode::empty());
        Self::checked(opened, self.path.join(name), self.owner)
    }

    /// Opens a directory within, which is made before if need be; `None` if somebody
    /// removed it in between.
    pub(super) fn create(&self, name: &str) -> Result<Option<Self>> {
        match mkdirat(&self.fd, name, Mode::from(DIR_MODE)) {
            Ok(()) | Err(Errno::EXIST) => self.open(name),
            // We are being removed ourselves.
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e).cannot(|| format!("create {}", self.path.join(name).display())),
        }
    }

    fn checked(
        opened: rustix::io::Result<OwnedFd>,
        path: PathBuf,
        owner: u32,
    ) -> Result<Option<Self>> {
        let fd = match opened {
            Err(Errno::NOENT) => return Ok(None),
            other => other.cannot(|| format!("open {}", path.display()))?,
        };
        let stat = fstat(&fd).cannot(|| format!("examine {}", path.display()))?;
        if let Some(cause) = not_ours(&stat, owner) {
            let what = format!("cannot keep state in {}", path.display());
            let error = Error::new(Kind::Failed, what).because(cause);
            return Err(error.hint("remove it, or name another directory with --state-root"));
        }
        Ok(Some(Self { fd, path, owner }))
    }

    /// The path that it was opened by, for messages and for sockets.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `name` within is that open file or directory.
    pub(super) fn holds(&self, name: &str, fd: BorrowedFd<'_>) -> Result<bool> {
        let what = || format!("examine {}", self.path.join(name).display());
        let open = fstat(fd).cannot(what)?;
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok((found.st_dev, found.st_ino) == (open.st_dev, open.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(e).cannot(what),
        }
    }

    /// The names within that are text.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        names(self.fd.as_fd()).cannot(|| format!("list {}", self.path.display()))
    }

    /// Opens a regular file of ours. Anything else, such as a fifo or a symbolic link put
    /// in its place, is an error.
    pub(super) fn open_file(&self, name: &str, how: OFlags, mode: u32) -> io::Result<File> {
        self.open_examined(name, how, mode).map(|(file, _)| file)
    }

    fn open_examined(&self, name: &str, how: OFlags, mode: u32) -> io::Result<(File, Stat)> {
        let safe = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(&self.fd, name, how | safe, Mode::from(mode))?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is not a regular file"));
        }
        match not_ours(&stat, self.owner) {
            Some(cause) => Err(io::Error::other(cause)),
            None => Ok((file.into(), stat)),
        }
    }

    /// Reads a file of at most `limit` bytes; `None` if there is none.
    pub(super) fn read(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let (file, stat) = match self.open_examined(name, OFlags::RDONLY, 0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let too_large = || io::Error::other(format!("it is larger than {limit} bytes"));
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if size > limit {
            return Err(too_large());
        }
        // One byte more, so that the first read comes short: that is the end of a regular file.
        let mut bytes = Vec::with_capacity(size + 1);
        loop {
            let room = bytes.capacity() - bytes.len();
            match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
                Ok(count) if count < room => return Ok(Some(bytes)),
                Ok(_) if bytes.len() > limit => return Err(too_large()),
                Ok(_) => bytes.reserve(4096),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Puts a file with that content in place of any other, at once: readers see the old
    /// one or the new one. One writer at a time.
    pub(super) fn replace(&self, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let temporary = format!(".{name}.new");
        let write = || {
            self.remove_file(&temporary)?;
            let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            self.open_file(&temporary, how, mode)?.write_all(bytes)?;
            Ok(renameat(&self.fd, &temporary, &self.fd, name)?)
        };
        write()
            .inspect_err(|_: &io::Error| {
                let _ = self.remove_file(&temporary);
            })
            .cannot(|| format!("write {}", self.path.join(name).display()))
    }

    /// Removes a file; a missing one is no failure.
    pub(super) fn remove_file(&self, name: &str) -> io::Result<()> {
        ignore_missing(unlinkat(&self.fd, name, AtFlags::empty()))
    }

    /// Removes a directory within that somebody made and nobody uses, if it is empty.
    pub(super) fn remove_if_empty(&self, name: &str) {
        let _ = unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
    }

    /// Gives something within another name.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<()> {
        renameat(&self.fd, from, &self.fd, to)
            .cannot(|| format!("rename {}", self.path.join(from).display()))
    }

    /// Removes a directory within and all that is in it, the entry `last` last, as far as
    /// its file system reaches. What others remove meanwhile is no failure.
    pub(super) fn remove_tree(&self, name: &str, last: &str) -> Result<()> {
        let device = fstat(&self.fd).map(|stat| stat.st_dev);
        device
            .map_err(io::Error::from)
            .and_then(|device| remove_tree(self.fd.as_fd(), name, last, device, MAX_DEPTH))
            .cannot(|| format!("remove {}", self.path.join(name).display()))
    }
}

fn dir_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn vanished(path: &Path) -> Error {
    let what = format!("cannot open {}", path.display());
    Error::new(Kind::Failed, what).because("it was removed at the same time")
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Why others could have made or could change this, if they could.
fn not_ours(stat: &Stat, owner: u32) -> Option<String> {
    if stat.st_uid != owner {
        Some(format!(
            "it belongs to user {}, not to {owner}",
            stat.st_uid
        ))
    } else if stat.st_mode & 0o022 != 0 {
        Some("other users can write to it".to_owned())
    } else {
        None
    }
}

fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        if let Ok(name) = entry?.file_name().to_str()
            && !matches!(name, "." | "..")
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn remove_tree(
    parent: BorrowedFd<'_>,
    name: &str,
    last: &str,
    device: u64,
    depth: u32,
) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) if depth > 0 => {}
        Err(Errno::ISDIR) => return Err(io::Error::other("directories are nested too deeply")),
        other => return ignore_missing(other),
    }
    let dir = match openat(parent, name, dir_flags(), Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if fstat(&dir)?.st_dev != device {
        return Err(io::Error::other(format!("something is mounted on {name}")));
    }
    let mut entries = names(dir.as_fd())?;
    entries.sort_by_key(|entry| entry == last);
    for entry in entries {
        remove_tree(dir.as_fd(), &entry, last, device, depth - 1)?;
    }
    ignore_missing(unlinkat(parent, name, AtFlags::REMOVEDIR))
}

fn ignore_missing(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    fn dir() -> (tempfile::TempDir, Dir) {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::create_at(&root.path().join("a/b")).unwrap();
        (root, dir)
    }

    #[test]
    fn directories_that_others_can_change_are_refused() {
        let (_root, dir) = dir();
        let inner = dir.create("inner").unwrap().unwrap();
        std::fs::set_permissions(inner.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let error = dir.open("inner").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("inner: other users can write to it"),
            "{error}"
        );
        std::fs::set_permissions(inner.path(), PermissionsExt::from_mode(0o755)).unwrap();
        chown(inner.path(), Some(1), None).unwrap();
        let error = dir.open("inner").unwrap_err();
        assert!(
            error.to_string().contains("it belongs to user 1, not to 0"),
            "{error}"
        );
        assert!(error.advice().is_some());
    }

    #[test]
    fn links_and_files_are_not_taken_for_directories() {
        let (_root, dir) = dir();
        symlink("/etc", dir.path().join("link")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        for name in ["link", "file"] {
            assert!(dir.open(name).is_err(), "{name}");
            assert!(dir.create(name).is_err(), "{name}");
            assert!(Dir::open_at(&dir.path().join(name)).is_err(), "{name}");
        }
        assert!(dir.open("none").unwrap().is_none());
    }

    #[test]
    fn odd_files_are_refused_without_blocking() {
        let (_root, dir) = dir();
        symlink("/etc/passwd", dir.path().join("link")).unwrap();
        rustix::fs::mknodat(&dir.fd, "fifo", FileType::Fifo, Mode::from(0o600), 0).unwrap();
        dir.create("dir").unwrap();
        dir.replace("shared", b"", 0o600).unwrap();
        std::fs::set_permissions(dir.path().join("shared"), PermissionsExt::from_mode(0o666))
            .unwrap();
        for name in ["link", "fifo", "dir", "shared"] {
            assert!(dir.read(name, 100).is_err(), "{name}");
        }
        assert_eq!(dir.read("none", 100).unwrap(), None);
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let (_root, dir) = dir();
        dir.replace("file", &[b'x'; 10], 0o600).unwrap();
        assert_eq!(dir.read("file", 10).unwrap().unwrap().len(), 10);
        assert!(dir.read("file", 9).is_err());
    }

    #[test]
    fn replacing_leaves_one_file_of_that_mode() {
        let (_root, dir) = dir();
        dir.replace("file", b"old", 0o600).unwrap();
        std::fs::write(dir.path().join(".file.new"), "left by a crash").unwrap();
        dir.replace("file", b"new", 0o640).unwrap();
        assert_eq!(dir.names().unwrap(), ["file"]);
        assert_eq!(dir.read("file", 9).unwrap().unwrap(), b"new");
        let mode = std::fs::metadata(dir.path().join("file"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn a_tree_is_removed_without_following_links() {
        let (root, dir) = dir();
        let outside = root.path().join("outside");
        std::fs::write(&outside, "").unwrap();
        let tree = dir.create("tree").unwrap().unwrap();
        symlink(&outside, tree.path().join("link")).unwrap();
        std::fs::create_dir_all(tree.path().join("x/y")).unwrap();
        std::fs::write(tree.path().join("x/y/z"), "").unwrap();
        dir.remove_tree("tree", "lock").unwrap();
        dir.remove_tree("tree", "lock").unwrap();
        assert!(outside.exists());
        assert!(dir.names().unwrap().is_empty());
        assert!(!dir.holds("tree", tree.as_fd()).unwrap());
    }

    #[test]
    fn a_replaced_directory_is_noticed() {
        let (_root, dir) = dir();
        let tree = dir.create("tree").unwrap().unwrap();
        assert!(dir.holds("tree", tree.as_fd()).unwrap());
        dir.rename("tree", "other").unwrap();
        dir.create("tree").unwrap();
        assert!(!dir.holds("tree", tree.as_fd()).unwrap());
    }
}
