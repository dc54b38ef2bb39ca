//! Reading an image that others may be using.

use super::hidden::{Hidden, Work};
use super::lookup::Image;
use super::name::ImageName;
use super::root::ImageRoot;
use crate::error::{Kind, Result};
use crate::lock::{ImageLock, ImageLocks, Mode};

/// A lock that keeps writers away from an image, if none was there before.
#[derive(Debug)]
pub(super) struct SourceLock {
    lock: Option<ImageLock>,
    /// By its name a sweep finds the lock files, should this process be killed.
    _hidden: Option<Hidden>,
}

impl SourceLock {
    /// Locks the image for reading. One that a machine writes to can be read too, as
    /// machinectl does, at the risk that what is read is of different moments.
    pub(super) fn take(image: &Image, name: &ImageName) -> Result<Self> {
        Self::take_as(image, name, Mode::Shared)
    }

    /// The same with a lock of that mode: an exclusive one for who writes.
    pub(super) fn take_as(image: &Image, name: &ImageName, mode: Mode) -> Result<Self> {
        let dir = image.path.parent().unwrap_or(&image.path);
        let dir = ImageRoot::open_existing(dir)?;
        // A directory that takes no writes gets no lock file either.
        let hidden = dir.and_then(|dir| Hidden::claim(&dir, Work::Marking, name.as_str()).ok());
        let lock = match ImageLocks::of(&image.path)?.take(mode) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == Kind::Busy => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            lock,
            _hidden: hidden,
        })
    }

    /// Whether a machine wrote to it, or could.
    pub(super) fn was_in_use(&self) -> bool {
        self.lock.is_none()
    }
}
