//! Copying between the host and a machine, or an image that is not running.
//!
//! Two processes, and tar between them: one reads where the source is, one writes where the
//! destination is. The one in a machine is the machine's root, in its user and mount namespace and
//! its cgroup, so that whatever it meets it can do no more than root inside. See `docs/border.md`.

mod end;
mod place;
mod receive;
mod run;
mod send;
mod settle;
mod spot;
mod staging;
mod talk;

use serde::Serialize;

pub use self::place::Place;
pub use self::run::copy;
use super::report::{Counts, Warning};

/// How the destination's name is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// As by cp(1): what is a directory gets the source put into it.
    Into,
    /// It is the name of the copy. What is a directory takes up the source's entries.
    Exact,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// What is copied.
    pub from: Place,
    /// Where to.
    pub to: Place,
    /// How that is understood.
    pub rule: Rule,
    /// Files that exist are replaced.
    pub replace: bool,
    /// If the source is a symbolic link, what it leads to is copied.
    pub follow: bool,
    /// Programs that come out of a machine keep set-user-ID and set-group-ID bits and capabilities.
    pub keep_privileges: bool,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct CopyReport {
    /// What was copied.
    pub counts: Counts,
    /// The image was in use: what was read may be of different moments.
    pub was_in_use: bool,
    /// What was left out or changed.
    pub warnings: Vec<Warning>,
}
