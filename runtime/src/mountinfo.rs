//! Lines of `/proc/PID/mountinfo`.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

use crate::virtual_file;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountLine {
    /// Its number, unique while it is mounted.
    pub(crate) id: u64,
    /// The number of the mount that it lies on.
    pub(crate) parent: u64,
    /// What of the file system is seen there.
    pub(crate) root: PathBuf,
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    /// The mount or the file system takes no writes.
    pub(crate) read_only: bool,
    /// The type of the file system, with its subtype.
    pub(crate) kind: String,
}

impl MountLine {
    /// `36 35 98:0 ROOT POINT OPTIONS [TAGS…] - KIND SOURCE SUPER_OPTIONS`, proc_pid_mountinfo(5).
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let mut fields = fields.skip(1);
        let (root, point, options) = (fields.next()?, fields.next()?, fields.next()?);
        let mut fields = file_system.split(' ');
        let (kind, super_options) = (fields.next()?, fields.nth(1)?);
        let read_only = |options: &str| options.split(',').any(|o| o == "ro");
        Some(Self {
            id,
            parent,
            root: unescape(root).into(),
            point: unescape(point).into(),
            read_only: read_only(options) || read_only(super_options),
            kind: kind.to_owned(),
        })
    }
}

/// The mounts of this process, in the kernel's order; none if `/proc` cannot be read.
pub(crate) fn own_mounts() -> Vec<MountLine> {
    mounts("self")
}

/// The mounts that the process of that number sees; none if it is gone.
pub(crate) fn mounts_of(pid: i32) -> Vec<MountLine> {
    mounts(&pid.to_string())
}

fn mounts(process: &str) -> Vec<MountLine> {
    let text = virtual_file::read_text(format!("/proc/{process}/mountinfo")).unwrap_or_default();
    text.lines().filter_map(MountLine::parse).collect()
}

/// The number of the mount that `file` is on.
pub(crate) fn mount_id(file: BorrowedFd<'_>) -> Option<u64> {
    let path = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
    let text = virtual_file::read_text(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    value.trim().parse().ok()
}

/// The type of the file system that `file` is on, in the kernel's word.
pub(crate) fn file_system(file: BorrowedFd<'_>) -> Option<String> {
    let id = mount_id(file)?;
    let mount = own_mounts().into_iter().find(|mount| mount.id == id)?;
    Some(mount.kind)
}

/// Undoes the kernel's `\040` for blanks and its like. Paths that are not text are shown
/// with replacement characters.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|o| u8::from_str_radix(o, 8).ok());
        match code {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::fd::AsFd;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(r"/a\040b\134c"), r"/a b\c");
        assert_eq!(unescape(r"/a\4"), r"/a\4");
    }

    #[test]
    fn a_line_has_its_fields() {
        let line =
            r"36 35 98:0 /mnt\0401 /mnt2 rw,noatime master:1 - fuse.sshfs host:/ rw,ro,user_id=0";
        let mount = MountLine::parse(line).unwrap();
        assert_eq!((mount.id, mount.parent), (36, 35));
        assert_eq!(mount.root, PathBuf::from("/mnt 1"));
        assert_eq!(mount.point, PathBuf::from("/mnt2"));
        assert_eq!(mount.kind, "fuse.sshfs");
        assert!(mount.read_only);
    }

    #[test]
    fn a_file_lies_on_one_of_the_mounts() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        let id = mount_id(file.as_fd()).unwrap();
        let mount = own_mounts().into_iter().find(|m| m.id == id).unwrap();
        assert_eq!(mount.kind, "proc");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(line in r"[ 0-9a-z:/\\,-]{0,80}|.{0,40}") {
            let _ = MountLine::parse(&line);
        }
    }
}
