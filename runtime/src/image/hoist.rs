//! Archives that wrap the whole system in one directory.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::{Errno, Result as SysResult};

/// What every system's tree has at least one of.
const MARKS: [&str; 5] = [
    "etc/os-release",
    "usr/lib/os-release",
    "nix/store",
    "sbin/init",
    "usr/lib/systemd",
];

/// The one directory in `tree`, if it holds a system and `tree` itself does not.
pub(super) fn single_top(tree: BorrowedFd<'_>) -> SysResult<Option<OsString>> {
    if holds_system(tree)? {
        return Ok(None);
    }
    let Some(name) = only_entry(tree)? else {
        return Ok(None);
    };
    match open_dir(tree, &name) {
        Ok(top) if holds_system(top.as_fd())? => Ok(Some(name)),
        Ok(_) | Err(Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

fn only_entry(tree: BorrowedFd<'_>) -> SysResult<Option<OsString>> {
    let mut only = None;
    for entry in Dir::read_from(tree)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if only.replace(OsStr::from_bytes(name).to_owned()).is_some() {
            return Ok(None);
        }
    }
    Ok(only)
}

fn holds_system(tree: BorrowedFd<'_>) -> SysResult<bool> {
    for mark in MARKS {
        let (dir, name) = mark.rsplit_once('/').unwrap_or((".", mark));
        let found = open_dir(tree, OsStr::new(dir))
            .and_then(|dir| statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW));
        match found {
            Ok(_) => return Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn open_dir(tree: BorrowedFd<'_>, path: &OsStr) -> SysResult<OwnedFd> {
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(tree, path, how, Mode::empty(), confined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    fn top(paths: &[&str]) -> Option<OsString> {
        let dir = tempfile::tempdir().unwrap();
        for path in paths {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        single_top(File::open(dir.path()).unwrap().as_fd()).unwrap()
    }

    #[test]
    fn one_directory_with_a_system_is_found() {
        assert_eq!(
            top(&["debian/etc/os-release", "debian/bin/sh"]),
            Some("debian".into())
        );
        assert_eq!(top(&["n/nix/store/x"]), Some("n".into()));
    }

    #[test]
    fn anything_else_is_left_as_it_is() {
        assert_eq!(top(&["etc/os-release"]), None);
        assert_eq!(top(&["a/etc/os-release", "b"]), None);
        assert_eq!(top(&["a/data"]), None);
        assert_eq!(top(&["file"]), None);
        assert_eq!(top(&[]), None);
    }

    #[test]
    fn links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/", dir.path().join("top")).unwrap();
        let tree = File::open(dir.path()).unwrap();
        assert_eq!(single_top(tree.as_fd()).unwrap(), None);
    }
}
