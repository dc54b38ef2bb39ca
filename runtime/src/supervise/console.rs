//! The payload's console: bytes between its pty and the user, in fixed memory, without waiting.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::Winsize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::flow::{Flow, Stalled};
use super::keys::{HotKey, HotKeys};
use super::screen::{self, Screen};
use super::stream::{self, Sink, Source};
use crate::sys::readiness;

/// Output on its way to the user.
const SHOWN: usize = 16 * 1024;
/// Input on its way to the payload.
const TYPED: usize = 4 * 1024;
/// A pty gives no more at a time (n_tty).
const CHUNK: usize = 4 * 1024;
/// What is read of the user at a time.
const KEYS: usize = 1024;
/// How often bytes are moved before others get a look.
const TURNS: usize = 16;
/// A payload that reads none of its input for that long loses what is typed, so that the escape
/// keys are still seen behind it.
const DEAF: Duration = Duration::from_secs(1);
/// How long the payload may still be held back once it is to stop.
const IN_A_HURRY: Duration = Duration::from_millis(100);

/// The console of one run of a machine.
#[derive(Debug)]
pub(crate) struct Console<'s> {
    master: AsyncFd<OwnedFd>,
    /// The other end, held open: a pty without it reports a hang-up until a getty opens it again, and
    /// tokio takes a hang-up for final.
    keeper: Option<OwnedFd>,
    /// No output can come any more.
    ended: bool,
    sink: Sink,
    source: Option<Source>,
    shown: Flow,
    typed: Flow,
    keys: HotKeys,
    pressed: VecDeque<HotKey>,
    screen: Option<&'s mut Screen>,
    chunk: Box<[u8; CHUNK]>,
    filtered: Vec<u8>,
}

impl<'s> Console<'s> {
    /// Connects the pty `master` with `sink`; `screen` filters what goes to a terminal.
    pub(crate) fn new(
        master: OwnedFd,
        sink: Sink,
        screen: Option<&'s mut Screen>,
        stalled: Stalled,
    ) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keeper = ioctl_tiocgptpeer(&master, flags)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self {
            master: readiness::watch(master, Interest::READABLE | Interest::WRITABLE)?,
            keeper: Some(keeper),
            ended: false,
            sink,
            source: None,
            shown: Flow::new(SHOWN, stalled),
            typed: Flow::new(TYPED, Stalled::DropAfter(DEAF)),
            keys: HotKeys::default(),
            pressed: VecDeque::new(),
            screen,
            chunk: Box::new([0; CHUNK]),
            filtered: Vec::with_capacity(CHUNK + screen::HELD),
        })
    }

    /// Reads what the user types there from now on; `None`: nothing.
    pub(crate) fn listen_to(&mut self, source: Option<Source>) {
        self.source = source;
    }

    /// Passes on what was typed elsewhere than at a [`Source`], as far as there is room.
    pub(crate) fn type_in(&mut self, typed: &[u8]) {
        self.typed.push(typed);
    }

    /// Gives the console the size of the user's terminal.
    pub(crate) fn resize(&self, size: Winsize) {
        // A pty refuses no size; a console that has gone needs none.
        let _ = rustix::termios::tcsetwinsize(self.master.get_ref(), size);
    }

    /// The payload is to stop: a user who does not look must not keep it from that.
    pub(crate) fn hurry(&mut self) {
        self.shown.hurry(IN_A_HURRY);
    }

    /// The payload has ended: what it wrote last is all that comes.
    pub(crate) fn finish(&mut self) {
        self.keeper = None;
        self.source = None;
    }

    /// Whether, after [`Console::finish`], the user has got everything, or will not take it.
    pub(crate) fn drained(&self, now: Instant) -> bool {
        self.ended && self.shown.pending().is_empty() || self.shown.overdue(now)
    }

    /// When it has to be polled even if nothing becomes ready.
    pub(crate) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let flows = [&self.shown, &self.typed];
        let times = flows.into_iter().filter_map(Flow::gives_up_at);
        times.filter(|at| *at > now).min()
    }

    /// Moves bytes in both directions. Ready when the user has pressed a hot key.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<HotKey> {
        for _ in 0..TURNS {
            let moved = [
                self.read_user(now, cx),
                self.write_payload(now, cx),
                self.read_payload(now, cx),
                self.write_user(now, cx),
            ];
            if let Some(key) = self.pressed.pop_front() {
                return Poll::Ready(key);
            }
            if moved == [false; 4] {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn read_user(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Some(source) = &mut self.source else {
            return false;
        };
        if !self.typed.fits(KEYS) && !self.typed.overdue(now) {
            return false;
        }
        let mut keys = [0; KEYS];
        let Poll::Ready(read) = source.poll_read(&mut keys, cx) else {
            return false;
        };
        match read {
            Ok(0) => self.source = None,
            Ok(length) => self.press(keys.get(..length).unwrap_or_default(), now),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The terminal hung up, or this became a background job.
            Err(_) => self.source = None,
        }
        true
    }

    fn press(&mut self, mut typed: &[u8], now: Instant) {
        while !typed.is_empty() {
            let (passed, hot, used) = self.keys.scan(typed, now);
            self.typed.push(passed);
            self.pressed.extend(hot);
            typed = typed.get(used..).unwrap_or_default();
        }
    }

    fn write_payload(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let pending = self.typed.pending();
        if pending.is_empty() {
            return false;
        }
        let Poll::Ready(Ok(mut guard)) = self.master.poll_write_ready(cx) else {
            self.typed.blocked(now);
            return false;
        };
        let written = guard.try_io(|master| Ok(rustix::io::write(master.get_ref(), pending)?));
        // What cannot be written to a console that failed is dropped.
        let lost = pending.len();
        match written {
            Ok(result) => self.typed.written(result.unwrap_or(lost)),
            Err(_) => self.typed.blocked(now),
        }
        true
    }

    fn read_payload(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let room = self.shown.fits(CHUNK + screen::HELD) || self.shown.overdue(now);
        if self.ended || !room {
            return false;
        }
        let read = if self.keeper.is_some() {
            self.poll_master(cx)
        } else {
            Poll::Ready(self.read_rest())
        };
        match read {
            Poll::Pending => return false,
            Poll::Ready(Ok(length)) if length > 0 => self.show(length),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(_) => self.ended = true,
        }
        true
    }

    fn poll_master(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = match self.master.poll_read_ready(cx) {
                Poll::Ready(guard) => guard?,
                Poll::Pending => return Poll::Pending,
            };
            let chunk = &mut self.chunk[..];
            let read = guard.try_io(|master| Ok(rustix::io::read(master.get_ref(), chunk)?));
            if let Ok(result) = read {
                return Poll::Ready(result);
            }
        }
    }

    /// Reads without waiting for readiness. Output may still be in the kernel's hands when a read finds
    /// none; poll(2) has it delivered (n_tty flushes its queue).
    fn read_rest(&mut self) -> io::Result<usize> {
        loop {
            match rustix::io::read(self.master.get_ref(), &mut self.chunk[..]) {
                Err(Errno::AGAIN)
                    if stream::ready_for(self.master.get_ref().as_fd(), PollFlags::IN)? => {}
                Err(Errno::AGAIN) => return Ok(0),
                result => return Ok(result?),
            }
        }
    }

    /// Queues the first `length` bytes of the chunk for the user.
    fn show(&mut self, length: usize) {
        let chunk = self.chunk.get(..length).unwrap_or_default();
        match &mut self.screen {
            None => self.shown.push(chunk),
            Some(screen) => {
                self.filtered.clear();
                screen.feed(chunk, &mut self.filtered);
                self.shown.push(&self.filtered);
            }
        }
    }

    fn write_user(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        if self.shown.pending().is_empty() {
            return false;
        }
        match self.sink.poll_write(self.shown.pending(), cx) {
            Poll::Pending => {
                self.shown.blocked(now);
                return false;
            }
            Poll::Ready(count) => self.shown.written(count),
        }
        if let Some(lost) = self.shown.take_lost() {
            let note =
                format!("\r\n[nsrun: {lost} bytes of console output were not taken in time]\r\n");
            self.shown.push(note.as_bytes());
        }
        true
    }
}

#[cfg(test)]
mod tests;
