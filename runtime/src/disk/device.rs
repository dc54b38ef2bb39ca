//! The loop device of an image in a file.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Disk;
use crate::error::{Context, Error, Kind, Result};
use crate::sys::loops::{self, View};

/// How often another process may take the device that was free.
const ATTEMPTS: u32 = 64;

/// How long a device of a machine that has just ended may take to be free.
const PATIENCE: Duration = Duration::from_secs(2);

const PAUSE: Duration = Duration::from_millis(20);

/// An attached device. It is free again when this is dropped and no mount has it.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) path: PathBuf,
    _fd: OwnedFd,
}

/// The bytes in a file or block device.
pub(super) fn size(mut file: &File) -> std::io::Result<u64> {
    file.seek(SeekFrom::End(0))
}

/// Attaches the image, or its partition.
pub(super) fn attach(disk: &Disk, writable: bool) -> Result<Device> {
    await_others(disk, writable)?;
    let file = match writable {
        true => disk.reopen(),
        false => rustix::io::fcntl_dupfd_cloexec(&disk.file, 0),
    };
    let file = file.cannot(|| "open it for the loop device")?;
    let view = View {
        offset: disk.part.map_or(0, |part| part.offset),
        length: disk.part.map_or(0, |part| part.length),
        read_only: !writable,
        name: disk.path.as_os_str().as_bytes(),
    };
    attach_file(&file, view)
        .cannot(|| "attach it to a loop device")
        .map_err(|error| {
            error
                .kinded(Kind::HostLacks)
                .hint("it takes the loop module, and /dev/loop-control")
        })
}

fn attach_file(file: &OwnedFd, view: View<'_>) -> std::io::Result<Device> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let control = rustix::fs::open("/dev/loop-control", flags, Mode::empty())?;
    for _ in 0..ATTEMPTS {
        let number = loops::free(control.as_fd())?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let fd = rustix::fs::open(&path, flags, Mode::empty())?;
        match loops::configure(fd.as_fd(), file.as_fd(), view) {
            Ok(()) => return Ok(Device { path, _fd: fd }),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::BUSY.into())
}

/// Refuses an image that the host, or another tool, has attached already: two mounts of one file
/// system, of which one writes, destroy it.
fn await_others(disk: &Disk, writable: bool) -> Result<()> {
    let metadata = disk.file.metadata().cannot(|| "look at it")?;
    let end = Instant::now() + PATIENCE;
    while let Some(other) = attached(&metadata, writable) {
        if Instant::now() >= end {
            let what = format!("it is attached to {other} already");
            return Err(Error::new(Kind::Busy, what)
                .hint("unmount it first, and detach it by losetup --detach"));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// The loop device that shows this file, with `all` of them and else those that write.
fn attached(file: &std::fs::Metadata, all: bool) -> Option<String> {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten();
    devices.flatten().find_map(|entry| {
        let dir = entry.path();
        // Others than loop devices, and those that are free, have no such file.
        let backing = std::fs::read(dir.join("loop/backing_file")).ok()?;
        let backing = Path::new(std::ffi::OsStr::from_bytes(backing.trim_ascii_end()));
        let other = std::fs::metadata(backing).ok()?;
        let same = (other.dev(), other.ino()) == (file.dev(), file.ino());
        let writes = std::fs::read(dir.join("ro")).is_ok_and(|ro| ro.starts_with(b"0"));
        (same && (all || writes)).then(|| format!("/dev/{}", entry.file_name().display()))
    })
}
