//! What of nsrun's own surroundings a machine uses, through all its reboots.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal as Named};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::hub::Hub;
use super::manager::Manager;
use super::screen::Screen;
use super::signal::Signal;
use super::stream::Sink;
use crate::cgroup::SCOPE_STOP;
use crate::error::{Context, Result};
use crate::terminal::Terminal;

/// How the payload's console and the user come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleMode {
    /// The user's terminal becomes the console.
    Interactive,
    /// Its output is shown, and it has no input.
    ReadOnly,
    /// Its output is thrown away.
    Passive,
    /// It is kept in a log and shown to whoever attaches, of whom one may write.
    Served,
}

impl ConsoleMode {
    /// Interactive if both standard input and output are terminals and this is the foreground job,
    /// else read-only.
    #[must_use]
    pub fn detect() -> Self {
        let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        let terminal = Terminal::new(input).ok().flatten();
        let foreground = terminal.is_some_and(|terminal| terminal.in_foreground());
        if foreground && rustix::termios::isatty(output) {
            Self::Interactive
        } else {
            Self::ReadOnly
        }
    }
}

/// The terminal, the signals and the service manager. It outlives a machine's reboots, across
/// which the terminal stays raw; on drop the terminal is as before.
#[derive(Debug)]
pub struct Session {
    pub(crate) mode: ConsoleMode,
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) terminal: Option<Terminal>,
    /// What the payload did to the terminal, if the output is one.
    pub(crate) screen: Option<Screen>,
    pub(crate) signals: Signals,
    pub(crate) manager: Manager,
    /// Where a served console is to be had.
    pub(crate) hub: Option<Rc<RefCell<Hub>>>,
}

impl Session {
    /// Takes the process's standard input and output, and blocks its signals, to be read from now
    /// on. To be called before the first thing that a signal must not interrupt half-way, by the
    /// only thread; the payload has to unblock them.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn open(mode: ConsoleMode) -> Result<Self> {
        let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        Self::over(mode, input, output, Manager::from_environment())
    }

    /// The same over other descriptors.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn over(
        mode: ConsoleMode,
        input: BorrowedFd<'_>,
        output: BorrowedFd<'_>,
        manager: Manager,
    ) -> Result<Self> {
        let duplicate = |fd: BorrowedFd<'_>| {
            let copy = fd.try_clone_to_owned();
            copy.cannot(|| "duplicate standard input and output")
        };
        let screen = rustix::termios::isatty(output).then(Screen::default);
        // The terminal's size is wanted even if only the output is one.
        let terminal = match Terminal::new(input)? {
            Some(terminal) if mode == ConsoleMode::Interactive => Some(terminal),
            _ => Terminal::new(output)?,
        };
        Ok(Self {
            mode,
            input: duplicate(input)?,
            output: duplicate(output)?,
            terminal,
            screen,
            signals: Signals::block()?,
            manager,
            hub: None,
        })
    }

    /// For a process that works in the background and reports at the other end of `starter`, if
    /// there is one, until it has nothing more to wait for.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn in_background(starter: Option<OwnedFd>) -> Result<Self> {
        let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        let manager = starter.map_or_else(Manager::from_environment, Manager::over);
        Self::over(ConsoleMode::Served, input, output, manager)
    }

    /// Serves the console there, from the next run on.
    pub fn serve(&mut self, hub: Hub) {
        self.hub = Some(Rc::new(RefCell::new(hub)));
    }

    /// Has what this process says from now on put into the log of the console that it serves: it
    /// lets go of whatever it was started with.
    pub(crate) fn speak_to_log(&self) {
        let hub = self.hub.as_ref().map(|hub| hub.borrow());
        if let Some(log) = hub.as_ref().and_then(|hub| hub.log_file()) {
            // A closed descriptor 1 or 2 is the only failure, and no harm.
            let _ = rustix::stdio::dup2_stdout(log);
            let _ = rustix::stdio::dup2_stderr(log);
        }
    }

    /// Whether a signal that asks for the end has come and was not yet heeded. Between two runs of a
    /// machine the caller then does not start it again.
    pub fn stop_requested(&mut self) -> bool {
        self.signals.collect();
        let mut waiting = self.signals.waiting.iter();
        waiting.any(|signal| signal.asks_to_end())
    }

    /// Does nothing for a while; false as soon as a signal asks for the end. Signals that do not are
    /// kept for later.
    pub fn rests(&mut self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        while !self.stop_requested() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let timeout = Timespec::try_from(left).unwrap_or_default();
            let mut fds = [PollFd::new(&self.signals.file, PollFlags::IN)];
            // Interrupted, or something came: both are looked at.
            let _ = poll(&mut fds, Some(&timeout));
        }
        false
    }

    /// Gives the terminal back to the user, in an ordinary state.
    pub fn leave_terminal(&mut self) {
        let reset = self.screen.as_ref().map(Screen::reset).unwrap_or_default();
        if !reset.is_empty() {
            Sink::write_now(self.output.as_fd(), &reset);
            self.screen = Some(Screen::default());
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.restore();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave_terminal();
    }
}

/// The signals to this process, which come by a descriptor and interrupt nothing.
#[derive(Debug)]
pub(crate) struct Signals {
    file: SignalFd,
    /// Read and not yet handled.
    waiting: VecDeque<Signal>,
}

impl Signals {
    /// Blocks every signal that would end the process or concerns the machine: a signal whose default
    /// is to end it would leave a raw terminal behind.
    fn block() -> Result<Self> {
        let mut set = SigSet::all();
        for not in [
            // The process's own faults.
            Named::SIGABRT,
            Named::SIGBUS,
            Named::SIGFPE,
            Named::SIGILL,
            Named::SIGSEGV,
            Named::SIGSYS,
            Named::SIGTRAP,
            // Job control goes on as the user knows it.
            Named::SIGTSTP,
            Named::SIGTTIN,
            Named::SIGTTOU,
            // Ignored; blocked it would be delivered.
            Named::SIGCHLD,
            Named::SIGPIPE,
        ] {
            set.remove(not);
        }
        set.thread_block().cannot(|| "block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let file = SignalFd::with_flags(&set, flags).cannot(|| "make a signal descriptor")?;
        Ok(Self {
            file,
            waiting: VecDeque::new(),
        })
    }

    /// The next signal that has come; `WouldBlock` if there is none.
    pub(crate) fn next(&mut self) -> io::Result<Signal> {
        if let Some(signal) = self.waiting.pop_front() {
            return Ok(signal);
        }
        self.read()
    }

    fn read(&self) -> io::Result<Signal> {
        loop {
            let info = self.file.read_signal()?.ok_or(io::ErrorKind::WouldBlock)?;
            if let Some(signal) = meant(info.ssi_signo, info.ssi_pid) {
                return Ok(signal);
            }
        }
    }

    /// What becomes readable when a signal comes.
    pub(crate) fn file(&self) -> io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }

    fn collect(&mut self) {
        while let Ok(signal) = self.read() {
            self.waiting.push_back(signal);
        }
    }
}

/// What a signal means by its number and sender. [`SCOPE_STOP`] is the request of the host's systemd
/// to stop the scope; from others it means nothing, as to any process.
fn meant(number: u32, sender: u32) -> Option<Signal> {
    match i32::try_from(number).ok()? {
        SCOPE_STOP if sender == 1 => Some(Signal::TERM),
        SCOPE_STOP => None,
        number => Signal::new(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn the_stop_of_a_scope_is_a_request_if_it_comes_from_systemd() {
        let number = |number: i32| u32::try_from(number).unwrap();
        assert_eq!(meant(number(SCOPE_STOP), 1), Some(Signal::TERM));
        assert_eq!(meant(number(SCOPE_STOP), 2), None);
        assert_eq!(meant(number(libc::SIGHUP), 2), Some(Signal::HUP));
        let mut signals = Signals::block().unwrap();
        raise(Named::SIGURG).unwrap();
        let none = signals.next().unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn signals_are_read_and_do_not_end_the_process() {
        let mut signals = Signals::block().unwrap();
        raise(Named::SIGTERM).unwrap();
        raise(Named::SIGUSR1).unwrap();
        let mut seen = [signals.next().unwrap(), signals.next().unwrap()].map(Signal::number);
        seen.sort_unstable();
        assert_eq!(seen, [libc::SIGUSR1, libc::SIGTERM]);
        let none = signals.next().unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_pending_request_is_seen_and_kept() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let (input, output) = (null.as_fd(), null.as_fd());
        let mut session =
            Session::over(ConsoleMode::Passive, input, output, Manager::default()).unwrap();
        assert!(!session.stop_requested());
        raise(Named::SIGWINCH).unwrap();
        assert!(!session.stop_requested());
        raise(Named::SIGINT).unwrap();
        assert!(session.stop_requested() && session.stop_requested());
        assert_eq!(session.signals.next().unwrap(), Signal::WINCH);
        assert_eq!(session.signals.next().unwrap(), Signal::INT);
    }
}
