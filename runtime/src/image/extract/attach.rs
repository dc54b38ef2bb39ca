//! Owners, times and extended attributes.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Gid, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, fsetxattr};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::image::acl;
use crate::image::attributes::{ACL_ACCESS, ACL_DEFAULT, keep};
use crate::image::report::{WarningKind, Warnings, shown};
use crate::image::tar::{Entry, Time};

/// Extended attributes that an image may carry, in the form to store.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<(Vec<u8>, Vec<u8>)>);

impl Attributes {
    /// Takes them out of an entry; counts those that may not be carried.
    pub(super) fn of(entry: &mut Entry, warnings: &mut Warnings) -> Self {
        let mut kept = Vec::new();
        for (name, value) in std::mem::take(&mut entry.xattrs) {
            match keep(&name, value) {
                Some(value) => kept.push((name, value)),
                None => warnings.member(WarningKind::Attributes, &entry.name),
            }
        }
        let lists = [
            (ACL_ACCESS, &entry.acl_access),
            (ACL_DEFAULT, &entry.acl_default),
        ];
        for (name, text) in lists {
            match text.as_deref().map(acl::from_text) {
                None => {}
                Some(Some(value)) => kept.push((name.to_vec(), value)),
                Some(None) => warnings.member(WarningKind::Acls, &entry.name),
            }
        }
        Self(kept)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Memory taken, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    /// Sets them on the member `name`; counts those that the file system does not take.
    pub(super) fn apply(
        &self,
        file: BorrowedFd<'_>,
        name: &[u8],
        warnings: &mut Warnings,
    ) -> Result<()> {
        for (attribute, value) in &self.0 {
            let attribute = OsStr::from_bytes(attribute);
            match fsetxattr(file, attribute, value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP | Errno::PERM | Errno::RANGE | Errno::TOOBIG) => {
                    warnings.member(WarningKind::Attributes, name);
                }
                Err(error) => {
                    let shown = shown(attribute.as_bytes());
                    return Err(error).cannot(|| format!("set its attribute '{shown}'"));
                }
            }
        }
        Ok(())
    }
}

/// Ids as rustix wants them.
pub(super) fn owner(uid: u32, gid: u32) -> (Uid, Gid) {
    (Uid::from_raw(uid), Gid::from_raw(gid))
}

/// Times for utimensat(2); an access time that is not given is left alone.
pub(super) fn times(mtime: Time, atime: Option<Time>) -> Timestamps {
    let untouched = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    Timestamps {
        last_access: atime.map_or(untouched, timespec),
        last_modification: timespec(mtime),
    }
}

fn timespec(time: Time) -> Timespec {
    Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    }
}
