//! Faults on purpose: makes one operation of a launch fail, or one of its processes die.
//!
//! Compiled to nothing without the `fault` feature, which only tests enable.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// The other process of the launch, by what this one has of it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "fault"), expect(dead_code, reason = "only faults look"))]
pub(crate) enum Peer<'a> {
    /// This is the parent; the child's pidfd, once there is one.
    Child(Option<BorrowedFd<'a>>),
    /// This is the child; its end of the control socket.
    Parent(BorrowedFd<'a>),
}

/// The planned fault, if any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    #[cfg(feature = "fault")]
    planned: Option<planned::Planned>,
}

impl Fault {
    /// Reads `NSRUN_FAULT=parent|child:INDEX:ERRNO|kill|alone`, e.g. `child:7:12`.
    ///
    /// `kill` ends the process that is about to carry the operation out. `alone` ends the other
    /// one before; the child, which cannot do that, says `alone` on stderr and waits for it.
    pub(crate) fn from_environment() -> Self {
        #[cfg(feature = "fault")]
        return Self {
            planned: std::env::var("NSRUN_FAULT")
                .ok()
                .and_then(|text| planned::parse(&text)),
        };
        #[cfg(not(feature = "fault"))]
        Self::default()
    }

    /// Before each operation: fails or does not return if a fault is planned here.
    #[cfg(feature = "fault")]
    pub(crate) fn check(self, peer: Peer<'_>, index: usize) -> Result<(), Errno> {
        self.planned.map_or(Ok(()), |p| p.strike(peer, index))
    }

    /// Before each operation: nothing is planned in this build.
    #[cfg(not(feature = "fault"))]
    #[expect(clippy::unused_self, reason = "same call in both builds")]
    pub(crate) fn check(self, _peer: Peer<'_>, _index: usize) -> Result<(), Errno> {
        Ok(())
    }
}

#[cfg(feature = "fault")]
mod planned {
    use std::os::fd::BorrowedFd;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    use rustix::process::{Signal, pidfd_send_signal};

    use super::Peer;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Planned {
        in_child: bool,
        index: usize,
        what: What,
    }

    #[derive(Clone, Copy, Debug)]
    enum What {
        Fail(Errno),
        Die,
        BeAlone,
    }

    pub(super) fn parse(text: &str) -> Option<Planned> {
        let mut parts = text.split(':');
        let in_child = match parts.next()? {
            "parent" => false,
            "child" => true,
            _ => return None,
        };
        let index = parts.next()?.parse().ok()?;
        let what = match parts.next()? {
            "kill" => What::Die,
            "alone" => What::BeAlone,
            number => What::Fail(Errno::from_raw_os_error(number.parse().ok()?)),
        };
        Some(Planned {
            in_child,
            index,
            what,
        })
    }

    impl Planned {
        pub(super) fn strike(self, peer: Peer<'_>, index: usize) -> Result<(), Errno> {
            if index != self.index || self.in_child != matches!(peer, Peer::Parent(_)) {
                return Ok(());
            }
            match (self.what, peer) {
                (What::Fail(errno), _) => Err(errno),
                (What::Die, _) => crate::sys::process::die(),
                (What::BeAlone, Peer::Child(Some(child))) => pidfd_send_signal(child, Signal::KILL),
                (What::BeAlone, Peer::Child(None)) => Ok(()),
                (What::BeAlone, Peer::Parent(control)) => await_end(control),
            }
        }
    }

    /// The socket hangs up with its other end.
    fn await_end(control: BorrowedFd<'_>) -> Result<(), Errno> {
        rustix::io::write(rustix::stdio::stderr(), b"alone\n")?;
        let mut fds = [PollFd::from_borrowed_fd(control, PollFlags::empty())];
        while !fds[0].revents().contains(PollFlags::HUP) {
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}
