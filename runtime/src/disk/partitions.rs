//! Partition tables: which partition holds a machine's root. Pure but for the reading, which the
//! caller does. A table is hostile: every number in it is checked against the image's size.

use std::io;

use flate2::Crc;

use super::format::has;
use crate::error::{Context, Error, Kind, Result};

/// Most bytes of a table of partitions; 16 KiB is usual.
const LONGEST: u64 = 1 << 20;

/// Where a file system lies in an image, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: u64,
    /// How many other partitions there are.
    pub(super) others: usize,
}

/// Reads so many bytes of an image from an offset; fewer at its end.
pub(super) type Read<'a> = &'a dyn Fn(u64, usize) -> io::Result<Vec<u8>>;

/// Type of a root partition for this machine's processor, from the Discoverable Partitions
/// Specification.
const ROOT: Option<[u8; 16]> = if cfg!(target_arch = "x86_64") {
    Some(guid(0x4f68_bce3_e8cd_4db1_96e7_fbca_f984_b709))
} else if cfg!(target_arch = "aarch64") {
    Some(guid(0xb921_b045_1df0_41c3_af44_4c6f_280d_3fae))
} else if cfg!(target_arch = "riscv64") {
    Some(guid(0x72ec_70a6_cf74_40e6_bd49_4bda_08e8_f224))
} else {
    None
};

/// Type of a partition that holds some file system of Linux.
const LINUX: [u8; 16] = guid(0x0fc6_3daf_8483_4772_8e79_3d69_d847_7de4);

/// The same in a table of the older form.
const MBR_LINUX: u8 = 0x83;

/// What protects a GPT from programs that know the older form only.
const MBR_PROTECTIVE: u8 = 0xee;

/// A GUID as it is on a disk: its first three numbers with their lowest byte first.
const fn guid(number: u128) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = number.to_be_bytes();
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

/// The root partition of an image of `size` bytes; `None` if it has no partition table.
///
/// # Errors
/// [`Kind::BadInput`] if the table is damaged, or does not say which partition it is.
pub(super) fn root_of(read: Read<'_>, size: u64) -> Result<Option<Part>> {
    let what = || "read the partition table";
    for sector in [512, 4096] {
        let header = read(sector, 512).cannot(what)?;
        if has(&header, 0, b"EFI PART") {
            let entries = entries(&header, read, sector)?;
            return gpt(&entries, sector, size).map(Some);
        }
    }
    let first = read(0, 512).cannot(what)?;
    if !has(&first, 510, b"\x55\xaa") {
        return Ok(None);
    }
    mbr(&first, size)
}

/// Whether an image that begins so has a partition table.
pub(super) fn has_table(head: &[u8]) -> bool {
    let gpt = [512, 4096].iter().any(|at| has(head, *at, b"EFI PART"));
    // Its partitions are what tells an MBR from the first sector of a FAT file system.
    let linux = head
        .get(446..510)
        .unwrap_or_default()
        .chunks_exact(16)
        .any(|entry| entry.get(4) == Some(&MBR_LINUX));
    gpt || (linux && has(head, 510, b"\x55\xaa"))
}

/// A partition that a table lists.
#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    kind: T,
    first: u64,
    count: u64,
}

fn damaged(what: &str) -> Error {
    Error::new(
        Kind::BadInput,
        format!("its partition table is damaged: {what}"),
    )
}

/// The partitions that a GPT lists.
fn entries(header: &[u8], read: Read<'_>, sector: u64) -> Result<Vec<Entry<[u8; 16]>>> {
    let short = || damaged("it is cut off");
    let length = number::<4>(header, 12).ok_or_else(short)?;
    let covered = usize::try_from(length).ok().and_then(|l| header.get(..l));
    let Some(covered) = covered.filter(|covered| covered.len() >= 92) else {
        return Err(damaged("its header has no valid length"));
    };
    let mut summed = covered.to_vec();
    summed.iter_mut().skip(16).take(4).for_each(|b| *b = 0);
    if Some(sum(&summed)) != number::<4>(header, 16) {
        return Err(damaged("the checksum of its header is wrong"));
    }
    let at = number::<8>(header, 72).and_then(|lba| lba.checked_mul(sector));
    let count = number::<4>(header, 80).ok_or_else(short)?;
    let width = number::<4>(header, 84).ok_or_else(short)?;
    let length = count.saturating_mul(width);
    let (Some(at), true) = (at, (128..=4096).contains(&width) && length <= LONGEST) else {
        return Err(damaged("its list of partitions has no valid size"));
    };
    let length = usize::try_from(length).unwrap_or_default();
    let list = read(at, length).cannot(|| "read the list of partitions")?;
    if list.len() < length {
        return Err(short());
    }
    if Some(sum(&list)) != number::<4>(header, 88) {
        return Err(damaged("the checksum of its list of partitions is wrong"));
    }
    let entries = list.chunks_exact(usize::try_from(width).unwrap_or(128));
    let entries = entries.filter_map(|entry| {
        let kind = *entry.first_chunk::<16>().filter(|kind| **kind != [0; 16])?;
        let (first, last) = (number::<8>(entry, 32)?, number::<8>(entry, 40)?);
        let count = last.checked_sub(first).and_then(|n| n.checked_add(1));
        // One that ends before it begins fits into no image.
        let count = count.unwrap_or(u64::MAX);
        Some(Entry { kind, first, count })
    });
    Ok(entries.collect())
}

fn gpt(entries: &[Entry<[u8; 16]>], sector: u64, size: u64) -> Result<Part> {
    let roots = entries.iter().filter(|entry| Some(entry.kind) == ROOT);
    let linux = entries.iter().filter(|entry| entry.kind == LINUX);
    let all: Vec<_> = match roots.clone().next() {
        Some(_) => roots.collect(),
        None => linux.collect(),
    };
    pick(&all, entries.len(), sector, size)
}

fn mbr(first: &[u8], size: u64) -> Result<Option<Part>> {
    let list = first.get(446..510).unwrap_or_default();
    let entries: Vec<_> = list
        .chunks_exact(16)
        .filter_map(|entry| {
            Some(Entry {
                kind: *entry.get(4).filter(|kind| **kind != 0)?,
                first: number::<4>(entry, 8)?,
                count: number::<4>(entry, 12)?,
            })
        })
        .collect();
    if entries.iter().any(|entry| entry.kind == MBR_PROTECTIVE) {
        return Err(damaged("it is said to be a GPT, which is not there"));
    }
    if entries.is_empty() {
        return Ok(None);
    }
    let linux: Vec<_> = entries.iter().filter(|e| e.kind == MBR_LINUX).collect();
    pick(&linux, entries.len(), 512, size).map(Some)
}

/// The only one of the candidates.
fn pick<T>(candidates: &[&Entry<T>], all: usize, sector: u64, size: u64) -> Result<Part> {
    let hint = "attach it by losetup --partscan, and name the device of the partition";
    let entry = match candidates {
        [only] => only,
        [] => {
            let what = format!("none of its {all} partitions is a root partition for this machine");
            return Err(Error::new(Kind::BadInput, what).hint(hint));
        }
        several => {
            let what = format!("{} of its partitions may be the root", several.len());
            return Err(Error::new(Kind::BadInput, what).hint(hint));
        }
    };
    let offset = entry.first.checked_mul(sector);
    let length = entry.count.checked_mul(sector);
    match (offset, length) {
        (Some(offset @ 1..), Some(length @ 1..))
            if offset.checked_add(length).is_some_and(|end| end <= size) =>
        {
            Ok(Part {
                offset,
                length,
                others: all - 1,
            })
        }
        _ => Err(damaged("the root partition lies outside of the image")),
    }
}

fn sum(bytes: &[u8]) -> u64 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum().into()
}

/// A number of `N` bytes, the lowest first.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let found = bytes.get(at..)?.first_chunk::<N>()?;
    let add = |value, byte: &u8| value << 8 | u64::from(*byte);
    Some(found.iter().rev().fold(0, add))
}

#[cfg(test)]
mod tests;
