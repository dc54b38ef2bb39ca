//! A process that does one thing in a machine, and tells how it went.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::error::{Context, Result};
use crate::launch::wire::{self, Kind, Message};
use crate::sys::worker::spawn;

/// Which step failed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: u32,
    pub(super) errno: Errno,
}

impl Failure {
    /// It ended without a word.
    const DIED: Self = Self {
        step: u32::MAX,
        errno: Errno::PIPE,
    };
}

/// The process, which is reaped when this is dropped, and the socket that it talks over.
#[derive(Debug)]
pub(super) struct Errand {
    pid: Pid,
    control: Option<OwnedFd>,
}

impl Errand {
    /// Sends a process off, which should die with this one.
    pub(super) fn start(
        work: impl FnOnce(&OwnedFd) -> std::result::Result<(), Failure>,
    ) -> Result<Self> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let pair = socketpair(family, kind, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.cannot(|| "make a socket pair")?;
        let mut control = Some(ours);
        let pid = spawn(|| {
            // Else it would not hear when this process lets go of the socket.
            control = None;
            report(work(&theirs), &theirs)
        });
        let pid = pid.cannot(|| "start a process that enters the machine")?;
        Ok(Self { pid, control })
    }

    /// What it has made and hands over.
    pub(super) fn ready(&self) -> std::result::Result<OwnedFd, Failure> {
        let (message, fds) = self.hear()?;
        let handed = fds.into_iter().flatten().next();
        match (message.kind, handed) {
            (Kind::Ready, Some(handed)) => Ok(handed),
            _ => Err(failure(message)),
        }
    }

    /// Lets it go on after that, to its end.
    pub(super) fn go_on(&self) -> std::result::Result<(), Failure> {
        if let Some(control) = &self.control {
            // If it has ended, it has said why.
            let _ = wire::send(control.as_fd(), Message::plain(Kind::Start), &[]);
        }
        self.done()
    }

    /// How it ended.
    pub(super) fn done(&self) -> std::result::Result<(), Failure> {
        let (message, _) = self.hear()?;
        match message.kind {
            Kind::Ready => Ok(()),
            _ => Err(failure(message)),
        }
    }

    fn hear(&self) -> std::result::Result<(Message, wire::Fds), Failure> {
        let control = self.control.as_ref().ok_or(Failure::DIED)?;
        let heard = wire::receive(control.as_fd()).ok().flatten();
        heard.ok_or(Failure::DIED)
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        // The end of the socket: it waits for nothing else.
        self.control = None;
        let _ = waitpid(self.pid, None);
    }
}

fn failure(message: Message) -> Failure {
    Failure {
        step: message.op,
        errno: Errno::from_raw_os_error(message.errno),
    }
}

fn report(outcome: std::result::Result<(), Failure>, control: &OwnedFd) -> u8 {
    let message = match outcome {
        Ok(()) => Message::plain(Kind::Ready),
        Err(Failure { step, errno }) => Message {
            kind: Kind::Failed,
            op: step,
            errno: errno.raw_os_error(),
        },
    };
    // A parent that is gone needs no report.
    let _ = wire::send(control.as_fd(), message, &[]);
    u8::from(outcome.is_err())
}
