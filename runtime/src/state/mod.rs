//! What is known of machines on this host, and what of it is true right now.

pub use crate::sys::pidfd::{Identity, PidFd};
