//! A member of an archive, with all headers that speak of it taken together.

use super::sparse::SparseMap;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) enum EntryKind {
    File,
    HardLink,
    Symlink,
    /// A character or block device. Their numbers are not read: none is ever made.
    Device,
    Directory,
    Fifo,
}

/// Seconds and nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(in crate::image) struct Time {
    pub(in crate::image) seconds: i64,
    /// 0 to 999 999 999, counted forwards also before the epoch.
    pub(in crate::image) nanoseconds: u32,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::image) struct Entry {
    /// Where its first header begins in the unpacked archive.
    pub(in crate::image) offset: u64,
    pub(in crate::image) kind: EntryKind,
    /// The name as the archive has it.
    pub(in crate::image) name: Vec<u8>,
    /// The target of a link, else empty.
    pub(in crate::image) link: Vec<u8>,
    /// Permission bits, setuid, setgid and sticky.
    pub(in crate::image) mode: u32,
    pub(in crate::image) uid: u32,
    pub(in crate::image) gid: u32,
    pub(in crate::image) mtime: Time,
    pub(in crate::image) atime: Option<Time>,
    /// A time did not fit and was replaced by the nearest that does.
    pub(in crate::image) time_clamped: bool,
    /// Bytes of data that follow in the archive.
    pub(in crate::image) stored: u64,
    /// Where the stored bytes of a sparse file belong.
    pub(in crate::image) sparse: Option<SparseMap>,
    /// Extended attributes, names as the kernel has them.
    pub(in crate::image) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Access control lists as text: of the file, and the default of a directory.
    pub(in crate::image) acl_access: Option<Vec<u8>>,
    pub(in crate::image) acl_default: Option<Vec<u8>>,
}
