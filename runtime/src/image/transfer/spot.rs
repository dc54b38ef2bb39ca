//! Where a copy is to be put.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Rule;
use super::end::Root;
use super::place::Called;
use crate::error::{Context, Error, Kind, Result};

/// A directory, and the name that the copy gets in it.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) dir: OwnedFd,
    /// `None` if the directory takes up the entries of the copy.
    pub(super) name: Option<OsString>,
    /// The destination's name says that it is a directory, and there is none.
    pub(super) needs_directory: bool,
}

impl Spot {
    /// Finds it. Nothing is made.
    pub(super) fn find(root: &Root, path: &Path, rule: Rule, called: &Called) -> Result<Self> {
        let how = OFlags::RDONLY | OFlags::DIRECTORY;
        match root.open(path, how) {
            Ok(dir) => Ok(Self {
                dir,
                name: match (rule, called) {
                    (Rule::Into, Called::Name(name)) => Some(OsString::from_vec(name.clone())),
                    _ => None,
                },
                needs_directory: false,
            }),
            // A file, a link that leads nowhere, or nothing yet.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Self::beside(root, path),
            Err(errno) => Err(errno).cannot(|| "open the directory to copy into"),
        }
    }

    fn beside(root: &Root, path: &Path) -> Result<Self> {
        let nameless = || Error::new(Kind::NotFound, "there is no such directory");
        let name = path.file_name().ok_or_else(nameless)?;
        let parent = path.parent().ok_or_else(nameless)?;
        let dir = root
            .open(parent, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|errno| {
                let kind = match errno {
                    Errno::NOENT | Errno::NOTDIR => Kind::NotFound,
                    _ => Kind::Failed,
                };
                Error::new(kind, "cannot open the directory to copy into")
                    .because(io::Error::from(errno))
            })?;
        Ok(Self {
            dir,
            name: Some(name.to_owned()),
            needs_directory: path.as_os_str().as_bytes().ends_with(b"/"),
        })
    }
}
