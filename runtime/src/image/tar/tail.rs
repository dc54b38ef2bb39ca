//! What follows the first block of the end mark.

use super::blocks::{BLOCK, Blocks, Feed};
use crate::error::Result;

/// Begins the list of members that pixz appends to the archive it compresses.
const PIXZ_MAGIC: [u8; 8] = 0xdbae_14d6_2e32_4ca6_u64.to_le_bytes();

/// What was found after the last member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::image) struct Tail {
    /// The end mark is one zero block where two are due.
    pub(in crate::image) lone_zero_block: bool,
    /// Bytes after the end mark that are neither padding nor an index of pixz.
    pub(in crate::image) other: u64,
}

/// Reads to the end of the bytes; the first zero block of the end mark is read already.
pub(super) fn read<F: Feed>(blocks: &mut Blocks<F>) -> Result<Tail> {
    let mut scan = Scan::default();
    let mut first = BLOCK;
    let mut zeros_only = true;
    loop {
        let bytes = blocks.some(u64::MAX)?;
        if bytes.is_empty() {
            break;
        }
        let head = &bytes[..bytes.len().min(first)];
        zeros_only &= head.iter().all(|&b| b == 0);
        first -= head.len();
        scan.take(bytes);
    }
    Ok(Tail {
        lone_zero_block: first > 0 || !zeros_only,
        other: scan.finish(),
    })
}

/// Where in the bytes after the end mark the scan is.
#[derive(Clone, Copy, Debug)]
enum State {
    Padding,
    /// In the magic, with so many bytes of it seen.
    Magic(usize),
    /// In a member's name, which is empty so far or not.
    Name {
        empty: bool,
    },
    /// In the eight bytes of a member's offset; the last record has no name.
    Offset {
        seen: u8,
        last: bool,
    },
    /// After the index.
    Indexed,
    Other,
}

#[derive(Debug)]
struct Scan {
    state: State,
    /// Bytes since the padding.
    length: u64,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            state: State::Padding,
            length: 0,
        }
    }
}

impl Scan {
    fn take(&mut self, bytes: &[u8]) {
        for (at, &byte) in bytes.iter().enumerate() {
            if matches!(self.state, State::Other) {
                self.length += (bytes.len() - at) as u64;
                return;
            }
            self.state = self.state.after(byte);
            if !matches!(self.state, State::Padding) {
                self.length += 1;
            }
        }
    }

    fn finish(&self) -> u64 {
        match self.state {
            State::Padding | State::Indexed => 0,
            _ => self.length,
        }
    }
}

impl State {
    fn after(self, byte: u8) -> Self {
        match self {
            Self::Padding if byte == 0 => Self::Padding,
            Self::Padding if byte == PIXZ_MAGIC[0] => Self::Magic(1),
            Self::Magic(seen) if byte == PIXZ_MAGIC[seen] => {
                if seen + 1 == PIXZ_MAGIC.len() {
                    Self::Name { empty: true }
                } else {
                    Self::Magic(seen + 1)
                }
            }
            Self::Name { empty } if byte == 0 => Self::Offset {
                seen: 0,
                last: empty,
            },
            Self::Name { .. } => Self::Name { empty: false },
            Self::Offset {
                seen: 7,
                last: true,
            } => Self::Indexed,
            Self::Offset {
                seen: 7,
                last: false,
            } => Self::Name { empty: true },
            Self::Offset { seen, last } => Self::Offset {
                seen: seen + 1,
                last,
            },
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::tests::pieces;
    use super::*;
    use proptest::prelude::*;

    fn tail(bytes: &[u8]) -> Tail {
        read(&mut pieces(bytes, 100)).unwrap()
    }

    fn index(names: &[&str]) -> Vec<u8> {
        let mut index = PIXZ_MAGIC.to_vec();
        for name in names.iter().chain(&[""]) {
            index.extend_from_slice(name.as_bytes());
            index.push(0);
            index.extend_from_slice(&512_u64.to_le_bytes());
        }
        index
    }

    fn with_end(after: &[u8]) -> Vec<u8> {
        [&[0; 4096], after].concat()
    }

    #[test]
    fn padding_and_an_index_of_pixz_are_silent() {
        assert_eq!(tail(&[0; 512]), Tail::default());
        assert_eq!(tail(&[0; 9000]), Tail::default());
        assert_eq!(tail(&with_end(&index(&["d/", "d/file"]))), Tail::default());
        assert_eq!(tail(&with_end(&index(&[]))), Tail::default());
    }

    #[test]
    fn other_data_is_counted() {
        assert_eq!(tail(&with_end(b"junk")).other, 4);
        let mut longer = index(&["a"]);
        longer.push(1);
        assert_eq!(tail(&with_end(&longer)).other, longer.len() as u64);
        let cut = &index(&["a"])[..12];
        assert_eq!(tail(&with_end(cut)).other, 12);
    }

    #[test]
    fn one_zero_block_alone_is_noticed() {
        assert_eq!(
            tail(b""),
            Tail {
                lone_zero_block: true,
                other: 0
            }
        );
        let more = [b'x'; 512];
        assert_eq!(
            tail(&more),
            Tail {
                lone_zero_block: true,
                other: 512
            }
        );
    }

    proptest! {
        #[test]
        fn the_verdict_does_not_depend_on_the_pieces(
            bytes in proptest::collection::vec(prop_oneof![Just(0), Just(0xa6), any::<u8>()], 0..700),
            length in 1_usize..600,
        ) {
            let bytes = with_end(&bytes);
            prop_assert_eq!(read(&mut pieces(&bytes, length)).unwrap(), tail(&bytes));
        }
    }
}
