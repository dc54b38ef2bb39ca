//! Joining a running machine: a command in all its namespaces and its cgroup.
//!
//! One process is made, in the machine's PID namespace from its start and in a cgroup of its
//! own below the payload's, so that it ends when the machine does.

mod child;
mod enter;

pub use self::enter::{Command, exec};
