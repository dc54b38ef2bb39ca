//! The user's terminal and a pty of a machine, connected until one of them leaves.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};

use super::keys::{HotKey, HotKeys};
use super::session::Session;
use super::signal::Signal;
use crate::error::{Context, Result};
use crate::terminal::Terminal;

const CHUNK: usize = 4 * 1024;

/// Why the two were parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parted {
    /// The user wants to leave.
    Left,
    /// What was waited for has ended.
    Ended,
}

/// Connects the terminal of `session` with the pty `master`, until the user leaves or `end` becomes
/// readable.
///
/// # Errors
/// If the terminal or the pty fails.
pub(crate) fn relay(
    master: &OwnedFd,
    end: BorrowedFd<'_>,
    session: &mut Session,
) -> Result<Parted> {
    let what = || "connect the terminal";
    // Held open: between one getty and the next the pty would report a hang-up.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let _keeper = ioctl_tiocgptpeer(master, flags).cannot(what)?;
    rustix::io::ioctl_fionbio(master, true).cannot(what)?;
    let signals = session.signals.file().cannot(what)?;
    if let Some(terminal) = &mut session.terminal {
        terminal.make_raw()?;
    }
    resize(master, session);
    let mut keys = HotKeys::default();
    loop {
        let [output, typed, signal, ended] =
            ready([master.as_fd(), session.input.as_fd(), signals.as_fd(), end])?;
        if output {
            show(master, session)?;
        }
        if ended {
            show(master, session)?;
            return Ok(Parted::Ended);
        }
        if signal && heed(master, session)? {
            return Ok(Parted::Left);
        }
        if typed && pass_on(master, session, &mut keys)? {
            return Ok(Parted::Left);
        }
    }
}

fn ready<const N: usize>(files: [BorrowedFd<'_>; N]) -> Result<[bool; N]> {
    let mut fds = files.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    rustix::io::retry_on_intr(|| poll(&mut fds, None)).cannot(|| "wait for the terminal")?;
    Ok(fds.map(|fd| !fd.revents().is_empty()))
}

fn resize(master: &OwnedFd, session: &Session) {
    if let Some(size) = session.terminal.as_ref().and_then(Terminal::size) {
        // A pty refuses no size.
        let _ = rustix::termios::tcsetwinsize(master, size);
    }
}

/// Whether a signal asks this process to end.
fn heed(master: &OwnedFd, session: &mut Session) -> Result<bool> {
    while let Ok(signal) = session.signals.next() {
        match signal {
            Signal::WINCH => resize(master, session),
            Signal::CONT => {
                if let Some(terminal) = &mut session.terminal {
                    terminal.make_raw()?;
                }
                resize(master, session);
            }
            signal if signal.asks_to_end() => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}

/// Shows what has been written, without waiting for more.
fn show(master: &OwnedFd, session: &mut Session) -> Result<()> {
    let mut chunk = [0; CHUNK];
    let mut clean = Vec::new();
    let length = match rustix::io::read(master, &mut chunk) {
        Ok(length) => length,
        Err(Errno::AGAIN | Errno::INTR | Errno::IO) => return Ok(()),
        Err(errno) => return Err(errno).cannot(|| "read the machine's terminal"),
    };
    let bytes = chunk.get(..length).unwrap_or_default();
    match &mut session.screen {
        Some(screen) => screen.feed(bytes, &mut clean),
        None => clean.extend_from_slice(bytes),
    }
    write_all(session.output.as_fd(), &clean).cannot(|| "write to standard output")
}

/// Whether the user wants to leave.
fn pass_on(master: &OwnedFd, session: &Session, keys: &mut HotKeys) -> Result<bool> {
    let mut typed = [0; CHUNK];
    let length = match rustix::io::read(&session.input, &mut typed) {
        Ok(0) | Err(Errno::IO) => return Ok(true),
        Ok(length) => length,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
        Err(errno) => return Err(errno).cannot(|| "read standard input"),
    };
    let typed = typed.get(..length).unwrap_or_default();
    let (passed, key, _) = keys.scan(typed, Instant::now());
    // What a machine that reads nothing has no room for is lost, as on any terminal.
    let _ = rustix::io::write(master, passed);
    Ok(key == Some(HotKey::Leave))
}

/// Only the user waits if the terminal stands still.
pub(super) fn write_all(output: BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(output, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(5)),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
