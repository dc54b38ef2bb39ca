//! Bringing the loopback device up without netlink, so that a cloned child can do it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct ifreq` with the flags member of its union.
#[repr(C)]
struct IfReq {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// `IFF_UP | IFF_RUNNING` of `linux/if.h`.
const UP: libc::c_short = 0x41;

/// Sets `lo` up in the network namespace that `socket` belongs to.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut request = IfReq {
        name: [0; libc::IFNAMSIZ],
        flags: UP,
        rest: [0; 22],
    };
    request.name[..2].copy_from_slice(b"lo");
    // SAFETY: SIOCSIFFLAGS reads one `struct ifreq`, whose layout and size `request` has.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    super::check(result.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_those_of_the_kernel() {
        assert_eq!(i32::from(UP), libc::IFF_UP | libc::IFF_RUNNING);
    }

    #[test]
    fn ifreq_has_the_size_of_the_kernel() {
        assert_eq!(size_of::<IfReq>(), size_of::<libc::ifreq>());
    }
}
