//! The hidden directory that an image is unpacked into, and what dead ones leave.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, RenameFlags, fsync, mkdirat, openat, renameat_with, statat, syncfs,
};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::remove::remove_tree;
use super::root::ImageRoot;
use crate::error::{Context, Error, Kind, Result};
use crate::lock::{LockFile, Mode as LockMode};
use crate::name::MachineName;

/// Hexadecimal digits at the end of a staging directory's name.
const DIGITS: usize = 16;

/// A directory `.#NAME` plus 16 digits in the image root. Its lock file is made before
/// it and removed after it, so that whatever is killed in between, the next sweep finds
/// a free lock and removes what it stands for.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    root: &'a ImageRoot,
    name: String,
    dir: OwnedFd,
    lock: LockFile,
}

impl<'a> Staging<'a> {
    /// Makes an empty one for the image `name`.
    pub(super) fn new(root: &'a ImageRoot, name: &MachineName) -> Result<Self> {
        let what = || {
            format!(
                "make a directory to unpack into in {}",
                root.path().display()
            )
        };
        let (name, lock) = loop {
            let mut random = [0; DIGITS / 2];
            getrandom(&mut random, GetRandomFlags::empty()).cannot(what)?;
            let random = u64::from_ne_bytes(random);
            let base = format!("{name}{random:016x}");
            let path = root.path().join(lock_name(&base));
            let taken = LockFile::take(&path, LockMode::Exclusive).cannot(what)?;
            if let Some(lock) = taken {
                break (format!(".#{base}"), lock);
            }
        };
        mkdirat(root.as_fd(), &*name, Mode::RWXU).cannot(what)?;
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(root.as_fd(), &*name, how, Mode::empty()).cannot(what)?;
        Ok(Self {
            root,
            name,
            dir,
            lock,
        })
    }

    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The descriptor whose lock says that someone still works here.
    pub(super) fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Makes the tree, or the directory `top` in it, the image `name`: durable first,
    /// then visible in one step.
    pub(super) fn publish(
        &self,
        name: &MachineName,
        top: Option<&OsStr>,
        sync: bool,
    ) -> Result<()> {
        let what = || format!("publish image {name}");
        let (from, old) = match top {
            Some(top) => (self.dir.as_fd(), top),
            None => (self.root.as_fd(), OsStr::new(&self.name)),
        };
        if sync {
            syncfs(&self.dir).cannot(what)?;
        }
        let to = self.root.as_fd();
        match renameat_with(from, old, to, name.as_str(), RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(exists(self.root, name)),
            Err(error) => return Err(error).cannot(what),
        }
        if sync {
            fsync(to).cannot(what)?;
        }
        Ok(())
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // What cannot be removed now, the next sweep tries again.
        let _ = remove_tree(self.root.as_fd(), OsStr::new(&self.name));
    }
}

/// The name of the lock file that nspawn and machined take for the image `name`.
pub(super) fn lock_name(name: &str) -> String {
    format!(".#{name}.lck")
}

/// The image is there already.
pub(super) fn exists(root: &ImageRoot, name: &MachineName) -> Error {
    let path = root.path().join(name.as_str());
    Error::new(
        Kind::Busy,
        format!("image {} exists already", path.display()),
    )
}

/// Removes from an image root what killed imports left. An import that is under way is
/// not touched, nor what other programs keep there. Returns the names that were removed.
///
/// # Errors
/// [`Kind::Failed`] if the directory cannot be read or something in it cannot be removed.
/// A missing directory is none.
pub fn sweep(image_root: &Path) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let Some(root) = ImageRoot::open_existing(image_root)? else {
        return Ok(removed);
    };
    for base in stagings(&root)? {
        let lock = |name: &str| {
            let path = root.path().join(lock_name(name));
            LockFile::take_existing(&path, LockMode::Exclusive)
        };
        // What cannot be locked is in use, or no lock file of ours.
        let Ok(Some(_held)) = lock(&base) else {
            continue;
        };
        let name = format!(".#{base}");
        if is_directory(&root, &name) {
            remove_tree(root.as_fd(), OsStr::new(&name))?;
            removed.push(name);
        }
        // Other locks on names may be about to be taken, and are left alone; this one is
        // removed by being let go of.
        drop(lock(&base[..base.len() - DIGITS]));
    }
    Ok(removed)
}

/// The stagings that have a lock file, as `NAME` plus 16 digits.
fn stagings(root: &ImageRoot) -> Result<Vec<String>> {
    let what = || format!("read image root {}", root.path().display());
    let mut stagings = Vec::new();
    for entry in Dir::read_from(root.as_fd()).cannot(what)? {
        let entry = entry.cannot(what)?;
        let name = entry.file_name().to_str().unwrap_or_default();
        let base = name.strip_prefix(".#").and_then(|n| n.strip_suffix(".lck"));
        stagings.extend(base.filter(|base| is_staging(base)).map(str::to_owned));
    }
    Ok(stagings)
}

/// Whether a name is that of a machine plus 16 digits.
fn is_staging(base: &str) -> bool {
    let at = base.len().saturating_sub(DIGITS);
    base.split_at_checked(at).is_some_and(|(name, random)| {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        random.len() == DIGITS && random.bytes().all(digit) && name.parse::<MachineName>().is_ok()
    })
}

fn is_directory(root: &ImageRoot, name: &str) -> bool {
    let stat = statat(root.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn root(dir: &Path) -> ImageRoot {
        ImageRoot::open_existing(dir).unwrap().unwrap()
    }

    #[test]
    fn knows_its_names() {
        assert!(is_staging("web0123456789abcdef"));
        for other in [
            "0123456789abcdef",
            "web0123456789abcdeF",
            "web",
            "..0123456789abcdef",
            "",
        ] {
            assert!(!is_staging(other), "{other}");
        }
    }

    #[test]
    fn what_is_not_published_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        let staging = Staging::new(&root, &"web".parse().unwrap()).unwrap();
        mkdirat(staging.dir(), "d", Mode::empty()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert_eq!(sweep(dir.path()).unwrap(), Vec::<String>::new());
        drop(staging);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn publishing_leaves_only_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        let name = "web".parse().unwrap();
        let staging = Staging::new(&root, &name).unwrap();
        staging.publish(&name, None, false).unwrap();
        drop(staging);
        let hoisted = "top".parse().unwrap();
        let staging = Staging::new(&root, &hoisted).unwrap();
        mkdirat(staging.dir(), "inner", Mode::RWXU).unwrap();
        staging
            .publish(&hoisted, Some(OsStr::new("inner")), true)
            .unwrap();
        drop(staging);
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["top", "web"]);
    }

    #[test]
    fn an_image_that_appeared_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        let name = "web".parse().unwrap();
        let staging = Staging::new(&root, &name).unwrap();
        fs::create_dir(dir.path().join("web")).unwrap();
        fs::write(dir.path().join("web/file"), "x").unwrap();
        let error = staging.publish(&name, None, false).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        drop(staging);
        assert!(dir.path().join("web/file").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn sweeping_removes_dead_stagings_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let dead = ".#web0123456789abcdef";
        for name in [dead, ".#other0123456789abcdef", "web", ".hidden"] {
            fs::create_dir_all(dir.path().join(name).join("sub")).unwrap();
        }
        for name in [".#web0123456789abcdef", ".#web", ".#other"] {
            fs::write(dir.path().join(format!("{name}.lck")), "").unwrap();
        }
        assert_eq!(sweep(dir.path()).unwrap(), [dead]);
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        left.sort();
        let kept = [".#other.lck", ".#other0123456789abcdef", ".hidden", "web"];
        assert_eq!(left, kept);
    }

    #[test]
    fn a_missing_root_has_nothing_to_sweep() {
        assert!(sweep(Path::new("/nonexistent/root")).unwrap().is_empty());
    }
}
