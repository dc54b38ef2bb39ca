//! The space that an image takes on the disk.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{FileType, Mode, OFlags, open};

use super::lookup::{Image, ImageKind};
use super::report::shown;
use super::tree::Tree;
use super::walk::{is_mount_point, kind, walk};
use crate::error::{Context, Result};

/// Bytes of a block as `stat(2)` counts.
const BLOCK: u64 = 512;

/// Bytes on the disk, where they are known without a look at every file: of disk images.
pub(super) fn cheap(image: &Image) -> Option<u64> {
    let file = std::fs::metadata(&image.path).ok()?;
    (image.kind == ImageKind::Raw).then(|| file.blocks() * BLOCK)
}

/// Bytes on the disk, files with several names counted once, and what is mounted not at
/// all. Blocks that files share with other images count for each. Takes as long as `du`.
///
/// # Errors
/// [`crate::Kind::Failed`] if a directory cannot be read.
pub(super) fn counted(image: &Image) -> Result<Option<u64>> {
    if image.kind != ImageKind::Directory {
        return Ok(cheap(image));
    }
    let what = || format!("measure {}", image.path.display());
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = open(&image.path, how, Mode::empty()).cannot(what)?;
    let own = rustix::fs::fstat(&top).cannot(what)?;
    let mut blocks = u64::try_from(own.st_blocks).unwrap_or_default();
    let mut seen = HashSet::new();
    walk(&Tree::new(top), &mut |found| {
        let stat = found
            .look()
            .cannot(|| format!("look at '{}'", shown(found.path)))?;
        if is_mount_point(&stat) {
            return Ok(false);
        }
        let is_dir = kind(&stat) == FileType::Directory;
        let inode = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        if is_dir || stat.stx_nlink < 2 || seen.insert(inode) {
            blocks += stat.stx_blocks;
        }
        Ok(is_dir)
    })
    .cannot(what)?;
    Ok(Some(blocks * BLOCK))
}
