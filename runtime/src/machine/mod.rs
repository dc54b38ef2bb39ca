//! A machine from request to end: plan, locks, cgroup, launch, supervision, teardown.
//!
//! Every resource is a value that gives itself back when it is dropped, and they are dropped in
//! the reverse order of their making. What a killed supervisor leaves is found through its list
//! of residues by the next command.

mod background;
mod console_logs;
mod console_tail;
mod control;
mod devices;
mod explain;
mod host;
mod journal;
mod link_journal;
mod owners;
mod printer;
mod register;
mod restart;
mod root;
mod run;
mod scratch;
mod start;
mod stop;
mod tied;
mod view;
mod viewers;

pub use self::background::{Started, Until, start_in_background};
pub use self::console_logs::{Excerpt, Follow, console_log};
pub use self::console_tail::{ConsoleTail, forget_console};
pub use self::control::{Whom, absent, kill, pause, power_off, reboot, resume, state, wait};
pub use self::explain::{Explanation, explain};
pub(crate) use self::host::Cgroups;
pub use self::journal::{Entries, journal};
pub use self::restart::Restart;
pub use self::start::{Event, StartOptions, start};
pub use self::stop::{StopOptions, Stopped, stop};
pub use self::tied::{News, Tied};
pub use self::view::{
    Branch, Detail, Listing, Look, Manager, Process, Sample, Sampler, Samples, Summary, Unit, list,
    status,
};
pub use self::viewers::{attach, type_at_console};
pub use crate::network::{put_back_forwarding, set_links_up};
pub use crate::supervise::Period;
