//! The bytes of a file, as many as its header has promised.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Bytes of a block of tar.
const BLOCK: usize = 512;

/// Where the data of a file is; the rest of it is holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// Offsets and lengths in ascending order.
    pub(super) runs: Vec<(u64, u64)>,
    /// The size of the file.
    pub(super) size: u64,
}

impl Map {
    /// That of an open file of this size.
    pub(super) fn of(file: &File, size: u64) -> rustix::io::Result<Self> {
        let mut runs = Vec::new();
        let mut at = 0;
        while at < size {
            let start = match seek(file, SeekFrom::Data(at)) {
                Ok(start) => start,
                Err(Errno::NXIO) => break,
                Err(error) => return Err(error),
            };
            if start >= size {
                break;
            }
            let end = seek(file, SeekFrom::Hole(start))?.min(size);
            runs.push((start, end - start));
            at = end;
        }
        Ok(Self { runs, size })
    }

    /// Whether there is a hole.
    pub(super) fn has_holes(&self) -> bool {
        self.data() < self.size
    }

    /// Bytes of data.
    pub(super) fn data(&self) -> u64 {
        self.runs.iter().map(|(_, length)| length).sum()
    }

    /// The map as it precedes the data in version 1.0 of GNU's pax format: decimal numbers
    /// in lines, filled up to whole blocks. A file that ends with a hole has an empty run at
    /// its end.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut runs = self.runs.clone();
        let ends_with_data = runs.last().is_some_and(|(at, len)| at + len == self.size);
        if !ends_with_data {
            runs.push((self.size, 0));
        }
        let lines: String = runs
            .iter()
            .map(|(at, len)| format!("{at}\n{len}\n"))
            .collect();
        let mut text = format!("{}\n{lines}", runs.len()).into_bytes();
        text.resize(text.len().next_multiple_of(BLOCK), 0);
        text
    }
}

/// Reads the runs of a file one after another. A file that was cut meanwhile goes on in
/// zeros: what was promised is kept.
#[derive(Debug)]
pub(super) struct Runs<'a> {
    file: &'a File,
    runs: std::vec::IntoIter<(u64, u64)>,
    now: (u64, u64),
    /// Bytes were missing.
    pub(super) was_cut: bool,
}

impl<'a> Runs<'a> {
    pub(super) fn new(file: &'a File, map: &Map) -> Self {
        Self {
            file,
            runs: map.runs.clone().into_iter(),
            now: (0, 0),
            was_cut: false,
        }
    }
}

impl Read for Runs<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.1 == 0 {
            match self.runs.next() {
                Some(run) => self.now = run,
                None => return Ok(0),
            }
        }
        let (at, left) = self.now;
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let got = match self.file.read_at(&mut buffer[..wanted], at)? {
            0 => {
                self.was_cut = true;
                buffer[..wanted].fill(0);
                wanted
            }
            got => got,
        };
        self.now = (at + got as u64, left - got as u64);
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_found_and_data_is_read() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"begin", 0).unwrap();
        file.write_all_at(b"end", 1 << 20).unwrap();
        let size = (1 << 20) + 3;
        let map = Map::of(&file, size).unwrap();
        assert_eq!(map.runs.last(), Some(&(1 << 20, 3)));
        assert!(map.has_holes());
        let mut bytes = Vec::new();
        Runs::new(&file, &map).read_to_end(&mut bytes).unwrap();
        assert!(bytes.starts_with(b"begin") && bytes.ends_with(b"end"));
        assert_eq!(bytes.len() as u64, map.data());
    }

    #[test]
    fn a_file_that_shrinks_keeps_its_promise() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"abc", 0).unwrap();
        let map = Map {
            runs: vec![(0, 10)],
            size: 10,
        };
        let mut runs = Runs::new(&file, &map);
        let mut bytes = Vec::new();
        runs.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"abc\0\0\0\0\0\0\0");
        assert!(runs.was_cut);
    }

    #[test]
    fn a_map_is_whole_blocks_and_ends_where_the_file_does() {
        let map = Map {
            runs: vec![(0, 5)],
            size: 4096,
        };
        let text = map.text();
        assert!(text.starts_with(b"2\n0\n5\n4096\n0\n\0"));
        assert_eq!(text.len(), 512);
    }
}
