//! What a disk image holds, told by its content: pure.

use std::ffi::CStr;
use std::fmt;

use crate::error::{Error, Kind};

/// How much of a file system or image is looked at: up to the end of btrfs's signature.
pub(crate) const HEAD: usize = 0x1_0048;

/// A file system that a machine can have as its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Squashfs,
    Erofs,
    Ext4,
    Xfs,
    Btrfs,
}

impl FileSystem {
    const ALL: [Self; 5] = [
        Self::Squashfs,
        Self::Erofs,
        Self::Ext4,
        Self::Xfs,
        Self::Btrfs,
    ];

    /// Its type in mount(2). The driver of ext4 is that of ext2 and ext3 too.
    pub(super) fn word(self) -> &'static CStr {
        match self {
            Self::Squashfs => c"squashfs",
            Self::Erofs => c"erofs",
            Self::Ext4 => c"ext4",
            Self::Xfs => c"xfs",
            Self::Btrfs => c"btrfs",
        }
    }

    /// Whether it is never written to. Such a file system has little that the kernel could stumble
    /// over: neither a journal nor anything else is changed while it is mounted.
    pub(crate) fn is_read_only(self) -> bool {
        matches!(self, Self::Squashfs | Self::Erofs)
    }

    /// Where its signature lies, and what it is.
    fn signature(self) -> (usize, &'static [u8]) {
        match self {
            Self::Squashfs => (0, b"hsqs"),
            Self::Erofs => (1024, b"\xe2\xe1\xf5\xe0"),
            Self::Ext4 => (1080, b"\x53\xef"),
            Self::Xfs => (0, b"XFSB"),
            Self::Btrfs => (0x1_0040, b"_BHRfS_M"),
        }
    }

    /// The file system that begins with `head`.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        // The shortest signature is looked for last.
        let of_length = |length| {
            Self::ALL.into_iter().find(|kind| {
                let (at, signature) = kind.signature();
                signature.len() == length && has(head, at, signature)
            })
        };
        [8, 4, 2].into_iter().find_map(of_length)
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word().to_string_lossy())
    }
}

/// Whether `head` has these bytes there.
pub(super) fn has(head: &[u8], at: usize, bytes: &[u8]) -> bool {
    head.get(at..).is_some_and(|rest| rest.starts_with(bytes))
}

/// What is known by its signature and cannot be mounted as it is, with what can be done.
const OTHERS: [(usize, &[u8], &str, &str); 18] = [
    (0, b"QFI\xfb", "a qcow2 image", CONVERT),
    (0, b"KDMV", "a VMDK image", CONVERT),
    (0, b"# Disk DescriptorFile", "a VMDK image", CONVERT),
    (0, b"vhdxfile", "a VHDX image", CONVERT),
    (0, b"conectix", "a VHD image", CONVERT),
    (0x40, b"\x7f\x10\xda\xbe", "a VDI image", CONVERT),
    (
        0,
        b"LUKS\xba\xbe",
        "encrypted by LUKS",
        "open it with cryptsetup, and name the device",
    ),
    (
        0x218,
        b"LVM2 001",
        "a part of an LVM volume group",
        "name a logical volume",
    ),
    (0x8001, b"CD001", "an ISO 9660 image", COPY),
    (0x52, b"FAT32", "a FAT file system", COPY),
    (0x36, b"FAT", "a FAT file system", COPY),
    (0xff6, b"SWAPSPACE2", "swap space", COPY),
    (0, b"\xfd7zXZ\0", "compressed by xz", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", UNPACK),
    (0, b"\x1f\x8b", "compressed by gzip", UNPACK),
    (0, b"BZh", "compressed by bzip2", UNPACK),
    (
        0x101,
        b"ustar",
        "a tar archive",
        "unpack it: nsrun import FILE NAME",
    ),
    (0, b"\x7fELF", "a program", COPY),
];

const CONVERT: &str = "convert it: qemu-img convert -O raw FILE NAME.raw";
const COPY: &str = "a machine's root is squashfs, erofs, ext4, xfs or btrfs";
const UNPACK: &str = "unpack it into an image: nsrun import-raw FILE NAME";

/// Says what is there instead of a disk image or a file system.
pub(crate) fn refusal(head: &[u8]) -> Error {
    let found = OTHERS
        .into_iter()
        .find(|(at, bytes, ..)| has(head, *at, bytes));
    match found {
        Some((.., what, hint)) => Error::new(Kind::BadInput, format!("it is {what}")).hint(hint),
        None if head.is_empty() => Error::new(Kind::BadInput, "it is empty"),
        None => {
            let what = "it holds neither a file system that a machine can start from nor a \
                        partition table";
            Error::new(Kind::BadInput, what).hint(COPY)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[at..at + bytes.len()].copy_from_slice(bytes);
        head
    }

    #[test]
    fn file_systems_are_known_by_their_signatures() {
        for kind in FileSystem::ALL {
            let (at, signature) = kind.signature();
            let head = image(at, signature);
            assert_eq!(FileSystem::of(&head), Some(kind));
            assert_eq!(FileSystem::of(&head[..at + signature.len() - 1]), None);
        }
        assert_eq!(FileSystem::of(&[]), None);
    }

    #[test]
    fn what_else_it_may_be_is_named() {
        for (at, bytes, what, hint) in OTHERS {
            let error = refusal(&image(at, bytes));
            assert_eq!(error.kind(), Kind::BadInput);
            assert_eq!(error.to_string(), format!("it is {what}"));
            assert_eq!(error.advice(), Some(hint));
        }
        assert!(refusal(&[0; HEAD]).to_string().contains("neither"));
        assert_eq!(refusal(&[]).to_string(), "it is empty");
    }
}
