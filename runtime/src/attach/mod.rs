//! Joining a running machine: a command in all its namespaces and its cgroup.
//!
//! For a command one process is made, in the machine's PID namespace from its start and in a cgroup
//! of its own below the payload's, so that it ends when the machine does. Mounts are made by a
//! process that stays nsrun's and has no number in the machine.

mod bind;
mod child;
mod dbus;
mod enter;
mod entrance;
mod env;
mod errand;
mod login;
mod manager;
mod nixos;
mod own;
mod shell;
mod socket;
mod units;
mod user;

pub use self::bind::{BindRequest, bind, unbind};
pub use self::enter::{Command, end_command, exec};
pub(crate) use self::entrance::Entrance;
pub(crate) use self::env::has_command;
pub use self::login::{LoginEvent, login};
pub(crate) use self::manager::ask;
pub(crate) use self::own::nsrun;
pub use self::shell::{Shell, shell};
pub use self::socket::socket;
pub use self::units::{Unit, Units};
