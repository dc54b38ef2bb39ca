//! The host's side of a machine's journal: a directory, or a link into the image. Both stay when the
//! machine ends, as its journal does.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::plan::{JOURNALS, Journal};

/// Makes what the machine's journal takes. The image is locked, and nothing in it is touched.
pub(super) fn prepare(journal: &Journal) -> Result<()> {
    let what = || format!("make {} on the host", journal.path());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let journals = rustix::fs::open(JOURNALS, flags, Mode::empty()).cannot(what)?;
    let made = match journal {
        Journal::Shared { name } => directory(journals.as_fd(), name),
        Journal::Linked { name, target } => {
            let target = target.as_os_str();
            make_way(journals.as_fd(), name, AtFlags::REMOVEDIR)
                .and_then(|()| make_way(journals.as_fd(), name, AtFlags::empty()))
                .and_then(|()| rustix::fs::symlinkat(target, &journals, name))
        }
    };
    made.cannot(what)
}

/// A directory that is there is taken as it is; a link goes.
fn directory(journals: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    let make = || rustix::fs::mkdirat(journals, name, Mode::from_raw_mode(0o755));
    match make() {
        Err(Errno::EXIST) => {}
        other => return other,
    }
    make_way(journals, name, AtFlags::empty())?;
    match make() {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Removes an empty directory, or what is none; the other kind stays.
fn make_way(journals: BorrowedFd<'_>, name: &str, kind: AtFlags) -> Result<(), Errno> {
    match rustix::fs::unlinkat(journals, name, kind) {
        Ok(()) | Err(Errno::NOENT | Errno::ISDIR | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(errno),
    }
}
