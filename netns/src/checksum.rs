//! The Internet checksum (RFC 1071).

/// A sum in progress: 16-bit words in one's complement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum(u32);

impl Sum {
    /// The sum with `bytes` added, an odd last one padded with zero. No more than one of
    /// the pieces of a message may be of odd length, and that must be the last.
    pub(crate) fn and(self, bytes: &[u8]) -> Self {
        let (pairs, last) = bytes.as_chunks::<2>();
        let words = pairs.iter().map(|&pair| u16::from_be_bytes(pair));
        let odd = last.first().map(|&byte| u16::from_be_bytes([byte, 0]));
        let sum = words.chain(odd).fold(self.0, |sum, word| {
            let sum = sum + u32::from(word);
            (sum & 0xffff) + (sum >> 16)
        });
        Self(sum)
    }

    /// The sum with `word` added.
    pub(crate) fn and_word(self, word: u16) -> Self {
        self.and(&word.to_be_bytes())
    }

    /// The sum itself: what stands in the checksum field of a message whose sender left
    /// the rest of the work to the device, and all ones over a message with its checksum.
    pub(crate) fn folded(self) -> u16 {
        let [_, _, high, low] = self.0.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// What goes into the checksum field.
    pub(crate) fn complement(self) -> u16 {
        !self.folded()
    }

    /// Whether the summed message, its checksum included, is undamaged.
    pub(crate) fn is_right(self) -> bool {
        self.folded() == 0xffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The example of RFC 1071, section 3.
    #[test]
    fn the_sum_is_that_of_the_rfc() {
        let sum = Sum::default().and(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.folded(), 0xddf2);
        assert_eq!(sum.complement(), 0x220d);
    }

    #[test]
    fn an_odd_byte_is_padded_behind() {
        assert_eq!(Sum::default().and(&[0x12, 0x34, 0x56]).folded(), 0x6834);
    }

    proptest! {
        #[test]
        fn a_message_with_its_checksum_is_right(words in prop::collection::vec(any::<u16>(), 1..700)) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            let sum = Sum::default().and(&bytes);
            prop_assert!(sum.and_word(sum.complement()).is_right());
        }
    }
}
