//! The archive's file: read once, front to back, hashed and counted on the way.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// How many bytes of the archive were read so far; shared with whoever shows progress.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<AtomicU64>);

impl Meter {
    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The file, each byte that is read hashed and counted.
#[derive(Debug)]
struct Tap {
    file: File,
    hash: Sha256,
    meter: Meter,
    failure: Option<io::Error>,
}

impl Read for Tap {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.file.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.failure = Some(error);
                    return Err(kind.into());
                }
                Ok(count) => break count,
            }
        };
        self.hash.update(&into[..count]);
        self.meter.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The archive's bytes as they are on disk.
#[derive(Debug)]
pub(super) struct Source {
    tap: Tap,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
}

impl Source {
    pub(super) fn new(file: File, meter: Meter) -> Self {
        Self {
            tap: Tap {
                file,
                hash: Sha256::new(),
                meter,
                failure: None,
            },
            buffer: vec![0; BUFFER],
            at: 0,
            filled: 0,
        }
    }

    /// The bytes that were read and not consumed, refilled if they are fewer than `count`
    /// and the file has more.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.filled - self.at < count {
            self.buffer.copy_within(self.at..self.filled, 0);
            self.filled -= self.at;
            self.at = 0;
            while self.filled < count && self.read_more()? > 0 {}
        }
        Ok(&self.buffer[self.at..self.filled])
    }

    /// Reads the rest; says how many bytes were not consumed before.
    pub(super) fn drain(&mut self) -> io::Result<u64> {
        let mut drained = 0;
        loop {
            let length = self.fill_buf()?.len();
            if length == 0 {
                return Ok(drained);
            }
            drained += length as u64;
            self.consume(length);
        }
    }

    /// The hash of all bytes, once they are all read.
    pub(super) fn sha256(self) -> [u8; 32] {
        self.tap.hash.finalize().into()
    }

    /// Why the file could not be read, if that is what a decoder failed of.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.tap.failure.take()
    }

    /// Bytes of the file that were consumed.
    pub(super) fn offset(&self) -> u64 {
        self.tap.meter.read() - (self.filled - self.at) as u64
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.tap.meter
    }

    /// Appends to the buffer; 0 at the end of the file.
    fn read_more(&mut self) -> io::Result<usize> {
        let count = self.tap.read(&mut self.buffer[self.filled..])?;
        self.filled += count;
        Ok(count)
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.filled {
            return self.tap.read(into);
        }
        let mut bytes = &self.buffer[self.at..self.filled];
        let count = bytes.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.filled {
            self.at = 0;
            self.filled = 0;
            self.read_more()?;
        }
        Ok(&self.buffer[self.at..self.filled])
    }

    fn consume(&mut self, count: usize) {
        self.at = self.filled.min(self.at + count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn source(bytes: &[u8]) -> Source {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Source::new(file, Meter::default())
    }

    #[test]
    fn peeking_neither_loses_nor_repeats_bytes() {
        let bytes: Vec<u8> = (0..=252).cycle().take(3 * BUFFER).collect();
        let mut source = source(&bytes);
        assert!(source.peek(1024).unwrap().starts_with(&bytes[..1024]));
        let mut all = Vec::new();
        loop {
            let peeked = source.peek(7).unwrap().first_chunk::<5>().copied();
            let buffer = source.fill_buf().unwrap();
            let Some(&first) = buffer.first() else { break };
            assert!(peeked.is_none_or(|p| p[0] == first));
            let count = buffer.len().min(99_991);
            all.extend_from_slice(&buffer[..count]);
            source.consume(count);
            assert_eq!(source.offset(), all.len() as u64);
        }
        assert!(all == bytes);
        let expected: [u8; 32] = Sha256::digest(&bytes).into();
        assert_eq!(source.sha256(), expected);
    }

    #[test]
    fn draining_counts_what_was_left() {
        let mut source = source(&[1; 100]);
        source.fill_buf().unwrap();
        source.consume(30);
        assert_eq!(source.drain().unwrap(), 70);
    }
}
