//! Where a socket is opened: here, or inside another network namespace.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Enough for `setns` and a socket; the default of 2 MiB is mapped and unmapped each time.
const OPENER_STACK: usize = 128 * 1024;

/// The network namespace that a socket is opened in. A socket belongs to that one for
/// good, whoever uses it.
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// The calling thread's.
    #[default]
    Here,
    /// Another, by a descriptor of it, which keeps it alive.
    Inside(Arc<OwnedFd>),
}

impl Place {
    /// The namespace behind a descriptor, such as an open `/proc/PID/ns/net`.
    #[must_use]
    pub fn inside(namespace: OwnedFd) -> Self {
        Self::Inside(Arc::new(namespace))
    }

    /// Runs `open` there: by a thread that joins the namespace and ends, so that this
    /// one stays where it is.
    pub(crate) fn open<T: Send>(
        &self,
        open: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        let Self::Inside(namespace) = self else {
            return open();
        };
        let enter_and_open = || {
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
            open()
        };
        thread::scope(|scope| {
            let opener = thread::Builder::new()
                .stack_size(OPENER_STACK)
                .spawn_scoped(scope, enter_and_open)?;
            opener.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}
