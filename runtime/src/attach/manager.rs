//! Asking the service manager of a machine, over the private socket that systemd has for root.
//!
//! It takes only connections of its own root. So a process that has become that connects the
//! socket and ends; the conversation is ours. The answers are the payload's, and so is whether any
//! come.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{DumpableBehavior, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use super::dbus::{self, Body, Call, Reply};
use crate::error::{Context, Result};
use crate::facts::ImageRoot;
use crate::launch::process;
use crate::state::PidFd;
use crate::sys::clone::{self, Side};

const SOCKET: &str = "run/systemd/private";

pub(super) const DESTINATION: &str = "org.freedesktop.systemd1";
pub(super) const PATH: &str = "/org/freedesktop/systemd1";
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// What the service manager of a machine says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `running`, `degraded`, `starting` and the like.
    pub(crate) state: String,
    /// Names of failed units.
    pub(crate) failed: Vec<String>,
}

/// Asks the manager; `None` if the payload has no systemd. `mapped` tells whether the machine has a
/// user namespace.
///
/// # Errors
/// If the manager cannot be reached, or has not answered after `patience`.
pub(crate) fn ask(leader: &PidFd, mapped: bool, patience: Duration) -> Result<Option<Answer>> {
    let what = || "ask the service manager of the machine";
    let Some(socket) = reach(leader, mapped)? else {
        return Ok(None);
    };
    let end = Instant::now() + patience;
    let answer = converse(socket, end).map_err(too_slow);
    answer.map(Some).cannot(what)
}

/// A connection to the manager; `None` if the payload has no systemd, or not yet.
pub(super) fn reach(leader: &PidFd, mapped: bool) -> Result<Option<UnixStream>> {
    let what = || "reach the service manager of the machine";
    let root = ImageRoot::open(format!("/proc/{}/root", leader.pid()).as_ref())?;
    // Only while the process has not been reaped the number was its own.
    if !leader.is_running().cannot(what)? {
        return Ok(None);
    }
    let Ok(place) = root.place(SOCKET) else {
        return Ok(None);
    };
    let stat = rustix::fs::fstat(&place).cannot(what)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Ok(None);
    }
    let socket = connect(leader, mapped, &place).map_err(too_slow);
    socket.map(Some).cannot(what)
}

/// A connection to the socket `place`, made by a process that is root in the machine. systemd wants
/// to see its number, too: it is in the machine's PID namespace.
fn connect(leader: &PidFd, mapped: bool, place: &OwnedFd) -> io::Result<UnixStream> {
    // With all places in the queue taken, as of a manager that stands still, connecting would wait.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
    let ours = pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    nix::sched::setns(leader, CloneFlags::CLONE_NEWPID)?;
    let child = match clone::clone3(0, None) {
        Ok(Side::Child) => {
            let connected = connect_as_root(leader.as_fd(), mapped, &socket, &address);
            clone::exit_now(connected.map_or_else(Errno::raw_os_error, |()| 0))
        }
        Ok(Side::Parent { pidfd, .. }) => Ok(pidfd),
        Err(error) => Err(error),
    };
    // Other children of this process are to be on the host.
    nix::sched::setns(&ours, CloneFlags::CLONE_NEWPID)?;
    finish(&child?).map(|()| socket.into())
}

/// Waits for the child, whose exit status is an errno.
fn finish(child: &OwnedFd) -> io::Result<()> {
    let wait = || waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED);
    let ended = rustix::io::retry_on_intr(wait)?;
    match ended.and_then(|status| status.exit_status()) {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        None => Err(io::Error::other("the connecting process was killed")),
    }
}

/// The kernel keeps for the other side who has connected. Allocates nothing.
fn connect_as_root(
    leader: BorrowedFd<'_>,
    mapped: bool,
    socket: &OwnedFd,
    address: &SocketAddrUnix,
) -> Result<(), Errno> {
    // The image of this process is nsrun's: nobody inside may look into it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if mapped {
        nix::sched::setns(leader, CloneFlags::CLONE_NEWUSER)
            .map_err(|e| Errno::from_raw_os_error(e as i32))?;
        process::become_root()?;
    }
    rustix::net::connect(socket, address)
}

/// One side of a conversation, which ends at a moment whatever the other does.
struct Talk {
    socket: BufReader<UntilThen>,
    serial: u32,
}

/// Reads that wait until some moment.
struct UntilThen {
    socket: UnixStream,
    end: Instant,
}

impl Read for UntilThen {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.socket.read(buffer)
    }
}

fn converse(socket: UnixStream, end: Instant) -> io::Result<Answer> {
    // What is sent is short, and the socket's buffer is empty: no write waits.
    socket.set_nonblocking(false)?;
    let mut talk = Talk {
        socket: BufReader::new(UntilThen { socket, end }),
        serial: 0,
    };
    talk.begin()?;
    Ok(Answer {
        state: talk.state()?,
        failed: talk.failed()?,
    })
}

impl Talk {
    /// The socket knows who has connected; the user is told for form's sake.
    fn begin(&mut self) -> io::Result<()> {
        self.send(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n")?;
        let mut line = Vec::new();
        let longest = 256;
        let mut beginning = (&mut self.socket).take(longest);
        beginning.read_until(b'\n', &mut line)?;
        match line.starts_with(b"OK ") && line.ends_with(b"\n") {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut socket = &self.socket.get_ref().socket;
        socket.write_all(bytes)
    }

    fn state(&mut self) -> io::Result<String> {
        let body = self.call(PROPERTIES, "Get", Body::Pair(MANAGER, "SystemState"))?;
        dbus::property(&body).ok_or_else(nonsense)
    }

    fn failed(&mut self) -> io::Result<Vec<String>> {
        let body = self.call(MANAGER, "ListUnitsFiltered", Body::List("failed"))?;
        let mut names = dbus::unit_names(&body).ok_or_else(nonsense)?;
        names.sort_unstable();
        Ok(names)
    }

    fn call(&mut self, interface: &str, member: &str, body: Body<'_>) -> io::Result<Vec<u8>> {
        self.serial += 1;
        let call = Call {
            destination: DESTINATION,
            path: PATH,
            interface,
            member,
            body,
        };
        self.send(&call.encode(self.serial))?;
        loop {
            let mut header = [0; dbus::HEADER];
            self.socket.read_exact(&mut header)?;
            let mut rest = vec![0; dbus::rest(&header).ok_or_else(nonsense)?];
            self.socket.read_exact(&mut rest)?;
            match dbus::reply(&header, &rest, self.serial).ok_or_else(nonsense)? {
                Reply::Results(body) => return Ok(body.to_vec()),
                Reply::Refused => return Err(io::Error::other(format!("it refuses {member}"))),
                Reply::Other | Reply::Signal(_) => {}
            }
        }
    }
}

pub(super) fn nonsense() -> io::Error {
    io::Error::other("its answer makes no sense")
}

/// The kernel calls the end of a wait "try again".
fn too_slow(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::other("it does not answer"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of a peer that writes these bytes and then does nothing, or hangs up.
    fn answer(bytes: &[u8], hang_up: bool) -> io::Result<Answer> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(bytes).unwrap();
        if hang_up {
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
        }
        converse(ours, Instant::now() + Duration::from_millis(20)).map_err(too_slow)
    }

    #[test]
    fn one_who_does_not_answer_is_not_waited_for_longer() {
        for bytes in [&b""[..], b"OK", b"OK 1234\r\n", b"OK 1234\r\nl\x02\x01\x01"] {
            let error = answer(bytes, false).unwrap_err();
            assert_eq!(error.to_string(), "it does not answer", "{bytes:?}");
        }
    }

    #[test]
    fn nonsense_and_hanging_up_are_errors() {
        let long = vec![b'O'; 1000];
        let header = [&b"OK 1\r\n"[..], &[0xff; 16]].concat();
        for bytes in [&b""[..], b"REJECTED EXTERNAL\r\n", &long, &header] {
            assert!(answer(bytes, true).is_err(), "{bytes:?}");
        }
    }
}
