//! What killed commands leave in the directories of images, and how it is finished or
//! removed.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{AtFlags, readlinkat, statat, unlinkat};

use super::hidden::{Abandoned, Work, lock_name};
use super::lookup::{find_in, search_path};
use super::name::ImageName;
use super::read_only;
use super::remove::remove_tree;
use super::rename::Intent;
use super::root::ImageRoot;
use super::sidecars::Sidecars;
use crate::dirs::Dirs;
use crate::error::{Context, Result};
use crate::lock::{ImageLocks, LockFile, Mode, NameLock};

/// Finishes what killed commands left half done: images that were being made or removed are
/// removed, those that were being renamed have their other files follow. What is under way
/// is not touched, nor what other programs keep there. Returns the names that were removed.
///
/// # Errors
/// [`crate::Kind::Failed`] if a directory cannot be read or something in it cannot be
/// removed. A missing directory is none.
pub fn sweep(dirs: &Dirs) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for dir in search_path(dirs) {
        removed.extend(sweep_in(dirs, &dir)?);
    }
    Ok(removed)
}

fn sweep_in(dirs: &Dirs, dir: &Path) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let Some(root) = ImageRoot::open_existing(dir)? else {
        return Ok(removed);
    };
    for left in Abandoned::all(&root)? {
        let name = left.hidden.name();
        let there = statat(root.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        match left.work {
            Work::Making | Work::Removing if there => {
                if left.work == Work::Removing {
                    Sidecars::of(dirs, &root).remove(left.image.as_str())?;
                    release(&root.path().join(name));
                }
                remove_tree(root.as_fd(), OsStr::new(name))?;
                removed.push(name.to_owned());
            }
            Work::Cloning => Sidecars::of(dirs, &root).remove(left.image.as_str())?,
            Work::Renaming if there => finish_rename(dirs, &root, &left)?,
            _ => {}
        }
        release_name(&root, &left.image, left.work);
    }
    Ok(removed)
}

fn finish_rename(dirs: &Dirs, root: &ImageRoot, left: &Abandoned) -> Result<()> {
    let (dir, name) = (root.as_fd(), left.hidden.name());
    let text = readlinkat(dir, name, Vec::new()).ok();
    let intent = text.and_then(|text| Intent::parse(text.to_str().ok()?));
    if let Some(intent) = intent {
        Sidecars::of(dirs, root).rename(left.image.as_str(), intent.new.as_str())?;
        let find = |name: &ImageName| find_in(root.path(), name.as_str());
        let image = find(&left.image).or_else(|| find(&intent.new));
        if let Some(image) = image.filter(|_| intent.read_only) {
            read_only::set(&image, true)?;
        }
        release_name(root, &intent.new, Work::Renaming);
    }
    unlinkat(dir, name, AtFlags::empty()).cannot(|| format!("remove {name}"))
}

/// Removes the lock files that a killed command left of an image, by taking and letting go
/// of them. Locks on other names may be about to be taken, and are left alone.
fn release_name(root: &ImageRoot, name: &ImageName, work: Work) {
    let image = find_in(root.path(), name.as_str());
    if let Some(image) = image.filter(|_| work != Work::Making) {
        release(&image.path);
    }
    drop(NameLock::take(name.as_str()));
    let beside = root.path().join(lock_name(name.as_str()));
    drop(LockFile::take_existing(&beside, Mode::Exclusive));
}

fn release(image: &Path) {
    // Whoever holds them now lets go of them later.
    drop(ImageLocks::of(image).and_then(|locks| locks.take(Mode::Exclusive)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn swept(dir: &Path) -> Vec<String> {
        let state = tempfile::tempdir().unwrap();
        sweep(&Dirs::new(Some(dir), Some(state.path()))).unwrap()
    }

    #[test]
    fn dead_stagings_go_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let dead = ".#web0123456789abcdef";
        for name in [dead, ".#other0123456789abcdef", "web", ".hidden"] {
            fs::create_dir_all(dir.path().join(name).join("sub")).unwrap();
        }
        for name in [".#web0123456789abcdef", ".#web", ".#other"] {
            fs::write(dir.path().join(format!("{name}.lck")), "").unwrap();
        }
        assert_eq!(swept(dir.path()), [dead]);
        let kept = [".#other.lck", ".#other0123456789abcdef", ".hidden", "web"];
        assert_eq!(names(dir.path()), kept);
    }

    #[test]
    fn a_removal_is_finished_with_the_images_settings() {
        let dir = tempfile::tempdir().unwrap();
        let dead = ".#removed:web0123456789abcdef";
        fs::create_dir(dir.path().join(dead)).unwrap();
        fs::write(dir.path().join(format!("{dead}.lck")), "").unwrap();
        fs::write(dir.path().join("web.nspawn"), "").unwrap();
        fs::write(dir.path().join("webb.nspawn"), "").unwrap();
        assert_eq!(swept(dir.path()), [dead]);
        assert_eq!(names(dir.path()), ["webb.nspawn"]);
    }

    #[test]
    fn a_removal_that_had_not_begun_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let lock = ".#removed:web0123456789abcdef.lck";
        fs::write(dir.path().join(lock), "").unwrap();
        fs::write(dir.path().join("web.nspawn"), "").unwrap();
        fs::create_dir(dir.path().join("web")).unwrap();
        assert!(swept(dir.path()).is_empty());
        assert_eq!(names(dir.path()), ["web", "web.nspawn"]);
    }

    #[test]
    fn a_renaming_is_finished_once_the_image_has_moved() {
        let dir = tempfile::tempdir().unwrap();
        let link = ".#renamed:old0123456789abcdef";
        let leave = || {
            std::os::unix::fs::symlink("rw:new", dir.path().join(link)).unwrap();
            fs::write(dir.path().join(format!("{link}.lck")), "").unwrap();
        };
        fs::create_dir(dir.path().join("old")).unwrap();
        fs::write(dir.path().join("old.nspawn"), "").unwrap();
        leave();
        assert!(swept(dir.path()).is_empty());
        assert_eq!(names(dir.path()), ["old", "old.nspawn"]);
        fs::rename(dir.path().join("old"), dir.path().join("new")).unwrap();
        leave();
        assert!(swept(dir.path()).is_empty());
        assert_eq!(names(dir.path()), ["new", "new.nspawn"]);
    }

    #[test]
    fn a_missing_root_has_nothing_to_sweep() {
        assert!(swept(Path::new("/nonexistent/root")).is_empty());
    }
}
