//! What the processes that unpack and fetch tell their parent, one datagram each.
//!
//! The parent trusts none of it further than its type: the sender reads hostile archives.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::report::{Counts, Warning};
use super::sniff::Compression;
use crate::error::{Error, Kind};

/// Largest message in bytes. The longest told is an error that names a path or two.
const MAX: usize = 64 << 10;

/// What was unpacked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// How the archive was compressed; `None` for a directory.
    pub(super) compression: Option<Compression>,
    /// SHA-256 of the archive's file in hexadecimal; `None` for a directory.
    pub(super) sha256: Option<String>,
    /// Bytes of the archive's file, or of the files of a directory.
    pub(super) read: u64,
    pub(super) counts: Counts,
    pub(super) warnings: Vec<Warning>,
}

/// A message.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// So many bytes of the archive were read.
    Progress(u64),
    /// All is unpacked.
    Done(Summary),
    /// It failed.
    Failed {
        kind: Failure,
        what: String,
        hint: Option<String>,
    },
}

/// The kinds of error that the work can end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failure {
    Failed,
    HostLacks,
    BadInput,
    NotFound,
    Busy,
    Usage,
}

impl Failure {
    pub(super) fn of(kind: Kind) -> Self {
        match kind {
            Kind::BadInput => Self::BadInput,
            Kind::HostLacks => Self::HostLacks,
            Kind::NotFound => Self::NotFound,
            Kind::Busy => Self::Busy,
            Kind::Usage => Self::Usage,
            _ => Self::Failed,
        }
    }
}

impl Message {
    /// An error on its way to the parent.
    pub(super) fn failed(error: &Error) -> Self {
        Self::Failed {
            kind: Failure::of(error.kind()),
            what: error.to_string(),
            hint: error.advice().map(str::to_owned),
        }
    }
}

/// An error that came from the child, made fit to print.
pub(super) fn received(kind: Failure, what: &str, hint: Option<&str>) -> Error {
    let kind = match kind {
        Failure::Failed => Kind::Failed,
        Failure::HostLacks => Kind::HostLacks,
        Failure::BadInput => Kind::BadInput,
        Failure::NotFound => Kind::NotFound,
        Failure::Busy => Kind::Busy,
        Failure::Usage => Kind::Usage,
    };
    let error = Error::new(kind, printable(what));
    match hint {
        Some(hint) => error.hint(printable(hint)),
        None => error,
    }
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// The sending end, for the child.
#[derive(Debug)]
pub(super) struct Sender(OwnedFd);

/// The receiving end, for the parent.
#[derive(Debug)]
pub(super) struct Receiver(OwnedFd);

/// A connected pair.
pub(super) fn pair() -> io::Result<(Sender, Receiver)> {
    let (from, to) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok((Sender(from), Receiver(to)))
}

impl Sender {
    /// Sends a message; a parent that is gone is no error, this process goes with it.
    pub(super) fn send(&self, message: &impl Serialize) {
        let Ok(bytes) = serde_json::to_vec(message) else {
            return;
        };
        let _ = send(&self.0, &bytes, SendFlags::NOSIGNAL);
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Receiver {
    /// The next message; `None` when the child has closed its end.
    pub(super) fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<M>> {
        self.receive_with(RecvFlags::empty())
    }

    /// The same without waiting for one: that there is none yet is an error.
    pub(super) fn try_receive<M: DeserializeOwned>(&self) -> io::Result<Option<M>> {
        self.receive_with(RecvFlags::DONTWAIT)
    }

    fn receive_with<M: DeserializeOwned>(&self, how: RecvFlags) -> io::Result<Option<M>> {
        let mut buffer = vec![0; MAX];
        let (length, _) = rustix::io::retry_on_intr(|| recv(&self.0, &mut buffer[..], how))?;
        if length == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&buffer[..length])?))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_and_then_the_end() {
        let (sender, receiver) = pair().unwrap();
        sender.send(&Message::Progress(7));
        let error = Error::new(Kind::BadInput, "bad").hint("do");
        sender.send(&Message::failed(&error));
        drop(sender);
        assert_eq!(receiver.receive().unwrap(), Some(Message::Progress(7)));
        let Some(Message::Failed { kind, what, hint }) = receiver.receive().unwrap() else {
            panic!("no failure");
        };
        let error = received(kind, &what, hint.as_deref());
        assert_eq!(error.kind(), Kind::BadInput);
        assert_eq!(
            (error.to_string().as_str(), error.advice()),
            ("bad", Some("do"))
        );
        assert_eq!(receiver.receive::<Message>().unwrap(), None);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let (sender, receiver) = pair().unwrap();
        send(&sender.0, b"{\"launch\":1}", SendFlags::empty()).unwrap();
        assert!(receiver.receive::<Message>().is_err());
    }

    #[test]
    fn text_from_the_child_cannot_steer_a_terminal() {
        let error = received(Failure::Failed, "a\u{1b}]0;x\u{7}\u{9b}", None);
        assert_eq!(error.to_string(), "a?]0;x??");
    }
}
