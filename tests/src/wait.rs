//! Waiting for conditions with a deadline.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long to wait for something that takes `seconds` at worst on a busy machine.
/// `NSRUN_TEST_SLOW` multiplies it, for emulated hosts.
#[must_use]
pub fn patience(seconds: u64) -> Duration {
    Duration::from_secs(seconds.saturating_mul(slowness()))
}

fn slowness() -> u64 {
    std::env::var("NSRUN_TEST_SLOW")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
}

/// Polls until `probe` gives a value.
///
/// # Panics
/// At the deadline, naming `what`.
#[track_caller]
pub fn wait_until<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    match poll(deadline, &mut probe) {
        Some(value) => value,
        None => panic!("waited {deadline:?} in vain: {what}"),
    }
}

/// Polls until `probe` gives a value or the deadline is over.
pub fn poll<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
