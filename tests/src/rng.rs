//! Random choices that can be repeated.

use fastrand::Rng;

/// A generator seeded from `NSRUN_TEST_SEED`, or anew. The seed is printed, and with it
/// the failing run can be repeated.
#[must_use]
pub fn seeded(test: &str) -> Rng {
    let seed = std::env::var("NSRUN_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("{test}: NSRUN_TEST_SEED={seed}");
    Rng::with_seed(seed)
}
