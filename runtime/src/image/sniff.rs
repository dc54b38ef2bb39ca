//! What a file is, by its first bytes.

use std::fmt;

use super::tar::{BLOCK, looks_like_header};
use crate::error::{Error, Kind};

/// Bytes that [`sniff`] wants to see, if the file has so many.
pub(super) const HEAD: usize = 2 * BLOCK;

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not compressed.
    None,
    /// `.xz`.
    Xz,
    /// Zstandard.
    Zstd,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
}

impl Compression {
    /// What each member, frame or stream of the format begins with.
    pub(super) fn magic(self) -> &'static [u8] {
        match self {
            Self::None => b"",
            Self::Xz => b"\xfd7zXZ\0",
            Self::Zstd => b"\x28\xb5\x2f\xfd",
            Self::Gzip => b"\x1f\x8b",
            Self::Bzip2 => b"BZh",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "plain",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
        })
    }
}

/// Magic numbers of what is handed in by mistake: offset, bytes, what it is.
const OTHERS: [(usize, &[u8], &str); 19] = [
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a Windows program"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file"),
    (0, b"LZIP", "an lzip file"),
    (0, b"\x5d\0\0", "an lzma file"),
    (0, b"hsqs", "a squashfs image"),
    (0, b"QFI\xfb", "a qcow2 disk image"),
    (0, b"KDMV", "a VMware disk image"),
    (0, b"!<arch>\n", "an ar archive or Debian package"),
    (0, b"070701", "a cpio archive"),
    (0, b"\xed\xab\xee\xdb", "an RPM package"),
    (0, b"nix-archive-1", "a Nix archive"),
    (8, b"nix-archive-1", "a Nix archive"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<!doctype", "a web page"),
    (0, b"<html", "a web page"),
    (512, b"EFI PART", "a raw disk image"),
];

/// Tells the compression by the first [`HEAD`] bytes.
///
/// # Errors
/// Of kind [`Kind::BadInput`], if the bytes begin neither a tar archive nor a known
/// compressed format; the text says what they begin, if that is known.
pub(super) fn sniff(head: &[u8]) -> Result<Compression, Error> {
    match compression(head) {
        Compression::None => {}
        format => return Ok(format),
    }
    let block = head.first_chunk::<BLOCK>();
    if block.is_some_and(|b| looks_like_header(b) || b.iter().all(|&b| b == 0)) {
        return Ok(Compression::None);
    }
    let why = match OTHERS.iter().find(|(at, magic, _)| has(head, *at, magic)) {
        Some((_, _, name)) => format!("it is {name}"),
        None if head.is_empty() => "it is empty".to_owned(),
        None if head.len() < BLOCK => format!("it has {} bytes only", head.len()),
        None if has(head, 510, b"\x55\xaa") => "it is a raw disk image".to_owned(),
        None => "its first bytes are unknown".to_owned(),
    };
    Err(Error::new(
        Kind::BadInput,
        format!("not a tar archive: {why}"),
    ))
}

/// How a file is compressed that begins so.
pub(super) fn compression(head: &[u8]) -> Compression {
    let compressed = [
        Compression::Xz,
        Compression::Zstd,
        Compression::Gzip,
        Compression::Bzip2,
    ];
    match compressed.into_iter().find(|f| head.starts_with(f.magic())) {
        Some(format) => format,
        None if is_skippable_frame(head) => Compression::Zstd,
        None => Compression::None,
    }
}

fn has(head: &[u8], at: usize, magic: &[u8]) -> bool {
    head.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

/// Zstandard's frames for other data, which may stand before the first one.
pub(super) fn is_skippable_frame(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_compressed_formats_by_their_magic() {
        assert_eq!(sniff(b"\xfd7zXZ\0\0\x04").unwrap(), Compression::Xz);
        assert_eq!(sniff(b"\x28\xb5\x2f\xfd").unwrap(), Compression::Zstd);
        assert_eq!(sniff(b"\x5a\x2a\x4d\x18").unwrap(), Compression::Zstd);
        assert_eq!(sniff(b"\x1f\x8b\x08").unwrap(), Compression::Gzip);
        assert_eq!(sniff(b"BZh91AY").unwrap(), Compression::Bzip2);
    }

    #[test]
    fn an_empty_archive_is_an_archive() {
        assert_eq!(sniff(&[0; 1024]).unwrap(), Compression::None);
    }

    #[test]
    fn says_what_it_saw_instead() {
        let mut disk = vec![1; 1024];
        disk[512..520].copy_from_slice(b"EFI PART");
        for (head, seen) in [
            (&b""[..], "it is empty"),
            (&[1; 511], "it has 511 bytes only"),
            (&[1; 1024], "its first bytes are unknown"),
            (b"\x7fELF\x02", "it is a program"),
            (b"<!DOCTYPE html>", "it is a web page"),
            (&disk, "it is a raw disk image"),
        ] {
            let error = sniff(head).unwrap_err();
            assert_eq!(error.kind(), Kind::BadInput);
            assert_eq!(error.to_string(), format!("not a tar archive: {seen}"));
        }
    }
}
