//! The child's operations on directories, files and sockets. Allocates nothing.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::op::Place;
use super::slot::{Slot, Slots};

/// Nothing below a base may lead out of it or through a symbolic link.
const STRICT: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

fn base<'a>(slots: &'a Slots, at: &Place) -> Result<BorrowedFd<'a>, Errno> {
    at.base.map_or(Ok(CWD), |slot| slots.get(slot))
}

fn open(slots: &Slots, at: &Place, flags: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
    let resolve = if at.base.is_some() {
        STRICT
    } else {
        ResolveFlags::NO_MAGICLINKS
    };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    let mode = Mode::from_raw_mode(mode);
    rustix::fs::openat2(base(slots, at)?, at.path.as_c_str(), flags, mode, resolve)
}

pub(crate) fn directory(slots: &Slots, at: &Place, mode: u32) -> Result<(), Errno> {
    let base = base(slots, at)?;
    let path = at.path.as_c_str();
    match rustix::fs::mkdirat(base, path, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) => {}
        other => return other,
    }
    let stat = rustix::fs::statat(base, path, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(()),
        FileType::Symlink => Err(Errno::LOOP),
        _ => Err(Errno::NOTDIR),
    }
}

pub(crate) fn file(slots: &Slots, at: &Place, mode: u32, content: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = open(slots, at, flags, 0o600)?;
    write_all(&file, content)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
}

pub(crate) fn node(slots: &Slots, at: &Place, mode: u32, device: u64) -> Result<(), Errno> {
    let kind = FileType::from_raw_mode(mode);
    let bits = Mode::from_raw_mode(mode & 0o7777);
    let base = base(slots, at)?;
    rustix::fs::mknodat(base, at.path.as_c_str(), kind, bits, device)?;
    // mknod honours the umask, which the caller's shell chose.
    rustix::fs::chmodat(base, at.path.as_c_str(), bits, AtFlags::empty())
}

/// The directory that a path is in, found beneath its base, and the last name.
fn place<'a>(slots: &Slots, at: &'a Place) -> Result<(OwnedFd, &'a CStr), Errno> {
    let bytes = at.path.to_bytes_with_nul();
    let cut = bytes.iter().rposition(|b| *b == b'/');
    let name = CStr::from_bytes_with_nul(bytes.get(cut.map_or(0, |n| n + 1)..).unwrap_or(&[]));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = bytes.get(..cut.unwrap_or(0)).unwrap_or(&[]);
    let parent = if parent.is_empty() { b"." } else { parent };
    let how = (flags, Mode::empty(), STRICT);
    let directory = rustix::fs::openat2(base(slots, at)?, parent, how.0, how.1, how.2)?;
    Ok((directory, name.map_err(|_| Errno::INVAL)?))
}

pub(crate) fn unlink(slots: &Slots, at: &Place) -> Result<(), Errno> {
    let (directory, name) = place(slots, at)?;
    rustix::fs::unlinkat(directory, name, AtFlags::empty())
}

pub(crate) fn link(slots: &Slots, at: &Place, target: &CStr) -> Result<(), Errno> {
    let base = base(slots, at)?;
    let path = at.path.as_c_str();
    match rustix::fs::symlinkat(target, base, path) {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(base, path, AtFlags::empty())?;
            rustix::fs::symlinkat(target, base, path)
        }
        other => other,
    }
}

pub(crate) fn fill(slots: &Slots, at: &Place, content: &[u8]) -> Result<(), Errno> {
    // NONBLOCK: a fifo in a hostile image must not hold us up.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = open(slots, at, flags, 0o644)?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    rustix::fs::ftruncate(&file, 0)?;
    write_all(&file, content)
}

pub(crate) fn write(slots: &Slots, at: &Place, content: &[u8]) -> Result<(), Errno> {
    let file = open(slots, at, OFlags::WRONLY | OFlags::NONBLOCK, 0)?;
    write_all(&file, content)
}

fn write_all(file: &OwnedFd, mut content: &[u8]) -> Result<(), Errno> {
    while !content.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(file, content))?;
        content = content.get(written..).ok_or(Errno::IO)?;
    }
    Ok(())
}

/// Opens the first terminal of the payload's devpts and links /dev/console to it.
pub(crate) fn open_console(slots: &mut Slots) -> Result<(), Errno> {
    use rustix::pty::OpenptFlags;
    let dev = slots.get(Slot::Dev)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::openat(dev, c"pts/ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let peer = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let console = rustix::pty::ioctl_tiocgptpeer(&master, peer)?;
    // A new instance numbers from 0; anything else would not be ours alone.
    if rustix::fs::minor(rustix::fs::fstat(&console)?.st_rdev) != 0 {
        return Err(Errno::XDEV);
    }
    rustix::fs::symlinkat(c"pts/0", dev, c"console")?;
    slots.put(Slot::Master, master);
    slots.put(Slot::Console, console);
    Ok(())
}

/// Binds the datagram socket that PID 1 reports its progress to.
pub(crate) fn bind_notify(slots: &mut Slots, path: &CStr) -> Result<(), Errno> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
    let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_passcred(socket.as_fd(), true)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(0o200), AtFlags::empty())?;
    slots.put(Slot::Notify, socket);
    Ok(())
}
