//! Messages between launcher and child: fixed in size, with descriptors in the same datagram.
//!
//! A SEQPACKET socket keeps message boundaries and reports the other side's end, so neither
//! lengths nor a serialiser is needed. `docs/protocol.md` has the sequence.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// Most descriptors in one message.
pub(crate) const MAX_FDS: usize = 4;

const MAGIC: u32 = 0x6e73_7231;
const SIZE: usize = 16;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// Parent to child: the maps are written, here are the trees.
    Trees = 1,
    /// Child to parent: all is built, here are console and notification socket.
    Ready = 2,
    /// Parent to child: run the payload.
    Start = 3,
    /// Child to parent: an operation failed.
    Failed = 4,
    /// Child to parent: the kernel refuses a nested user namespace, so lock the mounts for me.
    /// Parent to child: here they are.
    Lock = 5,
}

/// One message without its descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    /// Index of the operation that failed.
    pub(crate) op: u32,
    /// Why it failed.
    pub(crate) errno: i32,
}

impl Message {
    pub(crate) const fn plain(kind: Kind) -> Self {
        Self {
            kind,
            op: 0,
            errno: 0,
        }
    }

    fn encode(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..4].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[4..8].copy_from_slice(&(self.kind as u32).to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.op.to_ne_bytes());
        bytes[12..].copy_from_slice(&self.errno.to_ne_bytes());
        bytes
    }

    fn decode(bytes: [u8; SIZE]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        if u32::from_ne_bytes([a, b, c, d]) != MAGIC {
            return None;
        }
        let kind = match u32::from_ne_bytes([e, f, g, h]) {
            1 => Kind::Trees,
            2 => Kind::Ready,
            3 => Kind::Start,
            4 => Kind::Failed,
            5 => Kind::Lock,
            _ => return None,
        };
        Some(Self {
            kind,
            op: u32::from_ne_bytes([i, j, k, l]),
            errno: i32::from_ne_bytes([m, n, o, p]),
        })
    }
}

/// Descriptors of one message, at most [`MAX_FDS`].
pub(crate) type Fds = [Option<OwnedFd>; MAX_FDS];

/// Sends a message. Allocates nothing; a closed other side is EPIPE, not a signal.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: Message,
    fds: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let bytes = message.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    rustix::net::sendmsg(
        socket,
        &[IoSlice::new(&bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives a message, `None` at the other side's end. Allocates nothing.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Option<(Message, Fds)>, Errno> {
    match receive_once(socket) {
        // Said once, before all else, if the other side ended without reading our last message.
        Err(Errno::CONNRESET) => receive_once(socket),
        other => other,
    }
}

fn receive_once(socket: BorrowedFd<'_>) -> Result<Option<(Message, Fds)>, Errno> {
    let mut bytes = [0; SIZE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut fds: Fds = [const { None }; MAX_FDS];
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    for (place, fd) in fds.iter_mut().zip(rights.flatten()) {
        *place = Some(fd);
    }
    match Message::decode(bytes) {
        Some(message) if received.bytes == SIZE => Ok(Some((message, fds))),
        _ => Err(Errno::PROTO),
    }
}

/// Fails if the other side has ended.
pub(crate) fn ensure_peer(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut fds = [PollFd::new(&socket, PollFlags::RDHUP)];
    let now = Timespec::default();
    match poll(&mut fds, Some(&now))? {
        0 => Ok(()),
        _ => Err(Errno::PIPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::os::fd::AsFd;

    fn pair() -> (OwnedFd, OwnedFd) {
        let kind = SocketType::SEQPACKET;
        socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (a, b) = pair();
        let failed = Message {
            kind: Kind::Failed,
            op: 7,
            errno: 13,
        };
        send(a.as_fd(), failed, &[a.as_fd(), b.as_fd()]).unwrap();
        let (message, fds) = receive(b.as_fd()).unwrap().unwrap();
        assert_eq!(message, failed);
        assert_eq!(fds.iter().flatten().count(), 2);
    }

    #[test]
    fn the_other_sides_end_is_told_apart() {
        let (a, b) = pair();
        drop(a);
        assert!(receive(b.as_fd()).unwrap().is_none());
    }

    #[test]
    fn a_dead_sender_is_noticed_behind_its_last_message() {
        let (a, b) = pair();
        send(a.as_fd(), Message::plain(Kind::Start), &[]).unwrap();
        assert_eq!(ensure_peer(b.as_fd()), Ok(()));
        drop(a);
        assert!(receive(b.as_fd()).unwrap().is_some());
        assert_eq!(ensure_peer(b.as_fd()), Err(Errno::PIPE));
    }

    #[test]
    fn last_words_are_heard_of_one_who_did_not_listen() {
        let (a, b) = pair();
        send(a.as_fd(), Message::plain(Kind::Start), &[]).unwrap();
        let failed = Message::plain(Kind::Failed);
        send(b.as_fd(), failed, &[]).unwrap();
        drop(b);
        assert_eq!(receive(a.as_fd()).unwrap().unwrap().0, failed);
        assert!(receive(a.as_fd()).unwrap().is_none());
    }

    #[test]
    fn garbage_is_refused() {
        let (a, b) = pair();
        rustix::io::write(&a, b"garbage").unwrap();
        assert_eq!(receive(b.as_fd()).unwrap_err(), Errno::PROTO);
        rustix::io::write(&a, &[0; SIZE]).unwrap();
        assert_eq!(receive(b.as_fd()).unwrap_err(), Errno::PROTO);
    }
}
