//! Turning what must not fail in a test into a panic that says what failed.

use std::fmt::Display;

/// Ends the test when something the test itself needs does not work.
pub trait Must<T> {
    /// The value, or a panic `cannot {what}: {cause}` at the caller's line.
    #[track_caller]
    fn must(self, what: &str) -> T;
}

impl<T, E: Display> Must<T> for Result<T, E> {
    #[track_caller]
    fn must(self, what: &str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => panic!("cannot {what}: {error}"),
        }
    }
}

impl<T> Must<T> for Option<T> {
    #[track_caller]
    fn must(self, what: &str) -> T {
        match self {
            Some(value) => value,
            None => panic!("cannot {what}: there is none"),
        }
    }
}
