//! Owners, modes, times and extended attributes of what is made.

use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chownat, fchmod,
    fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, utimensat,
};
use rustix::io::Errno;

use super::acl;
use super::attributes::{ACL_ACCESS, ACL_DEFAULT, CAPABILITY, keep};
use super::report::{WarningKind, Warnings, shown};
use super::tar::{Entry, Time};
use crate::error::{Context, Result};

/// Largest id that a machine with the usual range of 65536 has.
const LARGEST_ID: u32 = 65_535;

/// The host's own label on a file, of no meaning in an image and not worth a warning.
const HOST_LABEL: &[u8] = b"security.selinux";

/// How a member is to look.
#[derive(Debug)]
pub(super) struct Looks {
    /// Permission bits, setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// `None` leaves it as it is.
    pub(super) mtime: Option<Time>,
    pub(super) atime: Option<Time>,
    pub(super) attributes: Attributes,
}

impl Looks {
    /// What an entry asks for; its attributes are taken out of it.
    pub(super) fn of(entry: &mut Entry, warnings: &mut Warnings) -> Self {
        warn_of_owner(entry.uid, entry.gid, &entry.name, warnings);
        Self {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: Some(entry.mtime),
            atime: entry.atime,
            attributes: Attributes::of(entry, warnings),
        }
    }

    /// Those of an open file or directory.
    pub(super) fn read(
        file: BorrowedFd<'_>,
        name: &[u8],
        warnings: &mut Warnings,
    ) -> io::Result<Self> {
        let attributes = Attributes::read(file, name, warnings)?;
        let stat = fstat(file)?;
        Ok(Self {
            attributes,
            ..Self::from_stat(&stat, name, warnings)
        })
    }

    /// Those of what cannot be opened.
    pub(super) fn from_stat(stat: &Stat, name: &[u8], warnings: &mut Warnings) -> Self {
        warn_of_owner(stat.st_uid, stat.st_gid, name, warnings);
        Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: Some(Time {
                seconds: stat.st_mtime,
                nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
            }),
            atime: None,
            attributes: Attributes::default(),
        }
    }

    /// Finishes a file that was created as root's with the permission bits of `mode`.
    /// `name` is for warnings.
    pub(super) fn finish_file(
        &self,
        file: BorrowedFd<'_>,
        name: &[u8],
        warnings: &mut Warnings,
    ) -> Result<()> {
        // Owner first: a change of owner clears setuid and capabilities.
        if (self.uid, self.gid) != (0, 0) {
            self.set_owner(file)?;
        }
        if self.mode & 0o7000 != 0 {
            self.set_mode(file)?;
        }
        self.attributes.apply(file, name, warnings)?;
        self.set_times(file)
    }

    /// Finishes a directory, once all that belongs into it is there.
    pub(super) fn finish_dir(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        warnings: &mut Warnings,
    ) -> Result<()> {
        self.set_owner(dir)?;
        self.set_mode(dir)?;
        self.attributes.apply(dir, name, warnings)?;
        self.set_times(dir)
    }

    /// Finishes what cannot be opened: a link or pipe. The kernel takes no attributes for it.
    pub(super) fn finish_node(
        &self,
        parent: BorrowedFd<'_>,
        node: &OsStr,
        name: &[u8],
        warnings: &mut Warnings,
    ) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let itself = AtFlags::SYMLINK_NOFOLLOW;
        chownat(parent, node, Some(uid), Some(gid), itself).cannot(|| "set its owner")?;
        for _ in &self.attributes.0 {
            warnings.member(WarningKind::Attributes, name);
        }
        match self.times() {
            Some(times) => utimensat(parent, node, &times, itself).cannot(|| "set its times"),
            None => Ok(()),
        }
    }

    fn set_owner(&self, file: BorrowedFd<'_>) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        fchown(file, Some(uid), Some(gid)).cannot(|| "set its owner")
    }

    fn set_mode(&self, file: BorrowedFd<'_>) -> Result<()> {
        fchmod(file, Mode::from_raw_mode(self.mode)).cannot(|| "set its mode")
    }

    fn set_times(&self, file: BorrowedFd<'_>) -> Result<()> {
        match self.times() {
            Some(times) => futimens(file, &times).cannot(|| "set its times"),
            None => Ok(()),
        }
    }

    fn times(&self) -> Option<Timestamps> {
        let untouched = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        Some(Timestamps {
            last_access: self.atime.map_or(untouched, timespec),
            last_modification: timespec(self.mtime?),
        })
    }
}

fn warn_of_owner(uid: u32, gid: u32, name: &[u8], warnings: &mut Warnings) {
    if uid.max(gid) > LARGEST_ID {
        warnings.member(WarningKind::ForeignOwners, name);
    }
}

fn timespec(time: Time) -> Timespec {
    Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    }
}

/// Extended attributes that an image may carry, in the form to store.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<(Vec<u8>, Vec<u8>)>);

impl Attributes {
    /// Takes them out of an entry; counts those that may not be carried.
    fn of(entry: &mut Entry, warnings: &mut Warnings) -> Self {
        let mut kept = Self::default();
        for (name, value) in std::mem::take(&mut entry.xattrs) {
            kept.add(name, value, &entry.name, warnings);
        }
        let lists = [
            (ACL_ACCESS, &entry.acl_access),
            (ACL_DEFAULT, &entry.acl_default),
        ];
        for (name, text) in lists {
            match text.as_deref().map(acl::from_text) {
                None => {}
                Some(Some(value)) => kept.0.push((name.to_vec(), value)),
                Some(None) => warnings.member(WarningKind::Acls, &entry.name),
            }
        }
        kept
    }

    /// Reads those of an open file; counts those that may not be carried.
    pub(super) fn read(
        file: BorrowedFd<'_>,
        name: &[u8],
        warnings: &mut Warnings,
    ) -> io::Result<Self> {
        let mut kept = Self::default();
        for attribute in list(file)?.split(|&b| b == 0).filter(|a| !a.is_empty()) {
            if attribute == HOST_LABEL {
                continue;
            }
            if let Some(value) = get(file, attribute)? {
                kept.add(attribute.to_vec(), value, name, warnings);
            }
        }
        Ok(kept)
    }

    fn add(&mut self, attribute: Vec<u8>, value: Vec<u8>, name: &[u8], warnings: &mut Warnings) {
        match keep(&attribute, value) {
            Some(value) => self.0.push((attribute, value)),
            None => warnings.member(WarningKind::Attributes, name),
        }
    }

    /// Names and values.
    pub(super) fn list(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.0
    }

    /// Takes file capabilities out; whether there were some.
    pub(super) fn disarm(&mut self) -> bool {
        let before = self.0.len();
        self.0.retain(|(name, _)| name != CAPABILITY);
        self.0.len() < before
    }

    /// Memory taken, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    /// Sets them; counts those that the file system does not take.
    fn apply(&self, file: BorrowedFd<'_>, name: &[u8], warnings: &mut Warnings) -> Result<()> {
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

/// Names, each with a NUL at its end.
fn list(file: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    match grown(|buffer| flistxattr(file, buffer)) {
        Err(Errno::OPNOTSUPP) => Ok(Vec::new()),
        names => Ok(names?),
    }
}

/// A value; `None` if it vanished since it was listed.
fn get(file: BorrowedFd<'_>, attribute: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let attribute = OsStr::from_bytes(attribute);
    match grown(|buffer| fgetxattr(file, attribute, buffer)) {
        Err(Errno::NODATA) => Ok(None),
        value => Ok(Some(value?)),
    }
}

/// Calls with a larger buffer until the answer fits.
fn grown(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            // The kernel's limit is 64 KiB for both names and values.
            Err(Errno::RANGE) if buffer.len() < 1 << 16 => buffer.resize(buffer.len() * 4, 0),
            Err(error) => return Err(error),
        }
    }
}
