//! The directory that holds the images.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;

use crate::error::{Context, Error, Kind, Result};
use crate::lock::make_dir;

/// Permissions of others than the owner.
const FOREIGN: u32 = 0o077;

/// An image root that nobody but root can enter. Images need that: their setuid files
/// are root's on the host's disk.
#[derive(Debug)]
pub(super) struct ImageRoot {
    dir: OwnedFd,
    path: PathBuf,
}

impl ImageRoot {
    /// Opens the directory, which is made if it is missing.
    ///
    /// # Errors
    /// [`Kind::HostLacks`] if others than root can enter it, with the command that mends
    /// it as advice; [`Kind::Failed`] if it cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            make_dir(path, 0o700).cannot(|| format!("make image root {}", path.display()))?;
        }
        match Self::open_existing(path)? {
            Some(root) => root.verified(),
            None => Err(Error::new(
                Kind::Failed,
                format!("image root {} vanished", path.display()),
            )),
        }
    }

    /// Opens the directory if it exists, whoever can enter it.
    pub(super) fn open_existing(path: &Path) -> Result<Option<Self>> {
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match open(path, how, Mode::empty()) {
            Ok(dir) => Ok(Some(Self {
                dir,
                path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error).cannot(|| format!("open image root {}", path.display())),
        }
    }

    fn verified(self) -> Result<Self> {
        let path = self.path.display();
        let stat = fstat(&self.dir).cannot(|| format!("look at image root {path}"))?;
        let refuse = |what: &str, remedy: String| {
            Error::new(Kind::HostLacks, format!("image root {path} {what}")).hint(remedy)
        };
        if stat.st_uid != 0 {
            let what = format!("belongs to user {}, not to root", stat.st_uid);
            return Err(refuse(&what, format!("chown root:root {path}")));
        }
        if stat.st_mode & FOREIGN != 0 {
            let what = format!(
                "is open to other users (mode {:04o})",
                stat.st_mode & 0o7777
            );
            return Err(refuse(&what, format!("chmod 0700 {path}")));
        }
        Ok(self)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_missing_root_is_made_for_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert!(ImageRoot::open_existing(&path).unwrap().is_none());
        let created = ImageRoot::open(&path);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        assert_eq!(created.is_ok(), nix::unistd::geteuid().is_root());
    }

    #[test]
    fn a_root_that_others_can_enter_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        for mode in [0o755, 0o711, 0o750, 0o1777] {
            set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            let error = ImageRoot::open(dir.path()).unwrap_err();
            assert_eq!(error.kind(), Kind::HostLacks);
            let remedy = format!("chmod 0700 {}", dir.path().display());
            assert_eq!(error.advice(), Some(&*remedy));
        }
    }
}
