//! The console of a machine that has no terminal: written to a log, and shown to whoever attaches.
//!
//! One who attaches may write, the first; others look on. Nobody can hold the machine up: what a
//! viewer does not take is lost to that viewer.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::termios::Winsize;

use super::console_log::ConsoleLog;
use super::lines::{FromViewer, decode, greeting, lost, output};
use crate::error::{Context, Result};

/// The socket's name in the machine's directory.
pub(crate) const SOCKET: &str = "console";

/// What somebody who attaches is shown of before.
const TAIL: usize = 4 * 1024;

/// More at once are turned away.
const VIEWERS: usize = 16;

/// Longer messages are cut by the kernel, and then not understood.
const LONGEST: usize = 4 * 1024;

const LISTENER: u64 = u64::MAX;

/// What a viewer wants of the console.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// This was typed.
    Typed(Vec<u8>),
    /// The writer's terminal has this size.
    Size(u16, u16),
}

/// Log, listener and viewers. They outlive a machine's reboots.
#[derive(Debug)]
pub struct Hub {
    log: ConsoleLog,
    listener: OwnedFd,
    epoll: OwnedFd,
    viewers: Vec<Viewer>,
    tail: VecDeque<u8>,
    next: u64,
}

#[derive(Debug)]
struct Viewer {
    number: u64,
    socket: OwnedFd,
    writes: bool,
    lost: u64,
}

impl Hub {
    /// Listens in `directory`, and logs to `log`.
    ///
    /// # Errors
    /// If either cannot be made.
    pub fn new(directory: &Path, log: &Path) -> Result<Self> {
        let what = || {
            format!(
                "listen for viewers of the console in {}",
                directory.display()
            )
        };
        let listener = listen(directory).cannot(what)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).cannot(what)?;
        let hub = Self {
            log: ConsoleLog::open(log)?,
            listener,
            epoll,
            viewers: Vec::new(),
            tail: VecDeque::with_capacity(TAIL),
            next: 0,
        };
        hub.watch(hub.listener.as_fd(), LISTENER).cannot(what)?;
        Ok(hub)
    }

    /// What becomes readable when [`Hub::next_wish`] has something to do.
    pub(crate) fn file(&self) -> io::Result<OwnedFd> {
        self.epoll.try_clone()
    }

    /// The log that is being written.
    pub(crate) fn log_file(&self) -> Option<BorrowedFd<'_>> {
        self.log.file()
    }

    /// Shows `bytes` to everybody, without waiting for anybody.
    pub(crate) fn show(&mut self, bytes: &[u8]) {
        self.log.write(bytes);
        let over = (self.tail.len() + bytes.len()).saturating_sub(TAIL);
        self.tail.drain(..over.min(self.tail.len()));
        let last = bytes.len().saturating_sub(TAIL);
        self.tail.extend(bytes.get(last..).unwrap_or_default());
        for piece in bytes.chunks(LONGEST - 1) {
            self.viewers
                .iter_mut()
                .for_each(|viewer| viewer.show(piece));
        }
    }

    /// What a viewer wants next; `None` if nobody wants anything now. Lets viewers in and out.
    pub(crate) fn next_wish(&mut self) -> Option<Wish> {
        loop {
            let mut events = Vec::with_capacity(1);
            let none = Timespec::try_from(Duration::ZERO).ok()?;
            let waited = epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&none),
            );
            match waited {
                Ok(0) => return None,
                Err(Errno::INTR) => continue,
                Err(_) => return None,
                Ok(_) => {}
            }
            match events.first().map(|event| event.data.u64()) {
                Some(LISTENER) => self.let_in(),
                Some(number) => {
                    if let Some(wish) = self.hear(number) {
                        return Some(wish);
                    }
                }
                None => return None,
            }
        }
    }

    fn watch(&self, file: BorrowedFd<'_>, number: u64) -> rustix::io::Result<()> {
        let data = epoll::EventData::new_u64(number);
        epoll::add(&self.epoll, file, data, epoll::EventFlags::IN)
    }

    fn let_in(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = rustix::net::accept_with(&self.listener, flags) else {
            return;
        };
        let number = self.next;
        self.next += 1;
        if self.viewers.len() >= VIEWERS || self.watch(socket.as_fd(), number).is_err() {
            return;
        }
        let mut viewer = Viewer {
            number,
            writes: false,
            lost: 0,
            socket,
        };
        let tail = self.tail.make_contiguous();
        // From the beginning of a line, so that no sequence is shown in half.
        let start = tail.iter().position(|byte| *byte == b'\n');
        let start = start.filter(|_| tail.len() == TAIL).map_or(0, |at| at + 1);
        tail.get(start..)
            .unwrap_or_default()
            .chunks(LONGEST - 1)
            .for_each(|piece| viewer.show(piece));
        self.viewers.push(viewer);
    }

    fn hear(&mut self, number: u64) -> Option<Wish> {
        let at = self.viewers.iter().position(|v| v.number == number)?;
        let taken = self.viewers.iter().any(|viewer| viewer.writes);
        let viewer = self.viewers.get_mut(at)?;
        let mut message = [0; LONGEST];
        let message = match rustix::net::recv(&viewer.socket, &mut message, RecvFlags::DONTWAIT) {
            Ok((length @ 1.., _)) => message.get(..length)?,
            Err(Errno::AGAIN | Errno::INTR) => return None,
            Ok(_) | Err(_) => {
                // It has gone. The kernel stops watching what is closed.
                self.viewers.remove(at);
                return None;
            }
        };
        match decode(message) {
            Some(FromViewer::Write { take }) => {
                let may = take || !taken;
                if may {
                    self.viewers
                        .iter_mut()
                        .for_each(|other| other.hand_over(number));
                }
                if let Some(viewer) = self.viewers.get_mut(at) {
                    viewer.tell(&greeting(may));
                }
                None
            }
            Some(FromViewer::Typed(bytes)) if viewer.writes => Some(Wish::Typed(bytes.to_vec())),
            Some(FromViewer::Size { rows, columns }) if viewer.writes => {
                Some(Wish::Size(rows, columns))
            }
            _ => None,
        }
    }
}

impl Viewer {
    fn show(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.lost > 0 && self.sent(&lost(self.lost)) {
            self.lost = 0;
        }
        if self.lost > 0 || !self.sent(&output(bytes)) {
            self.lost += bytes.len() as u64;
        }
    }

    fn tell(&mut self, message: &[u8]) {
        // A viewer that takes nothing will miss its greeting, too.
        let _ = self.sent(message);
    }

    fn sent(&self, message: &[u8]) -> bool {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // Who has gone is found out by reading.
        !matches!(
            rustix::net::send(&self.socket, message, flags),
            Err(Errno::AGAIN)
        )
    }

    /// Only the viewer of that number writes from now on.
    fn hand_over(&mut self, to: u64) {
        let before = std::mem::replace(&mut self.writes, self.number == to);
        if before && !self.writes {
            self.tell(&greeting(false));
        }
    }
}

/// Only root can connect: the permission to write to the socket's file counts (unix(7)).
fn listen(directory: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    let (address, _directory) = address(directory)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}

/// Connects to the console of the machine whose directory that is.
pub(crate) fn connect(directory: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let (address, _directory) = address(directory)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

/// A path for a socket address has 108 bytes, which the directory's own may exceed.
fn address(directory: &Path) -> rustix::io::Result<(SocketAddrUnix, OwnedFd)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    Ok((SocketAddrUnix::new(path)?, directory))
}

/// What a size means to a pty.
pub(crate) fn window(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
