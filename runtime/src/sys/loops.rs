//! Loop devices, by `linux/loop.h`.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const NAME: usize = 64;

/// `struct loop_info64`.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; NAME],
    crypt_name: [u8; NAME],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// What a loop device shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The first byte of the file.
    pub(crate) offset: u64,
    /// How many bytes; 0 for all that follow.
    pub(crate) length: u64,
    /// Nothing is written to the file.
    pub(crate) read_only: bool,
    /// The file's name, for those who list devices.
    pub(crate) name: &'a [u8],
}

/// The number of a device that is free at this moment.
pub(crate) fn free(control: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: this ioctl takes no argument, and returns a number.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    u32::try_from(number).map_err(|_| io::Error::last_os_error())
}

/// Attaches a file (Linux 5.8). The kernel detaches it when the device is no longer open nor
/// mounted, however that came about.
///
/// # Errors
/// `EBUSY` if another has taken the device meanwhile.
pub(crate) fn configure(
    device: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    view: View<'_>,
) -> io::Result<()> {
    let read_only = if view.read_only {
        LO_FLAGS_READ_ONLY
    } else {
        0
    };
    let mut file_name = [0; NAME];
    let shown = file_name.iter_mut().take(NAME - 1).zip(view.name);
    shown.for_each(|(to, from)| *to = *from);
    let config = LoopConfig {
        fd: file.as_raw_fd().unsigned_abs(),
        block_size: 0,
        info: LoopInfo {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: view.offset,
            size_limit: view.length,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: read_only | LO_FLAGS_AUTOCLEAR,
            file_name,
            crypt_name: [0; NAME],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: `config` has the layout that this ioctl reads, and outlives the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    super::check(result.into()).map(drop)
}

const _: () = assert!(size_of::<LoopInfo>() == 232 && size_of::<LoopConfig>() == 304);
