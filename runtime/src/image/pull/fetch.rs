//! The process that fetches: nobody's, without privileges, with a pipe to the unpacking.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::sums::{self, Sha256Sum};
use super::url::Url;
use crate::error::{Context, Error, Kind, Result};
use crate::image::jail;
use crate::image::wire::{Failure, Receiver, Sender, pair, received};
use crate::sys::worker::spawn;

/// Bytes that are passed on at once.
const BUFFER: usize = 64 << 10;

/// What the process tells its parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    /// The checksum that the file must have.
    Expected(Sha256Sum),
    /// The file's length.
    Length(u64),
    /// All of the file was passed on.
    Done,
    Failed {
        kind: Failure,
        is_missing: bool,
        what: String,
        hint: Option<String>,
    },
}

/// A transfer under way. Its process ends with this.
#[derive(Debug)]
pub(super) struct Fetch {
    pid: Pid,
    told: Receiver,
    length: Option<u64>,
    expected: Option<Sha256Sum>,
    outcome: Option<Result<()>>,
}

impl Fetch {
    /// Starts it; what it reads comes out of the pipe. The checksum is looked for on the
    /// server if `look_for_sum`.
    pub(super) fn start(url: &Url, look_for_sum: bool) -> Result<(Self, OwnedFd)> {
        let what = || "start the transfer";
        let (out, into) = pipe_with(PipeFlags::CLOEXEC).cannot(what)?;
        let (sender, told) = pair().cannot(what)?;
        let parent = rustix::process::getpid();
        let pid = spawn(|| {
            let result = confined(url, look_for_sum, &into, &sender, parent);
            let message = match &result {
                Ok(()) => Told::Done,
                Err(error) => failed(error),
            };
            sender.send(&message);
            u8::from(result.is_err())
        });
        let fetch = Self {
            pid: pid.cannot(what)?,
            told,
            length: None,
            expected: None,
            outcome: None,
        };
        Ok((fetch, out))
    }

    /// The file's length, if it is known by now.
    pub(super) fn length(&mut self) -> Option<u64> {
        while let Ok(Some(told)) = self.told.try_receive() {
            self.take(told);
        }
        self.length
    }

    /// Why it has failed, if it has by now.
    pub(super) fn failure(mut self) -> Option<Error> {
        self.length();
        self.outcome.take()?.err()
    }

    /// Waits for its end; gives the checksum that the server has.
    pub(super) fn finish(mut self) -> Result<Option<Sha256Sum>> {
        while self.outcome.is_none() {
            match self.told.receive().cannot(|| "hear from the transfer")? {
                Some(told) => self.take(told),
                None => {
                    let what = "the process that fetches died";
                    return Err(Error::new(Kind::Failed, what));
                }
            }
        }
        self.outcome.take().unwrap_or(Ok(()))?;
        Ok(self.expected.take())
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Expected(sum) => self.expected = Some(sum),
            Told::Length(length) => self.length = Some(length),
            Told::Done => self.outcome = Some(Ok(())),
            Told::Failed {
                kind,
                is_missing,
                what,
                hint,
            } => {
                let error = received(kind, &what, hint.as_deref());
                let error = if is_missing {
                    error.kinded(Kind::NotFound)
                } else {
                    error
                };
                self.outcome = Some(Err(error));
            }
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        // It may have ended by itself; it is not reaped yet, so that the number is its.
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

fn failed(error: &Error) -> Told {
    Told::Failed {
        kind: Failure::of(error.kind()),
        is_missing: error.kind() == Kind::NotFound,
        what: error.to_string(),
        hint: error.advice().map(str::to_owned),
    }
}

/// In the child.
fn confined(
    url: &Url,
    look_for_sum: bool,
    into: &OwnedFd,
    sender: &Sender,
    parent: rustix::process::Pid,
) -> Result<()> {
    jail::keep_only(&[into.as_fd(), sender.as_fd()])?;
    // Reads certificates and the like, which nobody may not be allowed to.
    let client = Client::new(url);
    jail::become_nobody()?;
    // A change of the user undoes it.
    jail::tie_to_parent(parent)?;
    if look_for_sum {
        sender.send(&Told::Expected(sum_on_server(&client, url)?));
    }
    let (mut reader, length) = client.open(url.text())?;
    if let Some(length) = length {
        sender.send(&Told::Length(length));
    }
    let mut into = std::fs::File::from(into.try_clone().cannot(|| "write to the pipe")?);
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = reader.read(&mut buffer).cannot(|| "read from the server")?;
        if count == 0 {
            return Ok(());
        }
        // An unpacking that is gone has failed by itself and says why.
        if into.write_all(&buffer[..count]).is_err() {
            return Ok(());
        }
    }
}

fn sum_on_server(client: &Client, url: &Url) -> Result<Sha256Sum> {
    for list in super::lists(url.file()) {
        let text = url.beside(&list).map(|url| client.read(&url));
        let text = text.transpose().cannot(|| format!("fetch {list}"))?;
        let sum = text.flatten().map(|text| sums::find(&text, url.file()));
        if let Some(sum) = sum.transpose()?.flatten() {
            return Ok(sum);
        }
    }
    Err(super::without_sum(url))
}
