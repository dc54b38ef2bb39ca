//! One 512-byte header block.

use super::entry::EntryKind;
use super::number;
use super::{BLOCK, damaged};
use crate::error::Result;

/// What a header block introduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A member of the archive.
    Member(EntryKind),
    /// A regular file in the sparse format of old GNU tar.
    GnuSparse,
    /// The next member's name, too long for the header.
    GnuLongName,
    /// The next member's link target, too long for the header.
    GnuLongLink,
    /// Records about the next member.
    Pax,
    /// Records about all members that follow.
    PaxGlobal,
}

/// A header whose checksum is right.
#[derive(Debug)]
pub(super) struct Header<'a> {
    block: &'a [u8; BLOCK],
}

/// Which of the three header layouts a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    V7,
    Ustar,
    Gnu,
}

/// Whether a block is a tar header, by its checksum.
pub(in crate::image) fn looks_like_header(block: &[u8; BLOCK]) -> bool {
    Header::new(block).is_ok()
}

impl<'a> Header<'a> {
    /// Checks the checksum.
    pub(super) fn new(block: &'a [u8; BLOCK]) -> Result<Self> {
        let stored = number::parse(&block[148..156]);
        let (unsigned, signed) = checksums(block);
        if stored == Some(unsigned) || stored == Some(signed) {
            Ok(Self { block })
        } else {
            Err(damaged("the header's checksum is wrong"))
        }
    }

    /// Whether the block is of a directory in the way of formats without a kind for them:
    /// as a file whose name ends in a slash.
    pub(super) fn is_old_directory(&self) -> bool {
        self.block[156] == 0 && text(&self.block[..100]).ends_with(b"/")
    }

    /// Whether the block is of a format that knows extended headers. Readers differ in
    /// what they make of one that is not.
    pub(super) fn is_extensible(&self) -> bool {
        self.layout() != Layout::V7
    }

    fn layout(&self) -> Layout {
        match &self.block[257..263] {
            b"ustar\0" => Layout::Ustar,
            b"ustar " => Layout::Gnu,
            _ => Layout::V7,
        }
    }

    /// What the block introduces. Kinds whose meaning differs between readers are refused.
    pub(super) fn kind(&self) -> Result<Type> {
        let member = |kind| Ok(Type::Member(kind));
        match self.block[156] {
            0 | b'0' | b'7' => member(EntryKind::File),
            b'1' => member(EntryKind::HardLink),
            b'2' => member(EntryKind::Symlink),
            b'3' | b'4' => member(EntryKind::Device),
            b'5' => member(EntryKind::Directory),
            b'6' => member(EntryKind::Fifo),
            b'L' => Ok(Type::GnuLongName),
            b'K' => Ok(Type::GnuLongLink),
            b'S' if self.layout() == Layout::Gnu => Ok(Type::GnuSparse),
            b'x' => Ok(Type::Pax),
            b'g' => Ok(Type::PaxGlobal),
            b'D' => Err(damaged("incremental archives are not supported")),
            b'M' => Err(damaged("multi-volume archives are not supported")),
            b'V' => Err(damaged("archives with a volume label are not supported")),
            other => Err(damaged(format!(
                "the type '{}' is unknown",
                other.escape_ascii()
            ))),
        }
    }

    /// The name, with the prefix that ustar splits off.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        let prefix = text(&self.block[345..500]);
        if self.layout() != Layout::Ustar || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    /// The target of a symbolic or hard link.
    pub(super) fn link(&self) -> &'a [u8] {
        text(&self.block[157..257])
    }

    /// Permission bits, setuid, setgid and sticky; no file type.
    pub(super) fn mode(&self) -> Result<u32> {
        let mode = self.number(100..108, "mode")? & 0o7777;
        Ok(u32::try_from(mode).unwrap_or(0))
    }

    /// Owner.
    pub(super) fn uid(&self) -> Result<i128> {
        self.number(108..116, "owner")
    }

    /// Group.
    pub(super) fn gid(&self) -> Result<i128> {
        self.number(116..124, "group")
    }

    /// Bytes that follow the header.
    pub(super) fn size(&self) -> Result<u64> {
        self.unsigned(124..136, "size")
    }

    /// Seconds since the epoch.
    pub(super) fn mtime(&self) -> Result<i128> {
        self.number(136..148, "time")
    }

    /// The full size of a file in old GNU tar's sparse format.
    pub(super) fn sparse_size(&self) -> Result<u64> {
        self.unsigned(483..495, "sparse size")
    }

    /// The four map slots of a sparse file, and whether a block with more follows.
    pub(super) fn sparse_slots(&self) -> (&'a [u8], bool) {
        (&self.block[386..482], self.block[482] != 0)
    }

    fn unsigned(&self, range: std::ops::Range<usize>, what: &str) -> Result<u64> {
        let value = self.number(range, what)?;
        u64::try_from(value).map_err(|_| damaged(format!("its {what} is {value}")))
    }

    fn number(&self, range: std::ops::Range<usize>, what: &str) -> Result<i128> {
        let field = &self.block[range];
        number::parse(field).ok_or_else(|| {
            let shown = field.escape_ascii();
            damaged(format!("its {what} is not a number: '{shown}'"))
        })
    }
}

/// A text field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    &field[..end]
}

/// The sum of all bytes with the checksum field blank: of unsigned bytes, as POSIX has
/// it, and of signed ones, as some old writers computed it.
fn checksums(block: &[u8; BLOCK]) -> (i128, i128) {
    let blank = 8 * i32::from(b' ');
    let mut sums = (blank, blank);
    for &byte in block[..148].iter().chain(&block[156..]) {
        sums.0 += i32::from(byte);
        sums.1 += i32::from(byte.cast_signed());
    }
    (sums.0.into(), sums.1.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(fill: impl Fn(&mut [u8; BLOCK])) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[257..265].copy_from_slice(b"ustar\x0000");
        fill(&mut block);
        let sum = format!("{:06o}\0 ", checksums(&block).0);
        block[148..156].copy_from_slice(sum.as_bytes());
        block
    }

    #[test]
    fn joins_prefix_and_name_in_ustar_only() {
        let fill = |magic: &'static [u8]| {
            move |b: &mut [u8; BLOCK]| {
                b[..4].copy_from_slice(b"name");
                b[345..351].copy_from_slice(b"prefix");
                b[257..265].copy_from_slice(magic);
            }
        };
        let ustar = block(fill(b"ustar\x0000"));
        assert_eq!(Header::new(&ustar).unwrap().name(), b"prefix/name");
        let gnu = block(fill(b"ustar  \0"));
        assert_eq!(Header::new(&gnu).unwrap().name(), b"name");
    }

    #[test]
    fn accepts_checksums_of_signed_bytes() {
        let mut old = block(|b| b[0] = 0xe9);
        let sum = format!("{:06o}\0 ", checksums(&old).1);
        old[148..156].copy_from_slice(sum.as_bytes());
        assert!(Header::new(&old).is_ok());
    }

    #[test]
    fn refuses_kinds_that_are_unknown_or_not_about_one_file() {
        for kind in *b"ZDMVN" {
            let header = block(|b| b[156] = kind);
            assert!(Header::new(&header).unwrap().kind().is_err());
        }
    }

    #[test]
    fn refuses_negative_sizes() {
        let header = block(|b| b[124..136].fill(0xff));
        let error = Header::new(&header).unwrap().size().unwrap_err();
        assert_eq!(error.to_string(), "its size is -1");
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_noticed(at in 0_usize..BLOCK, to: u8) {
            let good = block(|b| b[..4].copy_from_slice(b"name"));
            let mut bad = good;
            bad[at] = to;
            let same_number = number::parse(&bad[148..156]) == number::parse(&good[148..156]);
            let unchanged = bad == good || ((148..156).contains(&at) && same_number);
            prop_assert_eq!(Header::new(&bad).is_ok(), unchanged);
        }

        #[test]
        fn no_block_panics(bytes in proptest::collection::vec(any::<u8>(), BLOCK)) {
            let mut block: [u8; BLOCK] = bytes.try_into().unwrap();
            let sum = format!("{:06o}\0 ", checksums(&block).0);
            block[148..156].copy_from_slice(sum.as_bytes());
            let header = Header::new(&block).unwrap();
            let _ = (header.kind(), header.name(), header.link(), header.mode(), header.uid());
            let _ = (header.gid(), header.size(), header.mtime(), header.sparse_size());
        }
    }
}
