//! Comments as nft keeps them in what the kernel stores for programs: kind, length, text
//! with its NUL.

use super::wire::text;

/// nft's mark for a comment, of elements and of rules.
const COMMENT: u8 = 0;

pub(super) fn comment(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    let length = u8::try_from(text.len() + 1).expect("comments are tags, of 127 bytes at most");
    [&[COMMENT, length], text, &[0]].concat()
}

pub(super) fn comment_in(stored: &[u8]) -> Option<&str> {
    match stored {
        [COMMENT, length, rest @ ..] => text(rest.get(..usize::from(*length))?),
        _ => None,
    }
}
