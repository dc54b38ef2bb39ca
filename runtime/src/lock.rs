//! Locks on images and names: the files, the kind and the order that systemd-nspawn and
//! machined use, so that the three exclude one another.

mod file;
mod image;

pub(crate) use file::{LockFile, make_dir};
pub use image::{ImageLock, ImageLocks, NameLock};

pub use crate::sys::ofd::Mode;

/// Where systemd keeps the locks that do not lie beside an image.
pub const LOCK_DIR: &str = "/run/systemd/nspawn/locks";
