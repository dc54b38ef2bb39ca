//! A copy of the own program that nobody can change.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};

use super::exec::CVec;

const NAME: &CStr = c"nsrun";

/// Goes on as a sealed copy in memory, unless this process is one already.
///
/// Without a user namespace the payload's root is the host's: through `/proc/PID/exe` of a
/// process that is still nsrun's it could write to the program on disk (CVE-2019-5736).
/// Returns only if nothing had to be done.
pub(crate) fn ensure() -> io::Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(rustix::fs::memfd_create(NAME, flags)?);
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    seal(&copy)?;
    let words: io::Result<Vec<CString>> = std::env::args_os().map(word).collect();
    let env = std::env::vars_os().map(|(mut key, value)| {
        key.push("=");
        key.push(value);
        word(key)
    });
    let env: io::Result<Vec<CString>> = env.collect();
    Err(execute(
        std::os::fd::AsFd::as_fd(&copy),
        &CVec::new(words?),
        &CVec::new(env?),
    ))
}

/// The kernel gives up with EBUSY while something of its own, such as reclaim or a monitor of
/// accesses, still holds on to a page of the file.
fn seal(copy: &File) -> rustix::io::Result<()> {
    const TRIES: usize = 20;
    const MOMENT: Duration = Duration::from_millis(10);
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    for _ in 0..TRIES {
        match rustix::fs::fcntl_add_seals(copy, seals) {
            Err(rustix::io::Errno::BUSY) => std::thread::sleep(MOMENT),
            other => return other,
        }
    }
    Err(rustix::io::Errno::BUSY)
}

fn is_sealed() -> io::Result<bool> {
    let program = File::open("/proc/self/exe")?;
    let seals = match rustix::fs::fcntl_get_seals(&program) {
        Ok(seals) => seals,
        // Not a memory file.
        Err(rustix::io::Errno::INVAL) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    Ok(seals.contains(SealFlags::WRITE))
}

fn word(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(io::Error::other)
}

fn execute(program: BorrowedFd<'_>, argv: &CVec, env: &CVec) -> io::Error {
    let (argv, env) = (argv.as_ptr().cast(), env.as_ptr().cast());
    // SAFETY: the path is NUL-terminated, both vectors are NULL-terminated arrays of valid C
    // strings that outlive the call.
    unsafe {
        libc::execveat(
            program.as_raw_fd(),
            c"".as_ptr(),
            argv,
            env,
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}
