//! What tells a system apart from its copies, taken out so that each makes its own.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, ftruncate, openat, openat2, statat,
};
use rustix::io::{Errno, Result as SysResult};

use super::remove::remove_tree;
use super::report::shown;
use crate::error::{Context, Result};

/// Emptied and not removed: systemd takes a missing one for the first boot of all, and would
/// enable and disable units anew; of an empty one it makes an id, machine-id(5).
const MACHINE_ID: (&str, &CStr) = ("etc", c"machine-id");

/// Removed: made again when they are missing, or by whoever needs them.
const REMOVED: [(&str, &CStr); 5] = [
    // Without it the machine's name is the host name.
    ("etc", c"hostname"),
    ("var/lib/dbus", c"machine-id"),
    ("var/lib/systemd", c"random-seed"),
    // The key that credentials of this system are encrypted with, systemd-creds(1).
    ("var/lib/systemd", c"credential.secret"),
    ("var/lib/NetworkManager", c"secret_key"),
];

/// Where keys of the SSH server are, and what their names begin with.
const KEYS: (&str, &[u8]) = ("etc/ssh", b"ssh_host_");

/// Resets the identity of the tree at `root`, which nobody uses. Returns what was there.
/// Symbolic links are left alone, as on systems that keep these files elsewhere or make
/// them at each boot.
pub(super) fn reset(root: BorrowedFd<'_>) -> Result<Vec<String>> {
    let mut done = Vec::new();
    let (dir, name) = MACHINE_ID;
    let path = path(dir, name);
    if let Some(opened) = holder(root, dir, name).cannot(|| format!("look at {path}"))? {
        empty(opened.as_fd(), name).cannot(|| format!("empty {path}"))?;
        done.push(path);
    }
    for (dir, name) in REMOVED {
        done.extend(remove(root, dir, name)?);
    }
    for name in keys(root).cannot(|| "look for keys of the SSH server")? {
        done.extend(remove(root, KEYS.0, &name)?);
    }
    Ok(done)
}

fn path(dir: &str, name: &CStr) -> String {
    format!("/{dir}/{}", shown(name.to_bytes()))
}

fn remove(root: BorrowedFd<'_>, dir: &str, name: &CStr) -> Result<Option<String>> {
    let path = path(dir, name);
    let Some(opened) = holder(root, dir, name).cannot(|| format!("look at {path}"))? else {
        return Ok(None);
    };
    remove_tree(opened.as_fd(), OsStr::from_bytes(name.to_bytes()))?;
    Ok(Some(path))
}

/// The directory, if it holds a regular file of that name.
fn holder(root: BorrowedFd<'_>, dir: &str, name: &CStr) -> SysResult<Option<OwnedFd>> {
    let Some(dir) = open_dir(root, dir)? else {
        return Ok(None);
    };
    match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(Some(dir)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a directory as the system inside would find it.
fn open_dir(root: BorrowedFd<'_>, path: &str) -> SysResult<Option<OwnedFd>> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    match openat2(root, path, how, Mode::empty(), inside) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
        Err(error) => Err(error),
    }
}

fn empty(dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
    let how = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(dir, name, how, Mode::empty())?;
    ftruncate(&file, 0)
}

fn keys(root: BorrowedFd<'_>) -> SysResult<Vec<CString>> {
    let (dir, prefix) = KEYS;
    let Some(dir) = open_dir(root, dir)? else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::new();
    for entry in Dir::new(dir)? {
        let entry = entry?;
        if entry.file_name().to_bytes().starts_with(prefix) {
            keys.push(entry.file_name().to_owned());
        }
    }
    keys.sort();
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn what_must_not_be_shared_goes_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for dir in ["etc/ssh", "var/lib/systemd"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        for file in [
            "etc/machine-id",
            "etc/hosts",
            "etc/ssh/ssh_host_ed25519_key",
            "etc/ssh/ssh_host_ed25519_key.pub",
            "etc/ssh/sshd_config",
            "var/lib/systemd/random-seed",
        ] {
            fs::write(at(file), "x").unwrap();
        }
        let done = reset(File::open(root.path()).unwrap().as_fd()).unwrap();
        assert_eq!(
            done,
            [
                "/etc/machine-id",
                "/var/lib/systemd/random-seed",
                "/etc/ssh/ssh_host_ed25519_key",
                "/etc/ssh/ssh_host_ed25519_key.pub",
            ]
        );
        assert_eq!(fs::read(at("etc/machine-id")).unwrap(), b"");
        assert!(at("etc/ssh/sshd_config").exists() && at("etc/hosts").exists());
        assert!(!at("etc/ssh/ssh_host_ed25519_key").exists());
    }

    #[test]
    fn no_link_leads_out() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        for name in ["hostname", "machine-id", "ssh_host_key", "random-seed"] {
            fs::write(outside.path().join(name), "x").unwrap();
        }
        let link = |path: &str, to: &str| {
            let to = outside.path().join(to);
            std::os::unix::fs::symlink(to, root.path().join(path)).unwrap();
        };
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::create_dir_all(root.path().join("var/lib")).unwrap();
        link("etc/machine-id", "machine-id");
        link("etc/hostname", "hostname");
        link("etc/ssh", "");
        link("var/lib/systemd", "");
        let done = reset(File::open(root.path()).unwrap().as_fd()).unwrap();
        assert_eq!(done, Vec::<String>::new());
        for name in ["hostname", "machine-id", "ssh_host_key", "random-seed"] {
            assert_eq!(fs::read(outside.path().join(name)).unwrap(), b"x");
        }
    }
}
