//! The conversation with the kernel's nftables: transactions and listings. Every answer
//! is there when the request's `send` has returned, so nothing of this waits.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, sendmsg,
    setsockopt, socket, socketpair, sockopt,
};

use super::wire::{Family, Message, Messages, NLM_F_DUMP, NLMSG_DONE, Writer, messages, nftables};
use crate::error::{Error, Result};

/// What a socket takes at once unless told otherwise; see `wmem_default` in socket(7).
const DEFAULT_SEND_BUFFER: usize = 128 * 1024;
/// The kernel never makes a part of a listing longer than this.
const RECEIVE_BUFFER: usize = 32 * 1024;

const NFT_MSG_NEWGEN: u16 = 15;
const NFT_MSG_GETGEN: u16 = 16;
const NFTA_GEN_ID: u16 = 1;

/// Why a transaction was refused; nothing of it was done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The kernel did not take these messages: sequence number and cause, in order.
    /// Never empty.
    Messages(Vec<(u32, Errno)>),
    /// The conversation itself failed.
    Io(io::Error),
}

impl Refusal {
    /// What was refused, in order.
    pub(super) fn messages(&self) -> &[(u32, Errno)] {
        match self {
            Self::Messages(messages) => messages,
            Self::Io(_) => &[],
        }
    }

    /// The number of the first message refused, and why.
    pub(super) fn first(&self) -> Option<(u32, Errno)> {
        self.messages().first().copied()
    }

    /// Whether something that was to be removed is not there.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.first(), Some((_, Errno::ENOENT)))
    }

    /// Whether the rule set is no longer of the generation that the transaction is for.
    pub(super) fn is_overtaken(&self) -> bool {
        matches!(self.first(), Some((_, Errno::ERESTART | Errno::ENOENT)))
    }

    pub(super) fn into_error(self, action: impl Into<String>) -> Error {
        match (self.first(), self) {
            (Some((_, errno)), _) => Error::io(action, &errno.into()),
            (None, Self::Io(error)) => Error::io(action, &error),
            (None, Self::Messages(_)) => Error::other(action, "the kernel gave no reason"),
        }
    }
}

/// A socket of the calling thread's network namespace.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

/// The last reference to a socket of this kind waits on its way out, some 10 ms, until
/// the kernel has freed what was removed by anybody. Nobody here needs to: in a message
/// that only itself could receive, the socket is left to the kernel's collector. Without
/// memory for that, it is closed as any other.
impl Drop for Socket {
    fn drop(&mut self) {
        let _ = abandon(self.0.as_fd());
    }
}

fn abandon(socket: BorrowedFd<'_>) -> nix::Result<()> {
    let (sender, receiver) = socketpair(
        AddressFamily::Unix,
        SockType::Datagram,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    let descriptors = [receiver.as_raw_fd(), socket.as_raw_fd()];
    sendmsg::<()>(
        sender.as_raw_fd(),
        &[IoSlice::new(&[0])],
        &[ControlMessage::ScmRights(&descriptors)],
        MsgFlags::empty(),
        None,
    )?;
    Ok(())
}

impl Socket {
    pub(super) fn open() -> Result<Self> {
        socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )
        .map(Self)
        .map_err(|e| Error::io("open a socket to nftables", &e.into()))
    }

    /// Carries out a transaction that [`Messages::begin`] opened and closes it.
    pub(super) fn commit(&self, mut batch: Messages) -> std::result::Result<(), Refusal> {
        batch.end();
        self.send(batch.as_bytes()).map_err(Refusal::Io)?;
        let mut refused = Vec::new();
        let mut buffer = vec![0; RECEIVE_BUFFER];
        // Without a refusal there is the one acknowledgement; after one, whatever of
        // the messages behind it failed too, until nothing is left.
        loop {
            let length = match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => length,
                // So many refusals that the last ones were not kept.
                Err(Errno::EINTR | Errno::ENOBUFS) => continue,
                Err(Errno::EAGAIN) if !refused.is_empty() => break,
                Err(errno) => return Err(Refusal::Io(errno.into())),
            };
            for message in messages(&buffer[..length]) {
                match message.error() {
                    Some(0) if refused.is_empty() => return Ok(()),
                    Some(0) | None => {}
                    Some(code) => refused.push((message.sequence, Errno::from_raw(code))),
                }
            }
        }
        Err(Refusal::Messages(refused))
    }

    /// Sends one message that is acknowledged.
    pub(super) fn request(&self, message: &Messages) -> io::Result<()> {
        self.send(message.as_bytes())?;
        let mut buffer = vec![0; RECEIVE_BUFFER];
        let length = self.receive(&mut buffer)?;
        match messages(&buffer[..length]).find_map(|message| message.error()) {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The number that every transaction of anybody moves on.
    pub(super) fn generation(&self) -> io::Result<u32> {
        let mut request = Messages::default();
        request.add(NFT_MSG_GETGEN, 0, Family::Unspecified, |_| {});
        self.send(request.as_bytes())?;
        let mut buffer = vec![0; RECEIVE_BUFFER];
        let length = self.receive(&mut buffer)?;
        messages(&buffer[..length])
            .find(|message| message.kind == nftables(NFT_MSG_NEWGEN))
            .and_then(|message| message.attributes().number(NFTA_GEN_ID))
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Lists what `kind` asks for, reading each object with `read`. A listing that was
    /// overtaken by a change ends with `EINTR` and is asked for again.
    pub(super) fn list<T>(
        &self,
        kind: u16,
        family: Family,
        fill: impl Fn(&mut Writer<'_>),
        read: impl Fn(Message<'_>) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        loop {
            let mut request = Messages::default();
            request.add(kind, NLM_F_DUMP, family, &fill);
            self.send(request.as_bytes())?;
            match self.collect(&read) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn collect<T>(&self, read: impl Fn(Message<'_>) -> Option<T>) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        let mut overtaken = false;
        let mut buffer = vec![0; RECEIVE_BUFFER];
        loop {
            let length = self.receive(&mut buffer)?;
            for message in messages(&buffer[..length]) {
                overtaken |= message.overtaken;
                match message.error() {
                    Some(code) => return Err(io::Error::from_raw_os_error(code)),
                    None if message.kind == NLMSG_DONE && overtaken => {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    None if message.kind == NLMSG_DONE => return Ok(found),
                    None => found.extend(read(message)),
                }
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > DEFAULT_SEND_BUFFER {
            setsockopt(&self.0, sockopt::SndBufForce, &bytes.len())?;
        }
        loop {
            match send(self.0.as_raw_fd(), bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                other => return Ok(other.map(|_| ())?),
            }
        }
    }
}
