//! Datagrams together with the sender's PID.
//!
//! rustix reads the PID into a `NonZero`, which is unsound for a sender outside the
//! receiver's PID namespace (0); nix refuses a datagram whose ancillary data was cut.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

/// One received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// How much of the buffer was filled.
    pub(crate) length: usize,
    /// The datagram was longer than the buffer.
    pub(crate) cut: bool,
    /// The sender's PID in the receiver's PID namespace, if the kernel attached one.
    pub(crate) pid: Option<i32>,
}

const CREDENTIALS: usize = size_of::<libc::ucred>();
/// `CMSG_SPACE(sizeof(struct ucred))`, spelt out because the macro is not const in Rust.
const SPACE: usize = size_of::<libc::cmsghdr>() + CREDENTIALS.next_multiple_of(8);

#[repr(C, align(8))]
struct Control([u8; SPACE]);

/// Receives one datagram without waiting from a socket with `SO_PASSCRED`.
///
/// The kernel writes credentials first and the room is for nothing else, so descriptors that
/// came along are closed by the kernel and never enter this process (unix(7), `MSG_CTRUNC`).
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = Control([0; SPACE]);
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all-zero is a valid msghdr: no name, no vectors, no control data.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = SPACE as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header points at one vector and one control area, both alive and of the
    // lengths it names.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    Ok(Received {
        length,
        cut: header.msg_flags & libc::MSG_TRUNC != 0,
        pid: sender(&control, header.msg_controllen as usize),
    })
}

/// The PID in the first control message, if that carries credentials.
fn sender(control: &Control, filled: usize) -> Option<i32> {
    let start = size_of::<libc::cmsghdr>();
    if filled < start + CREDENTIALS {
        return None;
    }
    // SAFETY: the area is aligned for a cmsghdr and at least as long, and any bytes are valid.
    let first: libc::cmsghdr = unsafe { control.0.as_ptr().cast::<libc::cmsghdr>().read() };
    if first.cmsg_level != libc::SOL_SOCKET || first.cmsg_type != libc::SCM_CREDENTIALS {
        return None;
    }
    // struct ucred begins with the pid.
    let pid = control.0.get(start..start + 4)?.try_into().ok()?;
    Some(i32::from_ne_bytes(pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::set_socket_passcred;
    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType, send, sendmsg, socketpair,
    };
    use std::io::IoSlice;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, OwnedFd};

    fn pair() -> (OwnedFd, OwnedFd) {
        let (a, b) = socketpair(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        set_socket_passcred(&b, true).unwrap();
        (a, b)
    }

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn names_the_sender() {
        let (a, b) = pair();
        send(&a, b"READY=1", SendFlags::empty()).unwrap();
        let mut buffer = [0; 16];
        let got = receive(b.as_fd(), &mut buffer).unwrap();
        assert_eq!((got.length, got.cut, got.pid), (7, false, Some(own_pid())));
        assert_eq!(&buffer[..7], b"READY=1");
    }

    #[test]
    fn tells_that_a_datagram_was_cut() {
        let (a, b) = pair();
        send(&a, &[b'x'; 64], SendFlags::empty()).unwrap();
        let got = receive(b.as_fd(), &mut [0; 16]).unwrap();
        assert_eq!((got.length, got.cut), (16, true));
    }

    #[test]
    fn does_not_wait() {
        let (_a, b) = pair();
        let error = receive(b.as_fd(), &mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn attached_descriptors_never_arrive() {
        let (a, b) = pair();
        let (_reader, writer) = rustix::pipe::pipe().unwrap();
        let fds = [writer.as_fd(); 200];
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(
            &a,
            &[IoSlice::new(b"x")],
            &mut ancillary,
            SendFlags::empty(),
        )
        .unwrap();
        drop(writer);

        let got = receive(b.as_fd(), &mut [0; 16]).unwrap();
        assert_eq!((got.length, got.pid), (1, Some(own_pid())));
        // Were one copy left in this process, the pipe would not be at its end.
        assert_eq!(rustix::io::read(&_reader, &mut [0; 1]).unwrap(), 0);
    }
}
