//! Joining a running machine: a command in all its namespaces and its cgroup.
//!
//! One process is made, in the machine's PID namespace from its start and in a cgroup of its
//! own below the payload's, so that it ends when the machine does.

mod child;
mod dbus;
mod enter;
mod login;
mod manager;
mod shell;
mod user;

pub use self::enter::{Command, exec};
pub use self::login::{LoginEvent, login};
pub(crate) use self::manager::ask;
pub use self::shell::{Shell, shell};
