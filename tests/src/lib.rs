//! Harness for testing nsrun from outside.

pub mod console;
pub mod done;
pub mod must;
pub mod nsrun;
pub mod residue;
pub mod rng;
pub mod sandbox;
pub mod skip;
pub mod wait;

pub use console::Console;
pub use done::{Done, Running};
pub use must::Must;
pub use sandbox::Sandbox;
pub use wait::{patience, poll, wait_until};
