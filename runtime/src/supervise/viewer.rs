//! Looking at, and typing into, a console that another process serves.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::termios::Winsize;

use super::keys::{HotKey, HotKeys};
use super::lines::{self, ToViewer};
use super::relay::write_all;
use super::session::{ConsoleMode, Session};
use super::signal::Signal;
use crate::error::{Context, Result};
use crate::terminal::Terminal;

/// The longest message, and what is read of the keyboard at a time.
const LONGEST: usize = 4 * 1024;
const KEYS: usize = 1024;

/// How to look at a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewing {
    /// Only look on.
    Watch,
    /// Write, unless another viewer does.
    Write,
    /// Write, also if another viewer does: that one looks on from then on.
    Take,
}

/// Why a viewer has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The machine has ended.
    Ended,
    /// The user wants to leave.
    Detached,
    /// The user wants the machine to power off.
    PowerOff,
    /// The user wants the machine to reboot.
    Reboot,
}

/// Shows the console at `socket` until it ends or the user leaves. `tell` gets what the user should
/// know.
///
/// # Errors
/// If the terminal or the socket fails.
pub(crate) fn view(
    socket: &OwnedFd,
    session: &mut Session,
    how: Viewing,
    tell: &mut dyn FnMut(&str),
) -> Result<Left> {
    let interactive = session.mode == ConsoleMode::Interactive;
    let mut viewer = Viewer {
        socket: socket.as_fd(),
        keys: HotKeys::default(),
        looks_on: !interactive || how == Viewing::Watch,
        shown: Vec::new(),
    };
    if interactive && how != Viewing::Watch {
        viewer.say(&lines::write(how == Viewing::Take))?;
    }
    if interactive && let Some(terminal) = &mut session.terminal {
        terminal.make_raw()?;
    }
    let signals = session.signals.file().cannot(|| "wait for signals")?;
    loop {
        let input = interactive.then_some(session.input.as_fd());
        let ready = wait(viewer.socket, signals.as_fd(), input)?;
        if ready.signal
            && let Some(left) = viewer.signals(session)?
        {
            return Ok(left);
        }
        if ready.socket
            && let Some(left) = viewer.output(session, tell)?
        {
            return Ok(left);
        }
        if ready.input
            && let Some(left) = viewer.input(session)?
        {
            return Ok(left);
        }
    }
}

/// Types into the console at `socket` without looking at it.
///
/// # Errors
/// If it ends before.
pub(crate) fn type_in(socket: &OwnedFd, bytes: &[u8]) -> Result<()> {
    let mut viewer = Viewer {
        socket: socket.as_fd(),
        keys: HotKeys::default(),
        looks_on: true,
        shown: Vec::new(),
    };
    viewer.say(&lines::write(true))?;
    while viewer.looks_on {
        let mut message = [0; LONGEST];
        let received = rustix::net::recv(viewer.socket, &mut message, RecvFlags::empty());
        let (length, _) = received.cannot(|| "listen to the console")?;
        if length == 0 {
            return Err(Errno::PIPE).cannot(|| "type at the console");
        }
        let message = message.get(..length).unwrap_or_default();
        viewer.looks_on = lines::decode_for_viewer(message) != Some(ToViewer::Writes(true));
    }
    for piece in bytes.chunks(KEYS) {
        viewer.say(&lines::typed(piece))?;
    }
    Ok(())
}

struct Ready {
    socket: bool,
    input: bool,
    signal: bool,
}

fn wait(
    socket: BorrowedFd<'_>,
    signals: BorrowedFd<'_>,
    input: Option<BorrowedFd<'_>>,
) -> Result<Ready> {
    let files = [Some(socket), Some(signals), input];
    let mut fds: Vec<PollFd<'_>> = files
        .into_iter()
        .flatten()
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    rustix::io::retry_on_intr(|| poll(&mut fds, None)).cannot(|| "wait for the console")?;
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let mut next = || ready.next().unwrap_or(false);
    Ok(Ready {
        socket: next(),
        signal: next(),
        input: next(),
    })
}

struct Viewer<'a> {
    socket: BorrowedFd<'a>,
    keys: HotKeys,
    /// Another writes, or this one does not want to. Until that is known, what is typed is sent: the
    /// other end knows.
    looks_on: bool,
    shown: Vec<u8>,
}

impl Viewer<'_> {
    fn say(&self, message: &[u8]) -> Result<()> {
        match rustix::net::send(self.socket, message, SendFlags::NOSIGNAL) {
            // That it has gone is heard from it.
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(errno).cannot(|| "talk to the console's supervisor"),
        }
    }

    fn signals(&self, session: &mut Session) -> Result<Option<Left>> {
        while let Ok(signal) = session.signals.next() {
            match signal {
                Signal::WINCH => self.size(session)?,
                signal if signal.asks_to_end() => return Ok(Some(Left::Detached)),
                // After a stop by job control, during which the shell had the terminal.
                Signal::CONT if session.mode == ConsoleMode::Interactive => {
                    if let Some(terminal) = &mut session.terminal {
                        terminal.make_raw()?;
                    }
                    self.size(session)?;
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn size(&self, session: &Session) -> Result<()> {
        let size = session.terminal.as_ref().and_then(Terminal::size);
        let Some(Winsize { ws_row, ws_col, .. }) = size.filter(|_| !self.looks_on) else {
            return Ok(());
        };
        self.say(&lines::size(ws_row, ws_col))
    }

    fn output(
        &mut self,
        session: &mut Session,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Option<Left>> {
        let mut message = [0; LONGEST];
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recv(self.socket, &mut message, RecvFlags::empty())
        });
        let length = match received {
            Ok((0, _)) | Err(Errno::CONNRESET) => return Ok(Some(Left::Ended)),
            received => received.cannot(|| "listen to the console")?.0,
        };
        match lines::decode_for_viewer(message.get(..length).unwrap_or_default()) {
            Some(ToViewer::Output(bytes)) => self.show(session, bytes)?,
            Some(ToViewer::Lost(count)) => {
                let note = format!(
                    "\r\n[nsrun: {count} bytes of console output were not taken in time]\r\n"
                );
                self.show(session, note.as_bytes())?;
            }
            Some(ToViewer::Writes(may)) => {
                if !may {
                    tell("another viewer writes; this one looks on");
                }
                self.looks_on = !may;
                self.size(session)?;
            }
            None => {}
        }
        Ok(None)
    }

    /// Only this viewer waits if its terminal stands still.
    fn show(&mut self, session: &mut Session, bytes: &[u8]) -> Result<()> {
        self.shown.clear();
        match &mut session.screen {
            Some(screen) => screen.feed(bytes, &mut self.shown),
            None => self.shown.extend_from_slice(bytes),
        }
        write_all(session.output.as_fd(), &self.shown).cannot(|| "write to standard output")
    }

    fn input(&mut self, session: &Session) -> Result<Option<Left>> {
        let mut typed = [0; KEYS];
        let length = match rustix::io::read(&session.input, &mut typed) {
            // The terminal is gone, or there is nothing more to type.
            Ok(0) | Err(Errno::IO) => return Ok(Some(Left::Detached)),
            Err(Errno::INTR | Errno::AGAIN) => return Ok(None),
            read => read.cannot(|| "read standard input")?,
        };
        let typed = typed.get(..length).unwrap_or_default();
        let (passed, key, _) = self.keys.scan(typed, Instant::now());
        if !self.looks_on && !passed.is_empty() {
            self.say(&lines::typed(passed))?;
        }
        Ok(key.map(|key| match key {
            HotKey::Leave => Left::Detached,
            HotKey::PowerOff => Left::PowerOff,
            HotKey::Reboot => Left::Reboot,
        }))
    }
}
