//! A machine that ends with the process that started it, and tells it what becomes of it.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStderr, Stdio};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::background::{LONGEST, spawn};
use crate::error::{Context, Result};
use crate::sys::readiness::watch;

/// What a supervisor has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Lines of sd_notify(3): `READY=1`, `STATUS=...`, `X_NSRUN_LEADER_PID=...`.
    Lines(Vec<String>),
    /// It has ended, and cleared up after the machine.
    Ended {
        /// Its exit status; 128 + N after a death by signal N.
        status: u8,
        /// What it said of a failure, before the machine ran.
        complaints: String,
    },
}

/// A supervisor, and the line to it. The machine is killed when the thread that started it ends.
#[derive(Debug)]
pub struct Tied {
    process: Child,
    ended: AsyncFd<OwnedFd>,
    told: Option<AsyncFd<OwnedFd>>,
    complaints: Option<ChildStderr>,
}

impl Tied {
    /// Starts this program once more with `words`, which make it a supervisor that is tied to this
    /// thread. To be called from a tokio runtime of one thread.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start(words: &[OsString]) -> Result<Self> {
        let what = || "start a supervisor";
        let (mut process, socket) = spawn(words, Stdio::piped()).cannot(what)?;
        let complaints = process.stderr.take();
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let ended = pid
            .ok_or(Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
            .cannot(what)?;
        Ok(Self {
            process,
            ended: watch(ended, Interest::READABLE).cannot(what)?,
            told: Some(watch(socket, Interest::READABLE).cannot(what)?),
            complaints,
        })
    }

    /// The supervisor's process ID.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the next news. After [`News::Ended`] there are none.
    ///
    /// # Errors
    /// If the supervisor cannot be listened to.
    pub async fn next(&mut self) -> Result<News> {
        let what = || "listen to a supervisor";
        while let Some(told) = &self.told {
            let mut guard = told.readable().await.cannot(what)?;
            let received = guard.try_io(|socket| receive(socket.get_ref()));
            match received {
                Ok(Ok(lines)) if !lines.is_empty() => return Ok(News::Lines(lines)),
                // Its end of the socket goes with the process.
                Ok(Ok(_)) => self.told = None,
                Ok(Err(error)) => return Err(error).cannot(what),
                Err(_) => {}
            }
        }
        let _ = self.ended.readable().await.cannot(what)?;
        let status = self.process.wait().cannot(what)?;
        let mut complaints = String::new();
        if let Some(mut from) = self.complaints.take() {
            // What is no text was not said by nsrun.
            let _ = from.read_to_string(&mut complaints);
        }
        Ok(News::Ended {
            status: code(status),
            complaints,
        })
    }
}

fn receive(socket: &OwnedFd) -> io::Result<Vec<String>> {
    let mut message = [0; LONGEST];
    let (length, _) = rustix::net::recv(socket.as_fd(), &mut message, RecvFlags::DONTWAIT)?;
    let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
    Ok(text.lines().map(str::to_owned).collect())
}

fn code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
