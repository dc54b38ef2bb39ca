//! Maps of sparse files: old GNU headers and the three pax formats.

use super::blocks::{BLOCK, Blocks, Feed};
use super::header::Header;
use super::pax::SparseRecords;
use super::{damaged, number};
use crate::error::Result;

/// Most segments of one file: their map takes 16 MiB of memory.
const MAX_SEGMENTS: usize = 1 << 20;

/// A run of stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) struct Segment {
    /// Where it begins in the file.
    pub(in crate::image) offset: u64,
    /// Its length in bytes, not 0.
    pub(in crate::image) length: u64,
}

/// Where the stored bytes of a sparse file belong; the rest of the file is holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::image) struct SparseMap {
    /// In ascending order, none overlapping, all within `size`.
    pub(in crate::image) segments: Vec<Segment>,
    /// The size of the file with its holes, in bytes.
    pub(in crate::image) size: u64,
}

impl SparseMap {
    /// A map from offsets and lengths by turns, for `stored` bytes of data.
    fn new(numbers: &[u64], size: u64, stored: u64) -> Result<Self> {
        if !numbers.len().is_multiple_of(2) {
            return Err(damaged("its sparse map has an odd number of entries"));
        }
        let mut segments = Vec::with_capacity(numbers.len() / 2);
        let (mut end, mut sum) = (0_u64, 0_u64);
        for pair in numbers.chunks_exact(2) {
            let (offset, length) = (pair[0], pair[1]);
            let next = offset.checked_add(length).filter(|&next| next <= size);
            end = match next {
                Some(next) if offset >= end => next,
                _ => return Err(damaged("its sparse map overlaps or leaves the file")),
            };
            sum += length;
            if length > 0 {
                segments.push(Segment { offset, length });
            }
        }
        if sum != stored {
            return Err(damaged("its sparse map does not fit its data"));
        }
        Ok(Self { segments, size })
    }

    /// The map of old GNU tar: in the header and in blocks after it.
    pub(super) fn old_gnu<F: Feed>(
        header: &Header<'_>,
        stored: u64,
        blocks: &mut Blocks<F>,
    ) -> Result<Self> {
        let mut numbers = Vec::new();
        let (slots, mut more) = header.sparse_slots();
        take_slots(slots, &mut numbers)?;
        while more {
            let block = blocks.required_block()?;
            take_slots(&block[..504], &mut numbers)?;
            more = block[504] != 0;
        }
        Self::new(&numbers, header.sparse_size()?, stored)
    }

    /// The map of a pax format, if the records are of one. `stored` is what the header
    /// says follows; what the map itself takes of it is taken off.
    pub(super) fn pax<F: Feed>(
        records: &SparseRecords,
        stored: &mut u64,
        blocks: &mut Blocks<F>,
    ) -> Result<Option<Self>> {
        if *records == SparseRecords::default() {
            return Ok(None);
        }
        let size = records
            .size
            .ok_or_else(|| damaged("a sparse file has no size"))?;
        match (records.major, records.minor) {
            (None | Some(0), _) => {
                let pairs = (records.map.len() / 2) as u64;
                if records.blocks.is_some_and(|count| count != pairs) {
                    return Err(damaged("its sparse map has not the length it says"));
                }
                Self::new(&records.map, size, *stored).map(Some)
            }
            (Some(1), Some(0)) => {
                let numbers = leading_map(stored, blocks)?;
                Self::new(&numbers, size, *stored).map(Some)
            }
            (major, minor) => Err(damaged(format!(
                "the sparse format {}.{} is not supported",
                major.unwrap_or_default(),
                minor.unwrap_or_default()
            ))),
        }
    }
}

/// Slots of old GNU tar: 12 bytes offset, 12 bytes length; an empty one ends the list.
fn take_slots(slots: &[u8], numbers: &mut Vec<u64>) -> Result<()> {
    for slot in slots.chunks_exact(24) {
        if slot.iter().all(|&b| b == 0) {
            break;
        }
        for field in slot.chunks_exact(12) {
            let value = number::parse(field).and_then(|value| u64::try_from(value).ok());
            numbers.push(value.ok_or_else(|| damaged("its sparse map is malformed"))?);
        }
        within_limit(numbers.len() / 2)?;
    }
    Ok(())
}

/// The map that stands before the data in format 1.0: decimal lines, first their number.
fn leading_map<F: Feed>(stored: &mut u64, blocks: &mut Blocks<F>) -> Result<Vec<u64>> {
    let mut lines = Lines {
        stored,
        blocks,
        block: [0; BLOCK],
        at: BLOCK,
    };
    let count = usize::try_from(lines.number()?).unwrap_or(usize::MAX);
    within_limit(count)?;
    (0..count * 2).map(|_| lines.number()).collect()
}

struct Lines<'a, F> {
    stored: &'a mut u64,
    blocks: &'a mut Blocks<F>,
    block: [u8; BLOCK],
    at: usize,
}

impl<F: Feed> Lines<'_, F> {
    fn byte(&mut self) -> Result<u8> {
        if self.at == BLOCK {
            *self.stored = self
                .stored
                .checked_sub(BLOCK as u64)
                .ok_or_else(|| damaged("its sparse map is longer than its data"))?;
            self.block = self.blocks.required_block()?;
            self.at = 0;
        }
        self.at += 1;
        Ok(self.block[self.at - 1])
    }

    fn number(&mut self) -> Result<u64> {
        let mut digits = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                digit if digits.len() < 20 => digits.push(digit),
                _ => return Err(damaged("its sparse map is malformed")),
            }
        }
        number::decimal(&digits).ok_or_else(|| damaged("its sparse map is malformed"))
    }
}

fn within_limit(segments: usize) -> Result<()> {
    if segments > MAX_SEGMENTS {
        return Err(damaged("its sparse map has more than a million segments"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::blocks::tests::pieces;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_ascending_segments_and_drops_empty_ones() {
        let map = SparseMap::new(&[0, 512, 4096, 100, 8192, 0], 8192, 612).unwrap();
        assert_eq!(map.segments.len(), 2);
        assert_eq!(map.size, 8192);
    }

    #[test]
    fn refuses_maps_that_do_not_fit() {
        let cases: [(&[u64], u64, u64); 6] = [
            (&[0, 512, 100, 512], 8192, 1024),
            (&[4096, 1, 0, 1], 8192, 2),
            (&[0, 512], 511, 512),
            (&[0, 512], 8192, 513),
            (&[u64::MAX, 2], u64::MAX, 2),
            (&[0, 1, 2], 8192, 1),
        ];
        for (numbers, size, stored) in cases {
            assert!(
                SparseMap::new(numbers, size, stored).is_err(),
                "{numbers:?}"
            );
        }
    }

    fn records_1_0(size: u64) -> SparseRecords {
        SparseRecords {
            major: Some(1),
            minor: Some(0),
            size: Some(size),
            ..SparseRecords::default()
        }
    }

    #[test]
    fn reads_the_map_before_the_data() {
        let mut bytes = b"2\n0\n3\n100\n2\n".to_vec();
        bytes.resize(512, 0);
        let mut stored = 512 + 5;
        let map = SparseMap::pax(&records_1_0(200), &mut stored, &mut pieces(&bytes, 11));
        let map = map.unwrap().unwrap();
        assert_eq!(stored, 5);
        assert_eq!(
            map.segments[1],
            Segment {
                offset: 100,
                length: 2
            }
        );
    }

    #[test]
    fn a_map_longer_than_the_data_is_refused() {
        let bytes = [b'1'; 2048];
        for mut stored in [0, 511, 512] {
            let map = SparseMap::pax(&records_1_0(9), &mut stored, &mut pieces(&bytes, 512));
            assert!(map.is_err());
        }
    }

    #[test]
    fn an_absurd_count_is_refused_before_memory_is_taken() {
        let mut bytes = b"18446744073709551615\n".to_vec();
        bytes.resize(512, 0);
        let map = SparseMap::pax(&records_1_0(9), &mut 512, &mut pieces(&bytes, 512));
        let error = map.unwrap_err().to_string();
        assert_eq!(error, "its sparse map has more than a million segments");
    }

    proptest! {
        #[test]
        fn accepted_maps_are_sound(numbers in proptest::collection::vec(0_u64..64, 0..12), size in 0_u64..200) {
            let stored = numbers.iter().skip(1).step_by(2).sum();
            if let Ok(map) = SparseMap::new(&numbers, size, stored) {
                let ends = map.segments.iter().map(|s| s.offset + s.length);
                let starts = map.segments.iter().skip(1).map(|s| s.offset);
                prop_assert!(ends.clone().zip(starts).all(|(end, start)| end <= start));
                prop_assert!(ends.max().unwrap_or(0) <= size);
                prop_assert_eq!(map.segments.iter().map(|s| s.length).sum::<u64>(), stored);
            }
        }
    }
}
