//! Harness for testing nsrun from outside.

pub mod archive;
pub mod children;
pub mod console;
pub mod done;
pub mod facts;
pub mod image;
pub mod machine;
pub mod many;
pub mod must;
pub mod notify;
pub mod nsrun;
pub mod peers;
pub mod residue;
pub mod rng;
pub mod sandbox;
pub mod skip;
pub mod systemd;
pub mod tiny;
pub mod wait;

pub use console::Console;
pub use done::{Done, Running};
pub use machine::Machine;
pub use must::Must;
pub use notify::Notify;
pub use sandbox::Sandbox;
pub use wait::{patience, poll, wait_until};
