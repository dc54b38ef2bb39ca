//! Datagrams with the address of this side: a socket that is bound to all addresses would
//! otherwise answer from whichever the route suggests.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::listener::socket_address;

/// Who sent, and to which of the port's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) client: SocketAddr,
    local: Option<IpAddr>,
}

/// Has the kernel tell the address that each datagram was sent to. A socket of both
/// families tells those of IPv4 in IPv6's form.
pub(super) fn ask_for_local(socket: &UdpSocket, is_ipv6: bool) -> io::Result<()> {
    if is_ipv6 {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    Ok(())
}

/// The next datagram's sender, and its length in `buffer`.
pub(super) async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(Peer, usize)> {
    socket
        .async_io(Interest::READABLE, || receive_now(socket, buffer))
        .await
}

fn receive_now(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(Peer, usize)> {
    let mut control = cmsg_space!(in_pktinfo, in6_pktinfo);
    let mut data = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut data,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let client = message.address.as_ref().and_then(socket_address);
    let client = client.ok_or_else(|| io::Error::other("a datagram has no sender"))?;
    let local = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into())
        }
        _ => None,
    });
    Ok((Peer { client, local }, message.bytes))
}

/// Answers from the address that the peer sent to, or not at all if the socket is full.
pub(super) fn answer(socket: &UdpSocket, peer: &Peer, data: &[u8]) -> io::Result<()> {
    let send = |control: &[ControlMessage<'_>]| {
        let client = SockaddrStorage::from(peer.client);
        let (socket, data) = (socket.as_raw_fd(), [IoSlice::new(data)]);
        sendmsg(
            socket,
            &data,
            control,
            MsgFlags::MSG_DONTWAIT,
            Some(&client),
        )
    };
    match peer.local {
        Some(IpAddr::V4(address)) => send(&[ControlMessage::Ipv4PacketInfo(&in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: in_addr {
                s_addr: u32::from(address).to_be(),
            },
            ipi_addr: in_addr { s_addr: 0 },
        })]),
        Some(IpAddr::V6(address)) => send(&[ControlMessage::Ipv6PacketInfo(&in6_pktinfo {
            ipi6_addr: in6_addr {
                s6_addr: address.octets(),
            },
            // A link-local peer's address has the link in it.
            ipi6_ifindex: 0,
        })]),
        None => send(&[]),
    }?;
    Ok(())
}
