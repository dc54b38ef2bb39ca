//! xz files of many blocks, and where their blocks lie.

use liblzma::stream::{Action, Check, MtStreamBuilder, Status};

/// Compresses in blocks of `block` bytes, with their sizes in the block headers.
pub fn blocks(bytes: &[u8], block: u64) -> Vec<u8> {
    let mut stream = MtStreamBuilder::new()
        .threads(1)
        .block_size(block)
        .preset(0)
        .check(Check::Crc64)
        .encoder()
        .unwrap();
    let mut out = Vec::new();
    loop {
        out.reserve(64 << 10);
        let done = usize::try_from(stream.total_in()).unwrap();
        let status = stream.process_vec(&bytes[done..], &mut out, Action::Finish);
        if status.unwrap() == Status::StreamEnd {
            return out;
        }
    }
}

/// Offsets at which the blocks of a one-stream file begin, and at which its index does.
pub fn boundaries(file: &[u8]) -> Vec<usize> {
    let footer = &file[file.len() - 12..];
    let stored = u32::from_le_bytes(footer[4..8].try_into().unwrap());
    let index_size = (stored as usize + 1) * 4;
    let index = &file[file.len() - 12 - index_size..];
    let mut at = 1;
    let count = number(index, &mut at);
    let mut offsets = vec![12];
    for _ in 0..count {
        let unpadded = number(index, &mut at);
        number(index, &mut at);
        let last = offsets.last().unwrap();
        offsets.push(last + unpadded.next_multiple_of(4));
    }
    offsets
}

/// A number in seven-bit groups, lowest first.
fn number(bytes: &[u8], at: &mut usize) -> usize {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}
