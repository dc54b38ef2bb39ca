//! In which order bases are tried.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::{FIRST_BASE, LAST_BASE, SIZE};
use crate::name::MachineName;

/// The key of systemd-nspawn, so that a machine gets the same range under either tool.
const KEY: [u8; 16] = 0xe156_e0f0_4af0_41af_9641_cf41_3394_ff72_u128.to_be_bytes();

/// After so many collisions in a space of 28 600 ranges something else is wrong.
const ATTEMPTS: usize = 99;

/// The bases to try for a machine, in the order of systemd-nspawn: the one its tree is
/// shifted to already, the one its name hashes to, then random ones.
pub fn candidates(
    name: &MachineName,
    shifted_to: Option<u32>,
    random: impl FnMut() -> u32,
) -> impl Iterator<Item = u32> {
    let hashed = reduce(hash(name));
    shifted_to
        .into_iter()
        .chain([hashed])
        .chain(std::iter::repeat_with(random).map(reduce))
        .take(ATTEMPTS)
}

/// The base that a tree is shifted to whose top has this owner; `None` if it is not
/// shifted, or to nowhere that a range may be picked.
#[must_use]
pub fn owner_base(uid: u32, gid: u32) -> Option<u32> {
    let base = |id: u32| id & !(SIZE - 1);
    let allowed = (FIRST_BASE..=LAST_BASE).contains(&base(uid));
    (allowed && base(uid) == base(gid)).then(|| base(uid))
}

/// The lower half: systemd stores the hash as a uid.
#[allow(clippy::cast_possible_truncation)]
fn hash(name: &MachineName) -> u32 {
    let mut hasher = SipHasher24::new_with_key(&KEY);
    hasher.write(name.as_str().as_bytes());
    hasher.finish() as u32
}

/// Folds any number into a base. The last base itself is never reached, which is what
/// systemd-nspawn computes.
fn reduce(number: u32) -> u32 {
    (number % (LAST_BASE - FIRST_BASE) + FIRST_BASE) & !(SIZE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(name: &str, shifted_to: Option<u32>) -> Vec<u32> {
        let name = name.parse().unwrap();
        candidates(&name, shifted_to, || 0).take(3).collect()
    }

    // The first is the range that systemd-nspawn 252 gave to this machine; all agree with
    // a SipHash written in Python from its definition.
    #[test]
    fn a_name_hashes_to_the_range_that_nspawn_picks() {
        assert_eq!(first("a-rather-long-machine-name", None)[0], 59_375_616);
        assert_eq!(first("web", None)[0], 1_587_085_312);
        assert_eq!(first("nginx-test", None)[0], 576_978_944);
    }

    #[test]
    fn a_shifted_tree_keeps_its_range_if_possible() {
        assert_eq!(
            first("web", Some(655_360)),
            [655_360, 1_587_085_312, FIRST_BASE]
        );
    }

    #[test]
    fn it_ends() {
        let name = "web".parse().unwrap();
        assert_eq!(candidates(&name, None, || 7).count(), ATTEMPTS);
    }

    #[test]
    fn the_base_of_a_tree_is_that_of_its_owners() {
        assert_eq!(owner_base(655_360, 655_360), Some(655_360));
        assert_eq!(owner_base(655_460, 655_361), Some(655_360));
        for (uid, gid) in [
            (0, 0),
            (655_360, 0),
            (0x7000_0000, 0x7000_0000),
            (524_287, 524_287),
        ] {
            assert_eq!(owner_base(uid, gid), None, "{uid}:{gid}");
        }
    }

    proptest! {
        #[test]
        fn every_candidate_is_a_base_within_bounds(number: u32) {
            let base = reduce(number);
            prop_assert_eq!(base % SIZE, 0);
            prop_assert!((FIRST_BASE..=LAST_BASE).contains(&base));
        }
    }
}
