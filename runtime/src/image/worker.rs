//! The process that unpacks, and the parent that waits for it.

use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::jail;
use super::staging::Staging;
use super::wire::{Message, Receiver, Sender, Summary, pair, received};
use crate::error::{Context, Error, Kind, Result};
use crate::sys::worker::spawn;

/// Time between two reports of progress.
const TICK: Duration = Duration::from_millis(50);

/// Memory besides that of decoders: what is kept of directories, buffers, the program.
const BASE_MEMORY: u64 = 1 << 30;

/// Memory for each decoding thread besides its decoder: stack and allocator.
const THREAD_MEMORY: u64 = 16 << 20;

/// Work for the process: unpacks into a directory it is confined to.
pub(super) trait Job {
    /// Descriptors that the work reads from.
    fn inputs(&self) -> Vec<BorrowedFd<'_>>;

    /// Memory of decoders in bytes.
    fn decoder_memory(&self) -> u64;

    /// Does it, calling `ticker` now and then.
    ///
    /// # Errors
    /// Whatever went wrong, in words about the archive.
    fn run(&self, root: OwnedFd, ticker: &mut Ticker<'_>) -> Result<Summary>;
}

/// Reports progress at a bearable rate.
#[derive(Debug)]
pub(super) struct Ticker<'a> {
    sender: &'a Sender,
    last: Instant,
}

impl<'a> Ticker<'a> {
    /// Reports from now on.
    pub(super) fn new(sender: &'a Sender) -> Self {
        Self {
            sender,
            last: Instant::now(),
        }
    }

    /// Whether it is time for a report.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.last.elapsed() >= TICK;
        if due {
            self.last = Instant::now();
        }
        due
    }

    /// Reports that so many bytes were read, if it is time to.
    pub(super) fn tick(&mut self, read: u64) {
        if self.is_due() {
            self.sender.send(&Message::Progress(read));
        }
    }
}

/// Threads to decode with.
pub(super) fn threads() -> u32 {
    let available = std::thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(available).unwrap_or(u32::MAX)
}

/// Does the job in a jailed process; `progress` is called with the bytes read so far.
///
/// # Errors
/// What the job failed of; [`Kind::Failed`] if its process died or a signal came to stop.
pub(super) fn run(
    job: &impl Job,
    staging: &Staging<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Summary> {
    let signals = Signals::hold()?;
    let (sender, receiver) = pair().cannot(|| "make a socket for the unpacking")?;
    let parent = rustix::process::getpid();
    let child = spawn(|| match confined(job, staging, &sender, parent) {
        Ok(summary) => {
            sender.send(&Message::Done(summary));
            0
        }
        Err(error) => {
            sender.send(&Message::failed(&error));
            1
        }
    });
    let child = Child::new(child.cannot(|| "start the unpacking")?);
    drop(sender);
    let outcome = follow(&receiver, &signals, &mut progress)?;
    let status = child.wait()?;
    outcome.ok_or_else(|| died(status))
}

/// In the child.
fn confined(
    job: &impl Job,
    staging: &Staging<'_>,
    sender: &Sender,
    parent: rustix::process::Pid,
) -> Result<Summary> {
    jail::tie_to_parent(parent)?;
    // The lock goes along: the directory is in use until this process has ended too.
    let mut keep = job.inputs();
    keep.extend([sender.as_fd(), staging.lock()]);
    let memory = BASE_MEMORY + job.decoder_memory() + u64::from(threads()) * THREAD_MEMORY;
    let root = jail::enter(staging.dir(), &keep, memory)?;
    job.run(root, &mut Ticker::new(sender))
}

/// Takes messages until the child has said all; `None` if it did not say how it ended.
fn follow(
    receiver: &Receiver,
    signals: &Signals,
    progress: &mut impl FnMut(u64),
) -> Result<Option<Summary>> {
    loop {
        signals.wait_for(receiver.as_fd())?;
        match receiver.receive().cannot(|| "hear from the unpacking")? {
            None => return Ok(None),
            Some(Message::Progress(read)) => progress(read),
            Some(Message::Done(summary)) => {
                progress(summary.read);
                return Ok(Some(summary));
            }
            Some(Message::Failed { kind, what, hint }) => {
                return Err(received(kind, &what, hint.as_deref()));
            }
        }
    }
}

fn died(status: WaitStatus) -> Error {
    let how = match status {
        WaitStatus::Signaled(_, signal, _) => format!("was killed by {signal}"),
        WaitStatus::Exited(_, status) => format!("ended with status {status}"),
        _ => "ended".to_owned(),
    };
    Error::new(Kind::Failed, format!("the process that unpacks {how}"))
}

/// A child that is killed and reaped if nobody waits for it.
pub(super) struct Child(Option<Pid>);

impl Child {
    pub(super) fn new(pid: Pid) -> Self {
        Self(Some(pid))
    }

    pub(super) fn wait(mut self) -> Result<WaitStatus> {
        match self.0.take() {
            Some(pid) => waitpid(pid, None).cannot(|| "wait for the unpacking"),
            None => Err(Error::new(
                Kind::Failed,
                "the unpacking was waited for before",
            )),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may have ended by itself; it is not reaped yet, so that the number is its.
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

/// Signals that ask to stop, held back so that an import they interrupt cleans up.
pub(super) struct Signals {
    before: SigSet,
    fd: SignalFd,
}

impl Signals {
    pub(super) fn hold() -> Result<Self> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        let what = || "hold signals back";
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut before)).cannot(what)?;
        match SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK) {
            Ok(fd) => Ok(Self { before, fd }),
            Err(error) => {
                restore(&before);
                Err(error).cannot(what)
            }
        }
    }

    /// Waits until `other` can be read; a signal that comes first is an error.
    pub(super) fn wait_for(&self, other: BorrowedFd<'_>) -> Result<()> {
        loop {
            let mut fds = [
                PollFd::new(self.fd.as_fd(), PollFlags::POLLIN),
                PollFd::new(other, PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(nix::Error::EINTR) => continue,
                Err(error) => return Err(error).cannot(|| "wait for the unpacking"),
            }
            if fds[0].any() == Some(true) {
                return Err(self.interrupted());
            }
            if fds[1].any() == Some(true) {
                return Ok(());
            }
        }
    }

    fn interrupted(&self) -> Error {
        let signal = self.fd.read_signal().ok().flatten();
        let signal = signal
            .and_then(|info| i32::try_from(info.ssi_signo).ok())
            .and_then(|number| Signal::try_from(number).ok());
        let name = signal.map_or("a signal", Signal::as_str);
        Error::new(Kind::Failed, format!("interrupted by {name}"))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        restore(&self.before);
    }
}

fn restore(mask: &SigSet) {
    // Fails only for an unknown way of setting it.
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), None);
}
