//! Raw frames of one link: what is served to a peer that has no address yet, or whose
//! link has none.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_indextoname;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    setsockopt, socket, sockopt,
};
use nix::{libc, setsockopt_impl, sockopt_impl};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::mac::MacAddr;
use crate::pace::Pace;
use crate::udp::FRAME_MAX;

/// What the kernel keeps of frames that were not looked at yet, in octets, before it
/// drops more. A frame counts with the kernel's own data about it, about 1 KiB.
const QUEUE: usize = 32 * 1024;

sockopt_impl!(
    /// Frames that the host sends are not shown, and so not copied either (Linux 4.20).
    IgnoreOutgoing,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_IGNORE_OUTGOING,
    bool
);

/// How long after its owner is started a socket is opened. Binding and closing each wait
/// for the kernel to forget the socket, 10 ms and more (an RCU grace period): a peer that
/// lives for less than this never pays for that, and none asks for anything sooner that
/// it would not ask for again.
const SETTLE: Duration = Duration::from_millis(100);

/// Waits until a socket is worth opening.
pub(crate) async fn settle() {
    tokio::time::sleep(SETTLE).await;
}

/// Checks that the calling thread's namespace has a link of that number.
pub(crate) fn check_link(index: u32) -> Result<()> {
    // nix takes the C function's null pointer for a success, and leaves the name empty.
    let exists = if_indextoname(index).is_ok_and(|name| !name.is_empty());
    let missing = || Error::other(format!("look up link {index}"), "there is none");
    exists.then_some(()).ok_or_else(missing)
}

/// A packet socket on one link. Sees what comes in there before anything else does, also
/// when the link is a port of a bridge, and sends out of it past every firewall.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    link: Link,
}

/// The link as the kernel addresses it.
#[derive(Clone, Debug)]
struct Link {
    name: String,
    address: LinkAddr,
}

impl PacketSocket {
    /// A socket in the calling thread's namespace, that gets what `filter` takes. Takes
    /// some milliseconds; see [`settle`].
    pub(crate) fn open(index: u32, filter: &Filter) -> Result<Self> {
        let link = find(index)?;
        let fd = open(&link, filter).map_err(|errno| {
            let what = format!("open a packet socket on link {}", link.name);
            Error::io(what, &errno.into())
        })?;
        Ok(Self { fd, link })
    }

    /// The link's own Ethernet address.
    pub(crate) fn mac(&self) -> MacAddr {
        MacAddr::from(self.link.address.addr().unwrap_or_default())
    }

    /// The socket at work, within a tokio runtime.
    pub(crate) fn watch(self) -> Result<Channel> {
        let Self { fd, link } = self;
        let socket = watch(fd).map_err(|e| Error::io(format!("watch link {}", link.name), &e))?;
        Ok(Channel {
            socket,
            link,
            pace: Pace::new(Instant::now()),
            buffer: Box::new([0; FRAME_MAX + 1]),
        })
    }
}

/// A packet socket that is waited for.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: AsyncFd<OwnedFd>,
    link: Link,
    pace: Pace,
    buffer: Box<[u8; FRAME_MAX + 1]>,
}

impl Channel {
    /// The next frame, not sooner than the pace allows. One that is longer than a frame of
    /// the usual MTU is cut off: nobody asks for an address in one.
    ///
    /// May be dropped and called again; no frame is lost then.
    pub(crate) async fn receive(&mut self) -> Result<&[u8]> {
        while let Err(wait) = self.pace.admit(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
        let failed = |e| Error::io(format!("read from link {}", self.link.name), &e);
        let index = self.link.address.ifindex();
        let length = loop {
            let mut ready = self.socket.readable().await.map_err(failed)?;
            let received =
                ready.try_io(|fd| receive(fd.get_ref(), index, self.buffer.as_mut_slice()));
            match received {
                Ok(Ok(length)) => break length,
                Ok(Err(error)) if is_passing(&error) => {}
                Ok(Err(error)) => return Err(failed(error)),
                Err(_would_block) => {}
            }
        };
        Ok(self.buffer.get(..length).unwrap_or_default())
    }

    /// Sends a frame, unless there is no room or no link for it: then it is lost, as on
    /// any wire, and the peer asks again.
    pub(crate) fn send(&self, frame: &[u8]) {
        let _ = send(self.socket.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT);
    }
}

/// Looks the link up as the kernel addresses it: nothing else makes such an address
/// without unsafe code.
fn find(index: u32) -> Result<Link> {
    let action = || format!("look up link {index}");
    let all = getifaddrs().map_err(|errno| Error::io(action(), &errno.into()))?;
    let mut links = all.filter_map(|entry| {
        let address = *entry.address?.as_link_addr()?;
        Some(Link {
            name: entry.interface_name,
            address,
        })
    });
    links
        .find(|link| u32::try_from(link.address.ifindex()) == Ok(index))
        .ok_or_else(|| Error::other(action(), "there is none"))
}

/// Between its creation and its binding the socket is open to every link: the filter goes
/// first, and what came even before that is told by its link when it is read.
fn open(link: &Link, filter: &Filter) -> nix::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::EthAll,
    )?;
    let attached = SockRef::from(&fd).attach_filter(&filter.program());
    attached.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
    setsockopt(&fd, IgnoreOutgoing, &true)?;
    setsockopt(&fd, sockopt::RcvBuf, &QUEUE)?;
    bind(fd.as_raw_fd(), &link.address)?;
    Ok(fd)
}

#[expect(
    deprecated,
    reason = "what replaces it is unsafe, for types whose descriptor changes: an `OwnedFd` has one"
)]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// The length of the frame read, zero for one of another link.
fn receive(fd: &OwnedFd, index: usize, buffer: &mut [u8]) -> io::Result<usize> {
    let (length, from) = recvfrom::<LinkAddr>(fd.as_raw_fd(), buffer)?;
    let ours = from.is_some_and(|from| from.ifindex() == index);
    Ok(if ours { length } else { 0 })
}

/// Whether the socket is good for more: a link that goes down tells so once, and what
/// comes after it comes up again is received.
fn is_passing(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENETDOWN | Errno::EINTR))
}
