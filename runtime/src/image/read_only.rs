//! Read-only images, marked as machined marks them: a directory by the immutable flag on its
//! top, a disk image by its permissions.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{
    Access, AtFlags, CWD, IFlags, Mode, OFlags, accessat, ioctl_getflags, ioctl_setflags, open,
};
use rustix::io::Errno;

use super::hidden::Work;
use super::lookup::{Image, ImageKind};
use super::name::ImageName;
use super::subject::Subject;
use super::sweep::sweep;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};

/// Permission to write, of anybody.
const WRITE: u32 = 0o222;

/// Whether root cannot write to an image's top: it is immutable, or its file system or
/// subvolume is read-only.
#[must_use]
pub fn is_read_only(path: &Path) -> bool {
    let access = accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
    matches!(access, Err(Errno::ROFS | Errno::PERM))
}

/// The same of any image. What is the host's own counts as read-only, as hidden images do.
pub(super) fn is_image_read_only(image: &Image, name: &ImageName) -> bool {
    let no_writer = || {
        let found = std::fs::metadata(&image.path);
        found.is_ok_and(|found| found.mode() & WRITE == 0)
    };
    name.is_hidden()
        || image.path.starts_with("/usr")
        || is_read_only(&image.path)
        || (image.kind == ImageKind::Raw && no_writer())
}

/// Makes an image read-only or writable.
///
/// # Errors
/// [`Kind::Busy`] if it is in use; [`Kind::HostLacks`] if the file system has no immutable
/// flag; [`Kind::Failed`] if something else keeps it read-only.
pub fn set_read_only(dirs: &Dirs, name: &ImageName, read_only: bool) -> Result<()> {
    let word = if read_only { "read-only" } else { "writable" };
    let carry_out = || {
        sweep(dirs)?;
        if name.is_hidden() {
            let what = "hidden images are always read-only";
            return Err(Error::new(Kind::Usage, what));
        }
        let subject = Subject::take(dirs, name, Work::Marking)?;
        let image = &subject.found.image;
        set(image, read_only)?;
        if !read_only && is_image_read_only(image, name) {
            return Err(Error::new(
                Kind::Failed,
                "its file system or subvolume takes no writes",
            ));
        }
        Ok(())
    };
    carry_out().cannot(|| format!("make image {name} {word}"))
}

/// Marks an image, whoever uses it.
pub(super) fn set(image: &Image, read_only: bool) -> Result<()> {
    match image.kind {
        ImageKind::Raw => set_mode(&image.path, read_only),
        _ => set_flag(&image.path, read_only),
    }
}

/// Whether [`unlock`] would change it.
pub(super) fn is_locked(image: &Image) -> Result<bool> {
    let file = open_image(&image.path)?;
    let flags = ioctl_getflags(&file);
    Ok(flags.is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE)))
}

/// Clears the flag that keeps an image from being renamed.
pub(super) fn unlock(image: &Image) -> Result<()> {
    if is_locked(image)? {
        set_flag(&image.path, false)?;
    }
    Ok(())
}

fn set_flag(path: &Path, on: bool) -> Result<()> {
    let what = || format!("change the immutable flag of {}", path.display());
    let file = open_image(path)?;
    let flags = match ioctl_getflags(file.as_fd()) {
        Ok(flags) => flags,
        Err(Errno::NOTTY | Errno::OPNOTSUPP) if !on => return Ok(()),
        Err(error) => return Err(lacking(error, &what())),
    };
    let mut wanted = flags;
    wanted.set(IFlags::IMMUTABLE, on);
    if wanted == flags {
        return Ok(());
    }
    ioctl_setflags(&file, wanted).map_err(|error| lacking(error, &what()))
}

fn lacking(error: Errno, what: &str) -> Error {
    let cause = std::io::Error::from(error);
    match error {
        Errno::NOTTY | Errno::OPNOTSUPP | Errno::PERM => {
            Error::new(Kind::HostLacks, format!("cannot {what}"))
                .because(cause)
                .hint("start it with --read-only instead")
        }
        _ => Error::new(Kind::Failed, format!("cannot {what}")).because(cause),
    }
}

fn set_mode(path: &Path, read_only: bool) -> Result<()> {
    let what = || format!("change the mode of {}", path.display());
    let file = open_image(path)?;
    let mut mode = file.metadata().cannot(what)?.permissions();
    let others = mode.mode() & !WRITE;
    mode.set_mode(if read_only { others } else { others | 0o200 });
    file.set_permissions(mode).cannot(what)
}

/// An image may be a link, but what it leads to is opened for reading only.
fn open_image(path: &Path) -> Result<File> {
    let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = open(path, how, Mode::empty());
    file.map(File::from)
        .cannot(|| format!("open {}", path.display()))
}
