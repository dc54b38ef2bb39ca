//! What a misspelt word was probably meant to be.

/// The word of `known` that is most like `word`, if it is like it at all: letters of either case,
/// at most one in three of them wrong, missing, surplus or exchanged with its neighbour.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // The distance takes time and space by the product of the lengths, and a key may have a MiB.
    let longest = known.map(|candidate| (candidate, candidate.to_lowercase()));
    longest
        .filter(|(_, lower)| word.len().abs_diff(lower.len()) <= lower.len() / 3)
        .map(|(candidate, lower)| {
            let distance = strsim::osa_distance(&word, &lower);
            (distance, lower.len(), candidate)
        })
        .filter(|(distance, len, _)| *distance <= len / 3)
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: [&str; 4] = ["PrivateUsers", "Private", "Zone", "VirtualEthernet"];

    fn nearest_of(word: &str) -> Option<&'static str> {
        nearest(word, KNOWN.into_iter())
    }

    #[test]
    fn slips_of_the_finger_are_understood() {
        assert_eq!(nearest_of("PrivateUser"), Some("PrivateUsers"));
        assert_eq!(nearest_of("virtualethernet"), Some("VirtualEthernet"));
        assert_eq!(nearest_of("VirtualEhternet"), Some("VirtualEthernet"));
        assert_eq!(nearest_of("Zoen"), Some("Zone"));
    }

    #[test]
    fn what_is_like_nothing_gets_no_suggestion() {
        assert_eq!(nearest_of("Memory"), None);
        assert_eq!(nearest_of(""), None);
        assert_eq!(nearest_of(&"Zone".repeat(10_000)), None);
    }

    proptest! {
        #[test]
        fn a_known_word_is_its_own_suggestion(index in 0..KNOWN.len()) {
            prop_assert_eq!(nearest_of(KNOWN[index]), Some(KNOWN[index]));
        }
    }
}
