//! From the start of a payload to its end: console, signals, notifications, exit status.
//!
//! [`supervise`] runs on a current-thread tokio runtime and starts no thread. What follows from an
//! event is decided by pure code; the rest of the module moves bytes and makes system calls.

mod console;
mod console_log;
mod console_times;
mod driver;
mod flow;
mod hub;
mod inbox;
mod keys;
mod lines;
mod manager;
mod notify;
mod outcome;
mod policy;
mod reception;
mod relay;
mod screen;
mod session;
mod signal;
mod stop;
mod stream;
mod viewer;

use std::os::fd::{AsFd, OwnedFd};

pub(crate) use console_log::before;
pub use console_times::Period;
pub(crate) use console_times::{times_of, within};
pub use flow::Stalled;
pub use hub::Hub;
pub(crate) use hub::{SOCKET, connect};
pub use manager::Manager;
pub use notify::Shutdown;
pub use outcome::{Cause, End, Outcome, REBOOT_STATUS};
pub use policy::{Config, Phase, ReadyWhen, Status, StopBy};
pub(crate) use reception::takes;
pub(crate) use relay::{Parted, relay};
pub(crate) use screen::Screen;
pub use session::{ConsoleMode, Session};
pub use signal::Signal;
pub use viewer::{Left, Viewing};
pub(crate) use viewer::{type_in, view};

use crate::error::Result;
use crate::sys;
use driver::Driver;

/// A payload that has just been started: a child of this process that nobody else reaps.
#[derive(Debug)]
pub struct Payload {
    /// Its leader's PID: PID 1 of the machine, as this process sees it.
    pub pid: i32,
    /// The same process.
    pub pidfd: OwnedFd,
    /// The master of the console's pty.
    pub console: Option<OwnedFd>,
    /// The `AF_UNIX` datagram socket on which the leader notifies, with `SO_PASSCRED`.
    pub notify: Option<OwnedFd>,
}

/// What the supervisor does to the world outside the payload.
pub trait Host {
    /// Ends every process of the machine, by `cgroup.kill`. May be called more than once, and after
    /// the leader's end.
    ///
    /// # Errors
    /// When processes may have been left alive. It matters only if the leader cannot be killed either.
    fn kill_all(&mut self) -> Result<()>;

    /// Ends the processes that joined the machine from outside: it is about to stop, and they would be
    /// in its way. May be called more than once.
    fn kill_entered(&mut self);

    /// Publishes what is known of the machine. A failure is kept for later: it must not end a machine.
    fn record(&mut self, status: &Status);
}

/// Supervises `payload` until its leader has ended and is reaped. The terminal stays the machine's: it
/// is given back when `session` is dropped.
///
/// # Errors
/// When a descriptor or the payload cannot be waited for. The machine has then been killed and its
/// leader reaped.
pub async fn supervise(
    session: &mut Session,
    mut payload: Payload,
    config: Config,
    host: &mut dyn Host,
) -> Result<Outcome> {
    sys::memory::forget_code();
    let result = match Driver::new(session, &mut payload, config, host) {
        Ok(mut driver) => driver.run(payload.pid).await,
        Err(error) => Err(error),
    };
    let leader = payload.pidfd.as_fd();
    if result.is_err() && driver::kill(leader, host).is_ok() {
        // Fails only if the leader was reaped before.
        let _ = driver::reap(leader, config.namespaced);
    }
    result
}

#[cfg(test)]
mod tests;
