//! The unpacked archive as a sequence of bytes, read in blocks and slices.

use super::damaged;
use crate::error::Result;

/// Size of a tar block in bytes.
pub(in crate::image) const BLOCK: usize = 512;

/// Where the bytes come from.
pub(in crate::image) trait Feed {
    /// The next piece, of any length, or `None` after the last. `used` is a piece that
    /// came from here earlier and is no longer needed.
    fn next(&mut self, used: Vec<u8>) -> Result<Option<Vec<u8>>>;
}

/// A cursor over the bytes of a feed.
#[derive(Debug)]
pub(in crate::image) struct Blocks<F> {
    feed: F,
    piece: Vec<u8>,
    at: usize,
    offset: u64,
}

impl<F: Feed> Blocks<F> {
    pub(in crate::image) fn new(feed: F) -> Self {
        Self {
            feed,
            piece: Vec::new(),
            at: 0,
            offset: 0,
        }
    }

    /// Bytes that were read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn feed(&self) -> &F {
        &self.feed
    }

    /// At least one and at most `max` of the next bytes; empty only at the end, or if
    /// `max` is 0.
    pub(super) fn some(&mut self, max: u64) -> Result<&[u8]> {
        while self.at == self.piece.len() && max > 0 {
            let used = std::mem::take(&mut self.piece);
            self.at = 0;
            match self.feed.next(used)? {
                Some(piece) => self.piece = piece,
                None => return Ok(&[]),
            }
        }
        let left = self.piece.len() - self.at;
        let length = usize::try_from(max).map_or(left, |max| max.min(left));
        let from = self.at;
        self.at += length;
        self.offset += length as u64;
        Ok(&self.piece[from..self.at])
    }

    /// Like [`Self::some`], for bytes that must be there.
    pub(super) fn data(&mut self, max: u64) -> Result<&[u8]> {
        let bytes = self.some(max)?;
        if bytes.is_empty() && max > 0 {
            return Err(cut_off());
        }
        Ok(bytes)
    }

    /// The next block; `None` at the end of the bytes.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let bytes = self.some((BLOCK - filled) as u64)?;
            if bytes.is_empty() {
                return if filled == 0 {
                    Ok(None)
                } else {
                    Err(cut_off())
                };
            }
            block[filled..filled + bytes.len()].copy_from_slice(bytes);
            filled += bytes.len();
        }
        Ok(Some(block))
    }

    /// The next block, which must be there.
    pub(super) fn required_block(&mut self) -> Result<[u8; BLOCK]> {
        self.block()?.ok_or_else(cut_off)
    }

    /// Passes over `count` bytes.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            count -= self.data(count)?.len() as u64;
        }
        Ok(())
    }

    /// The next `count` bytes and the padding to the end of their last block.
    pub(super) fn body(&mut self, count: u64) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while (body.len() as u64) < count {
            let left = count - body.len() as u64;
            body.extend_from_slice(self.data(left)?);
        }
        self.skip(padding(count))?;
        Ok(body)
    }
}

/// Bytes from the end of `size` bytes to the end of their last block.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn cut_off() -> crate::Error {
    damaged("the archive is cut off")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A feed of given pieces.
    #[derive(Debug)]
    pub(in crate::image::tar) struct Pieces(std::vec::IntoIter<Vec<u8>>);

    impl Feed for Pieces {
        fn next(&mut self, _used: Vec<u8>) -> Result<Option<Vec<u8>>> {
            Ok(self.0.next())
        }
    }

    /// `bytes` in pieces of `length`.
    pub(in crate::image::tar) fn feed(bytes: &[u8], length: usize) -> Pieces {
        let pieces: Vec<_> = bytes.chunks(length).map(<[u8]>::to_vec).collect();
        Pieces(pieces.into_iter())
    }

    pub(in crate::image::tar) fn pieces(bytes: &[u8], length: usize) -> Blocks<Pieces> {
        Blocks::new(feed(bytes, length))
    }

    #[test]
    fn blocks_are_put_together_from_pieces() {
        let bytes: Vec<u8> = (0..1024_u32).map(|i| (i % 251) as u8).collect();
        for length in [1, 7, 511, 512, 513, 2000] {
            let mut blocks = pieces(&bytes, length);
            assert_eq!(blocks.block().unwrap().unwrap(), bytes[..512]);
            assert_eq!(blocks.block().unwrap().unwrap(), bytes[512..]);
            assert_eq!(blocks.block().unwrap(), None);
            assert_eq!(blocks.offset(), 1024);
        }
    }

    #[test]
    fn a_partial_block_is_an_error() {
        let mut blocks = pieces(&[0; 700], 100);
        assert!(blocks.block().unwrap().is_some());
        assert_eq!(
            blocks.block().unwrap_err().to_string(),
            "the archive is cut off"
        );
    }

    #[test]
    fn bodies_end_at_block_boundaries() {
        let mut blocks = pieces(&[1; 1536], 100);
        assert_eq!(blocks.body(513).unwrap().len(), 513);
        assert_eq!(blocks.offset(), 1024);
        assert_eq!(blocks.body(512).unwrap().len(), 512);
        assert!(blocks.body(1).is_err());
    }
}
