//! Removing images: renamed out of sight in one step, then taken apart.

use std::ffi::OsStr;

use rustix::fs::{RenameFlags, renameat_with};

use super::hidden::Work;
use super::name::ImageName;
use super::read_only;
use super::remove::remove_tree;
use super::sidecars::Sidecars;
use super::subject::Subject;
use super::sweep::sweep;
use crate::dirs::Dirs;
use crate::error::{Context, Result};

/// Removes images and what belongs to them: settings beside them and what is known of them.
/// Of a symbolic link only the link goes. None is removed unless all can be.
///
/// # Errors
/// [`crate::Kind::Busy`] if one is in use or something is mounted in it,
/// [`crate::Kind::NotFound`] if one does not exist. What a failure or the death of this
/// process leaves, is hidden, and the next command removes it.
pub fn remove(dirs: &Dirs, names: &[ImageName]) -> Result<()> {
    sweep(dirs)?;
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    let take =
        |name| Subject::take(dirs, name, Work::Removing).cannot(|| format!("remove image {name}"));
    let subjects: Vec<Subject> = names.iter().map(take).collect::<Result<_>>()?;
    for subject in subjects {
        let name = subject.found.name.clone();
        discard(dirs, subject).cannot(|| format!("remove image {name}"))?;
    }
    Ok(())
}

/// Removes one image.
pub(super) fn discard(dirs: &Dirs, subject: Subject) -> Result<()> {
    let Subject {
        found,
        lock,
        hidden,
    } = subject;
    if !found.is_link() {
        // An immutable directory cannot be renamed.
        read_only::unlock(&found.image)?;
    }
    let (dir, flags) = (found.dir.as_fd(), RenameFlags::NOREPLACE);
    renameat_with(dir, found.file(), dir, hidden.name(), flags)
        .cannot(|| "rename it out of the way")?;
    Sidecars::of(dirs, &found.dir).remove(found.name.as_str())?;
    // Its file is named after the inode, by which a sweep finds it as long as that exists.
    drop(lock);
    remove_tree(dir, OsStr::new(hidden.name()))
}
