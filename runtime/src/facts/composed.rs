//! Resolving paths in a root with mounts in it that are not made yet.
//!
//! A system may be on its disk only in part: its programs are in a directory of the host that is
//! mounted when it starts. Such paths are walked step by step, each by descriptor.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

/// Symbolic links that the kernel follows in one path, `MAXSYMLINKS`.
const MOST_LINKS: usize = 40;

/// What will be mounted, and where.
#[derive(Debug)]
pub(super) struct Shown {
    target: Vec<String>,
    source: OwnedFd,
}

impl Shown {
    /// `target` is absolute, without `.` and `..`.
    pub(super) fn new(target: &str, source: OwnedFd) -> Self {
        let target = target.split('/').filter(|name| !name.is_empty());
        Self {
            target: target.map(str::to_owned).collect(),
            source,
        }
    }
}

/// Opens what is at `path` below `root`, or in what is mounted there; links lead nowhere else.
pub(super) fn resolve(
    root: BorrowedFd<'_>,
    mounts: &[Shown],
    path: &str,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let mut walk = Walk {
        mounts,
        root: root.try_clone_to_owned().map_err(|_| Errno::MFILE)?,
        below: Vec::new(),
        links: 0,
    };
    let mut todo = components(path);
    while let Some(name) = todo.pop() {
        let follows = !todo.is_empty() || !flags.contains(OFlags::NOFOLLOW);
        if let Some(target) = walk.step(name, follows)? {
            if target.starts_with('/') {
                walk.below.clear();
            }
            todo.extend(components(&target));
        }
    }
    reopen(walk.here().ok_or(Errno::NOENT)?, flags)
}

/// The names in a path, the last one first.
fn components(path: &str) -> Vec<String> {
    let names = path.rsplit('/').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

struct Walk<'a> {
    mounts: &'a [Shown],
    root: OwnedFd,
    /// Names on the way, and what is there; nothing, if it is to be made for a mount below.
    below: Vec<(String, Option<OwnedFd>)>,
    links: usize,
}

impl Walk<'_> {
    fn here(&self) -> Option<BorrowedFd<'_>> {
        match self.below.last() {
            None => Some(self.root.as_fd()),
            Some((_, found)) => found.as_ref().map(AsFd::as_fd),
        }
    }

    /// Goes one name further, or tells where the link of that name leads.
    fn step(&mut self, name: String, follows: bool) -> Result<Option<String>, Errno> {
        match name.as_str() {
            "." => return Ok(None),
            ".." => {
                self.below.pop();
                return Ok(None);
            }
            _ => {}
        }
        let found = self.find(&name)?;
        if let Some(fd) = &found
            && follows
            && kind(fd.as_fd())? == FileType::Symlink
        {
            self.links += 1;
            if self.links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            let target = readlinkat(fd, c"", Vec::new())?;
            return target.into_string().map(Some).map_err(|_| Errno::ILSEQ);
        }
        self.below.push((name, found));
        Ok(None)
    }

    fn find(&self, name: &str) -> Result<Option<OwnedFd>, Errno> {
        let names = || self.below.iter().map(|(name, _)| name.as_str());
        let at = |shown: &&Shown| names().chain([name]).eq(&shown.target);
        // A later mount covers an earlier one.
        if let Some(shown) = self.mounts.iter().rev().find(at) {
            let copy = shown.source.try_clone().map_err(|_| Errno::MFILE)?;
            return Ok(Some(copy));
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match self.here() {
            // With O_PATH one component leads nowhere else, whatever it is.
            Some(here) => openat(here, name, flags, Mode::empty()),
            None => Err(Errno::NOENT),
        };
        match opened {
            Err(Errno::NOENT) if self.leads_to_a_mount(name) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Whether what is missing here is made when the machine starts.
    fn leads_to_a_mount(&self, name: &str) -> bool {
        let names: Vec<&str> = self.below.iter().map(|(name, _)| name.as_str()).collect();
        self.mounts.iter().any(|shown| {
            let mut target = shown.target.iter().map(String::as_str);
            let begins = names
                .iter()
                .chain([&name])
                .all(|n| target.next() == Some(n));
            begins && target.next().is_some()
        })
    }
}

fn kind(fd: BorrowedFd<'_>) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

/// The file of an `O_PATH` descriptor with other flags.
fn reopen(found: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let is_directory = kind(found)? == FileType::Directory;
    if flags.contains(OFlags::DIRECTORY) && !is_directory {
        return Err(Errno::NOTDIR);
    }
    if flags.contains(OFlags::PATH) {
        return found.try_clone_to_owned().map_err(|_| Errno::MFILE);
    }
    if is_directory {
        return openat(found, c".", flags, Mode::empty());
    }
    // The name may be another file's by now; the descriptor is not.
    let link = format!("/proc/self/fd/{}", found.as_raw_fd());
    openat(CWD, link, flags - OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    struct Trees {
        image: tempfile::TempDir,
        store: tempfile::TempDir,
    }

    impl Trees {
        fn new() -> Self {
            let (image, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::create_dir(store.path().join("x-system")).unwrap();
            fs::write(store.path().join("x-system/init"), "an init").unwrap();
            symlink("../x-system", store.path().join("x-system/self")).unwrap();
            symlink("/etc", store.path().join("etc")).unwrap();
            let profiles = image.path().join("nix/var/nix/profiles");
            fs::create_dir_all(&profiles).unwrap();
            symlink("/nix/store/x-system", profiles.join("system")).unwrap();
            fs::create_dir(image.path().join("etc")).unwrap();
            fs::write(image.path().join("etc/hosts"), "of the image").unwrap();
            symlink("loop", image.path().join("loop")).unwrap();
            Self { image, store }
        }

        fn read(&self, target: &str, path: &str) -> Result<String, Errno> {
            let open = |path: &Path| OwnedFd::from(File::open(path).unwrap());
            let mounts = [Shown::new(target, open(self.store.path()))];
            let root = open(self.image.path());
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let found = resolve(root.as_fd(), &mounts, path, flags)?;
            let mut text = String::new();
            File::from(found).read_to_string(&mut text).unwrap();
            Ok(text)
        }
    }

    #[test]
    fn links_of_the_image_lead_into_what_is_mounted() {
        let trees = Trees::new();
        let init = |path| trees.read("/nix/store", path);
        assert_eq!(
            init("/nix/var/nix/profiles/system/init").unwrap(),
            "an init"
        );
        assert_eq!(init("nix/store/x-system/self/init").unwrap(), "an init");
        assert_eq!(
            init("/nix/store/../store/./x-system/init").unwrap(),
            "an init"
        );
        assert_eq!(init("/../nix/store/x-system/init").unwrap(), "an init");
    }

    #[test]
    fn links_of_what_is_mounted_lead_back_into_the_image() {
        let trees = Trees::new();
        let text = trees.read("/nix/store", "/nix/store/etc/hosts").unwrap();
        assert_eq!(text, "of the image");
    }

    #[test]
    fn the_way_to_a_mount_need_not_exist() {
        let trees = Trees::new();
        let text = trees.read("/srv/deep/store", "/srv/deep/store/x-system/init");
        assert_eq!(text.unwrap(), "an init");
        let missing = |path| trees.read("/srv/deep/store", path).unwrap_err();
        assert_eq!(missing("/srv/deep/other"), Errno::NOENT);
        assert_eq!(missing("/srv/deep"), Errno::NOENT);
        assert_eq!(missing("/srv/deep/store/y"), Errno::NOENT);
    }

    #[test]
    fn loops_end() {
        let trees = Trees::new();
        assert_eq!(trees.read("/nix/store", "/loop").unwrap_err(), Errno::LOOP);
    }
}
