//! A machine's cgroup: made, delegated, watched and removed by us.
//!
//! ```text
//! machine.slice/nsrun-NAME.scope/     limits of the machine as a whole; never seen inside
//!     supervisor/                     the process that looks after the machine
//!     payload/                        the root of the machine's cgroup namespace
//!         nsrun-exec-N/               a command that joined
//! ```
//!
//! Without systemd the scope is ours, at the top of the version 2 hierarchy. With systemd
//! it is a transient scope, or it lies in the unit that nsrun was started in, if that is
//! delegated. Controllers are enabled only in cgroups that we made or were given, and at
//! the top if no systemd is there: else nobody would, and no machine could have limits.
//! They stay enabled there, because others may have come to rely on them.
//!
//! Everything below an opened scope is reached by descriptor. What is below `payload` is
//! the payload's to change at any moment, so every step takes "gone" for an answer.

mod branch;
mod controllers;
mod dir;
mod home;
mod host;
mod leaf;
mod machine;
mod options;
mod place;
mod property;
mod scope;
mod stats;
mod transient;
mod tree;

#[cfg(test)]
mod tests;

pub use branch::Branch;
pub use host::{Host, Layout, Mount, Placement};
pub use leaf::Leaf;
pub use machine::{MachineCgroup, is_frozen, is_populated};
pub use options::{ScopeOptions, Slice};
pub use property::Property;
pub use scope::{Scope, sweep, sweep_own};
pub use stats::Stats;
pub(crate) use transient::SCOPE_STOP;
