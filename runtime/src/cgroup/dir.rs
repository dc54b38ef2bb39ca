//! One cgroup, held by a descriptor: no path is walked twice.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RawDir, Uid};
use rustix::io::Errno;
use rustix::path::Arg;

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2: u64 = 0x6367_7270;

const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// The directory of a cgroup. Its errors are bare errnos; who knows the purpose adds it.
#[derive(Debug)]
pub(super) struct Dir(OwnedFd);

impl Dir {
    /// Opens a cgroup by its path on the host.
    ///
    /// # Errors
    /// ENOTDIR also if the path is not in a cgroup v2 file system.
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        Self::open_at(rustix::fs::CWD, path)
    }

    /// Opens a child.
    pub(super) fn child(&self, name: impl Arg) -> Result<Self, Errno> {
        Self::open_at(&self.0, name)
    }

    fn open_at(parent: impl AsFd, path: impl Arg) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent, path, flags, Mode::empty())?;
        expect_cgroup(&fd)?;
        Ok(Self(fd))
    }

    /// Makes a child and opens it.
    pub(super) fn make(&self, name: &str) -> Result<Self, Errno> {
        rustix::fs::mkdirat(&self.0, name, DIRECTORY_MODE)?;
        self.child(name)
    }

    /// Opens a child, making it if need be. Another process may be removing it meanwhile.
    pub(super) fn make_or_open(&self, name: &str) -> Result<Self, Errno> {
        const TRIES: usize = 100;
        for _ in 0..TRIES {
            match rustix::fs::mkdirat(&self.0, name, DIRECTORY_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            match self.child(name) {
                Err(Errno::NOENT | Errno::NODEV) => {}
                opened => return opened,
            }
        }
        Err(Errno::NOENT)
    }

    /// The names of the children; bytes, since a payload chooses them.
    pub(super) fn children(&self) -> Result<Vec<CString>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.0, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        let mut buffer = Vec::with_capacity(8192);
        let mut entries = RawDir::new(fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// The content of an interface file.
    pub(super) fn read(&self, file: &str) -> io::Result<String> {
        crate::virtual_file::read_open_text(self.open_file(file, OFlags::RDONLY)?)
    }

    /// Writes to an interface file, in one write as the kernel wants it.
    pub(super) fn write(&self, file: &str, text: &str) -> io::Result<()> {
        File::from(self.open_file(file, OFlags::WRONLY)?).write_all(text.as_bytes())
    }

    /// Opens an interface file.
    pub(super) fn open_file(&self, file: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, file, flags, Mode::empty())
    }

    /// Gives an interface file, or with `.` the directory itself, to a user and group.
    pub(super) fn give(&self, file: &str, uid: u32, gid: u32) -> Result<(), Errno> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(&self.0, file, Some(uid), Some(gid), flags)
    }

    /// Removes a child without children and processes.
    pub(super) fn remove(&self, name: impl Arg) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)
    }

    /// Whether this cgroup or one below has a process.
    pub(super) fn populated(&self) -> io::Result<bool> {
        self.read("cgroup.events")
            .map(|text| flag(&text, "populated"))
    }

    /// The names in a space-separated interface file; none if it is gone.
    pub(super) fn words(&self, file: &str) -> Vec<String> {
        let text = self.read(file).unwrap_or_default();
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    /// Another descriptor of the same cgroup.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether a line `key 1` is in the `cgroup.events` of the cgroup at a path on the host.
///
/// # Errors
/// ENOTDIR also if the path is not in a cgroup v2 file system.
pub(super) fn event(path: &Path, key: &str) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path.join("cgroup.events"), flags, Mode::empty())?;
    expect_cgroup(&file)?;
    let mut text = [0; 256];
    let length = rustix::io::read(&file, &mut text)?;
    Ok(flag(&String::from_utf8_lossy(&text[..length]), key))
}

fn expect_cgroup(fd: &OwnedFd) -> Result<(), Errno> {
    match u64::try_from(rustix::fs::fstatfs(fd)?.f_type) {
        Ok(CGROUP2) => Ok(()),
        _ => Err(Errno::NOTDIR),
    }
}

/// Whether a line `key 1` is in the text of `cgroup.events`.
pub(super) fn flag(events: &str, key: &str) -> bool {
    events
        .lines()
        .any(|line| line.split_once(' ') == Some((key, "1")))
}

/// Whether a cgroup or interface file has vanished under our hands.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_by_their_whole_key() {
        assert!(flag("populated 1\nfrozen 0\n", "populated"));
        assert!(!flag("populated 1\nfrozen 0\n", "frozen"));
        assert!(!flag("unpopulated 1\n", "populated"));
        assert!(!flag("", "populated"));
    }

    #[test]
    fn a_directory_of_another_file_system_is_not_a_cgroup() {
        let error = Dir::open(Path::new("/proc")).unwrap_err();
        assert_eq!(error, Errno::NOTDIR);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.events"), "frozen 1\n").unwrap();
        assert_eq!(event(dir.path(), "frozen"), Err(Errno::NOTDIR));
    }
}
