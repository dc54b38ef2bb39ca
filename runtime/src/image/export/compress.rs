//! Compressing what is written: with all cores where the format lets it, and to the same
//! bytes with any number of them.

use std::io::{self, BufWriter, Write};

use flate2::write::GzEncoder;
use liblzma::stream::{Check, MtStreamBuilder};
use liblzma::write::XzEncoder;
use sha2::{Digest, Sha256};

use super::Sink;
use crate::error::{Context, Result};
use crate::image::sniff::Compression;
use crate::image::worker::threads;

/// Level of xz and bytes of a block, three times that level's window. Each block is one
/// thread's, so that the block decides on the bytes and not the number of threads.
const XZ_PRESET: u32 = 6;
const XZ_BLOCK: u64 = 24 << 20;

/// Most memory of the xz encoder; on hosts of many cores it gets fewer threads.
const XZ_MEMORY: u64 = 2 << 30;

/// The levels of the command line tools.
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 6;
const BZIP2_LEVEL: u32 = 9;

/// Bytes that are written to a file at once.
const BUFFER: usize = 256 << 10;

/// What came out.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
}

/// Counts and hashes what passes.
struct Tap {
    to: BufWriter<Sink>,
    bytes: u64,
    hash: Sha256,
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A compressor and what is behind it.
pub(super) struct Encoder(Format);

enum Format {
    None(Tap),
    Xz(XzEncoder<Tap>),
    Zstd(zstd::Encoder<'static, Tap>),
    Gzip(GzEncoder<Tap>),
    Bzip2(bzip2::write::BzEncoder<Tap>),
}

impl Encoder {
    pub(super) fn new(compression: Compression, to: Sink) -> Result<Self> {
        let tap = Tap {
            to: BufWriter::with_capacity(BUFFER, to),
            bytes: 0,
            hash: Sha256::new(),
        };
        let format = match compression {
            Compression::None => Format::None(tap),
            Compression::Xz => xz(tap).cannot(|| "start the compressor")?,
            Compression::Zstd => zstd(tap).cannot(|| "start the compressor")?,
            Compression::Gzip => {
                Format::Gzip(GzEncoder::new(tap, flate2::Compression::new(GZIP_LEVEL)))
            }
            Compression::Bzip2 => {
                let level = bzip2::Compression::new(BZIP2_LEVEL);
                Format::Bzip2(bzip2::write::BzEncoder::new(tap, level))
            }
        };
        Ok(Self(format))
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> io::Result<Written> {
        let mut tap = match self.0 {
            Format::None(tap) => tap,
            Format::Xz(encoder) => encoder.finish()?,
            Format::Zstd(encoder) => encoder.finish()?,
            Format::Gzip(encoder) => encoder.finish()?,
            Format::Bzip2(encoder) => encoder.finish()?,
        };
        tap.flush()?;
        Ok(Written {
            bytes: tap.bytes,
            sha256: tap.hash.finalize().into(),
        })
    }

    fn as_write(&mut self) -> &mut dyn Write {
        match &mut self.0 {
            Format::None(tap) => tap,
            Format::Xz(encoder) => encoder,
            Format::Zstd(encoder) => encoder,
            Format::Gzip(encoder) => encoder,
            Format::Bzip2(encoder) => encoder,
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.as_write().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_write().flush()
    }
}

fn xz(tap: Tap) -> io::Result<Format> {
    let mut builder = MtStreamBuilder::new();
    builder
        .preset(XZ_PRESET)
        .block_size(XZ_BLOCK)
        .check(Check::Crc64);
    let fitting = (1..=threads()).rev();
    let fitting = fitting.take_while(|&count| count > 1);
    let count = fitting
        .into_iter()
        .find(|&count| builder.threads(count).memusage() <= XZ_MEMORY);
    let stream = builder.threads(count.unwrap_or(1)).encoder()?;
    Ok(Format::Xz(XzEncoder::new_stream(tap, stream)))
}

fn zstd(tap: Tap) -> io::Result<Format> {
    let mut encoder = zstd::Encoder::new(tap, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.multithread(threads())?;
    Ok(Format::Zstd(encoder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_format_begins_as_it_must_and_is_counted() {
        for compression in [
            Compression::None,
            Compression::Xz,
            Compression::Zstd,
            Compression::Gzip,
            Compression::Bzip2,
        ] {
            let shared = Shared::default();
            let mut encoder = Encoder::new(compression, Box::new(shared.clone())).unwrap();
            encoder.write_all(&[7; 100_000]).unwrap();
            let written = encoder.finish().unwrap();
            let bytes = shared.0.lock().unwrap();
            assert!(bytes.starts_with(compression.magic()), "{compression}");
            assert_eq!(written.bytes, bytes.len() as u64);
            let sum: [u8; 32] = Sha256::digest(&*bytes).into();
            assert_eq!(written.sha256, sum);
        }
    }
}
