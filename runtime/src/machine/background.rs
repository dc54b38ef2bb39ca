//! Starting a machine that stays when the command that started it has ended.
//!
//! The command starts itself once more, in a session of its own, and that process becomes the
//! machine's supervisor. It reports at a socket, which is its standard input; what it has to say of a
//! failure it says itself, on the standard error that it shares until the machine runs.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;

/// A message has a few lines.
pub(super) const LONGEST: usize = 4096;

/// What a start waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The payload runs.
    Started,
    /// Its PID 1 says that it is ready.
    Ready,
}

/// How a start in the background went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// As it should.
    Yes,
    /// The supervisor has said why not, and ended with this status.
    Ended(u8),
}

/// Starts this program once more with `words`, which make it a supervisor, and waits for the machine.
///
/// # Errors
/// If the process cannot be started; if the machine is not as far at `deadline`: it goes on then.
pub fn start_in_background(
    name: &MachineName,
    words: &[OsString],
    until: Until,
    patience: Duration,
) -> Result<Started> {
    let what = || format!("start a supervisor for machine {name}");
    let (mut child, ours) = spawn(words, Stdio::inherit()).cannot(what)?;
    if reported(ours.as_fd(), until, Instant::now() + patience).cannot(what)? {
        return Ok(Started::Yes);
    }
    // Its end of the socket goes with the process.
    match child.try_wait().cannot(what)? {
        None if still_open(ours.as_fd()) => Err(too_slow(name, patience)),
        _ => {
            let status = child.wait().cannot(what)?;
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Ok(Started::Ended(code.filter(|code| *code != 0).unwrap_or(1)))
        }
    }
}

/// This program once more, and the socket at which it reports.
pub(super) fn spawn(words: &[OsString], complaints: Stdio) -> io::Result<(Child, OwnedFd)> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let (ours, theirs) = rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
    let child = Command::new("/proc/self/exe")
        .arg0("nsrun")
        .args(words)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(complaints)
        .spawn()?;
    Ok((child, ours))
}

/// Whether the supervisor reports in time that it is as far.
fn reported(socket: BorrowedFd<'_>, until: Until, deadline: Instant) -> io::Result<bool> {
    let wanted = match until {
        Until::Started => "X_NSRUN_LEADER_PID=",
        Until::Ready => "READY=1",
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        if rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout)))? == 0 {
            return Ok(false);
        }
        let mut message = [0; LONGEST];
        let (length, _) = rustix::net::recv(socket, &mut message, RecvFlags::empty())?;
        if length == 0 {
            return Ok(false);
        }
        let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default()).into_owned();
        if text.lines().any(|line| line.starts_with(wanted)) {
            return Ok(true);
        }
    }
}

fn still_open(socket: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let none = Timespec::try_from(Duration::ZERO).unwrap_or_default();
    let _ = poll(&mut fds, Some(&none));
    let [fd] = fds;
    !fd.revents().contains(PollFlags::HUP)
}

fn too_slow(name: &MachineName, patience: Duration) -> Error {
    let seconds = patience.as_secs();
    Error::new(
        Kind::Failed,
        format!("machine {name} is not ready after {seconds} s"),
    )
    .hint(format!(
        "it goes on: see `nsrun status {name}` and `nsrun logs {name}`, or end it by `nsrun stop {name}`"
    ))
}

/// In the supervisor: ends at once when the thread ends that has started it. The payload goes with it,
/// and what it leaves is swept by the next command.
pub(super) fn tie() -> Result<()> {
    crate::launch::process::die_with_parent()
        .cannot(|| "tie the machine to the process that starts it")?;
    // The starter may have ended before; it has the other end of the socket.
    match still_open(rustix::stdio::stdin()) {
        true => Ok(()),
        false => Err(Error::new(Kind::Failed, "whoever started this has ended")),
    }
}

/// In the supervisor: leaves the session and the directory of whoever started it, and takes the
/// socket that is its standard input, if it is one.
pub(super) fn take_starter() -> Result<Option<OwnedFd>> {
    let what = || "go into the background";
    // A process that leads its group, as when a service manager starts it, stays in its session.
    let _ = rustix::process::setsid();
    rustix::process::chdir("/").cannot(what)?;
    let input = rustix::stdio::stdin();
    if rustix::net::sockopt::socket_type(input) != Ok(SocketType::SEQPACKET) {
        return Ok(None);
    }
    let starter = input.try_clone_to_owned().cannot(what)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    rustix::stdio::dup2_stdin(null.cannot(what)?).cannot(what)?;
    Ok(Some(starter))
}
