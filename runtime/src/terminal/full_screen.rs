//! A program that has the whole screen, until it ends, is stopped or dies.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Terminal, say};
use crate::error::{Context, Error, Kind, Result};
use crate::sys;

/// The other screen, without a cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";

/// The cursor, ordinary colours, and the screen from before.
const LEAVE: &[u8] = b"\x1b[?25h\x1b[0m\x1b[?1049l";

/// Why [`FullScreen::wait`] has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// There is something to read from standard input.
    Typed,
    /// The screen has another size, or has to be drawn anew.
    Redraw,
    /// The time is over.
    Due,
    /// A signal asks to end, or the terminal has gone. The number of the signal.
    End(i32),
}

/// The terminal's other screen. Signals are blocked while it is shown, and read: one that ends or
/// stops the process would leave the terminal in disorder.
#[derive(Debug)]
pub struct FullScreen {
    terminal: Terminal,
    signals: SignalFd,
    before: SigSet,
}

impl FullScreen {
    /// Takes the terminal that is standard input. To be called by the only thread.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it is none; when it refuses.
    pub fn enter() -> Result<Self> {
        let what = || "read signals";
        let terminal = Terminal::new(rustix::stdio::stdin())?;
        let none = || Error::new(Kind::Usage, "standard input is no terminal");
        let mut terminal = terminal.ok_or_else(none)?;
        terminal.farewell = LEAVE;
        let set: SigSet = [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGTSTP,
            Signal::SIGWINCH,
        ]
        .into_iter()
        .collect();
        let before = SigSet::thread_get_mask().cannot(what)?;
        set.thread_block().cannot(what)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&set, flags).cannot(what)?;
        let mut screen = Self {
            terminal,
            signals,
            before,
        };
        screen.show()?;
        Ok(screen)
    }

    fn show(&mut self) -> Result<()> {
        self.terminal.make_raw()?;
        say(self.terminal.file.as_fd(), ENTER);
        Ok(())
    }

    /// Waits until there is something to do.
    ///
    /// # Errors
    /// When the kernel refuses to wait, or the terminal to be taken again after a stop.
    pub fn wait(&mut self, deadline: Instant) -> Result<Wake> {
        loop {
            match self.signal().cannot(|| "read signals")? {
                Some(Signal::SIGTSTP) => {
                    self.suspend()?;
                    return Ok(Wake::Redraw);
                }
                Some(Signal::SIGWINCH) => return Ok(Wake::Redraw),
                Some(signal) => return Ok(Wake::End(signal as i32)),
                None => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.poll(left) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).cannot(|| "wait for a key"),
                Ok(seen) if seen.contains(PollFlags::HUP) => {
                    return Ok(Wake::End(Signal::SIGHUP as i32));
                }
                Ok(seen) if seen.contains(PollFlags::IN) => return Ok(Wake::Typed),
                Ok(_) if Instant::now() >= deadline => return Ok(Wake::Due),
                Ok(_) => {}
            }
        }
    }

    /// What happened to the terminal.
    fn poll(&self, left: Duration) -> Result<PollFlags, Errno> {
        let left = Timespec::try_from(left).unwrap_or_default();
        let mut events = [
            PollFd::new(&self.terminal.file, PollFlags::IN),
            PollFd::new(&self.signals, PollFlags::IN),
        ];
        poll(&mut events, Some(&left))?;
        Ok(events[0].revents())
    }

    fn signal(&self) -> io::Result<Option<Signal>> {
        let Some(info) = self.signals.read_signal()? else {
            return Ok(None);
        };
        let number = i32::try_from(info.ssi_signo).map_err(io::Error::other)?;
        Ok(Signal::try_from(number).ok())
    }

    /// Gives the terminal back and stops, as job control wants; takes it again when the process goes
    /// on in the foreground. A process in the background is stopped once more by the kernel, when it
    /// changes the modes.
    ///
    /// # Errors
    /// When the terminal refuses to be taken again.
    pub fn suspend(&mut self) -> Result<()> {
        self.terminal.restore();
        sys::signal::raise(libc::SIGSTOP);
        self.show()
    }

    /// Gives the terminal back and ends as the signal would have it.
    pub fn end(self, signal: i32) {
        drop(self);
        sys::signal::raise(signal);
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        self.terminal.restore();
        // It cannot fail: the set is one that the kernel gave.
        let _ = self.before.thread_set_mask();
    }
}
