//! Processes by descriptor. A pid names whoever has it now; a descriptor names one
//! process for good, so every signal goes through one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::virtual_file;

/// What `statfs(2)` calls the file system of pidfds since Linux 6.9.
const PID_FS_MAGIC: u64 = 0x5049_4446;

/// What tells a process from any other that ever had its pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The pid, in the namespace of the process that noted it.
    pub pid: i32,
    /// The pidfd's inode number, which the kernel gives to one process per boot. `None`
    /// before Linux 6.9.
    pub inode: Option<u64>,
    /// When it was started, in clock ticks since boot (proc_pid_stat(5), field 22).
    pub start_time: u64,
}

impl Identity {
    /// Of the calling process.
    ///
    /// # Errors
    /// If the process is out of descriptors or `/proc` cannot be read.
    pub fn own() -> io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let own = PidFd::open(pid)?.map_or(Ok(None), |process| process.identity())?;
        own.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
    }

    /// Whether both are of the same process. Inodes decide where both are known; a start
    /// time alone cannot tell processes that followed each other within one tick.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let times = self.start_time == other.start_time;
        match (self.inode, other.inode) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => times && self.pid == other.pid,
        }
    }
}

/// A process by descriptor.
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
    pid: i32,
}

impl PidFd {
    /// Opens whoever has that pid now; `None` if nobody does. Compare [`Self::identity`]
    /// before acting on a pid that was written down earlier.
    ///
    /// # Errors
    /// If the process is out of descriptors, or `pid` is not positive.
    pub fn open(pid: i32) -> io::Result<Option<Self>> {
        let valid = (pid > 0).then(|| Pid::from_raw(pid)).flatten();
        let valid = valid.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        match pidfd_open(valid, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Self { fd, pid })),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Wraps a descriptor that `clone3` returned together with `pid`.
    #[must_use]
    pub fn from_clone(fd: OwnedFd, pid: i32) -> Self {
        Self { fd, pid }
    }

    /// The process of that identity, if it still exists (dead but unreaped counts).
    ///
    /// # Errors
    /// If the process is out of descriptors or `/proc` cannot be read.
    pub fn of(identity: &Identity) -> io::Result<Option<Self>> {
        let Some(process) = Self::open(identity.pid)? else {
            return Ok(None);
        };
        let same = match (identity.inode, inode(process.fd.as_fd())?) {
            // The kernel keeps it for this process, so that nothing else need be read.
            (Some(noted), Some(found)) => noted == found,
            _ => process
                .identity()?
                .is_some_and(|found| found.matches(identity)),
        };
        Ok(same.then_some(process))
    }

    /// The pid; meaningful only while the process has not been reaped.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Who this is; `None` if it was reaped meanwhile.
    ///
    /// # Errors
    /// If `/proc` cannot be read or understood.
    pub fn identity(&self) -> io::Result<Option<Identity>> {
        let stat = match virtual_file::read(format!("/proc/{}/stat", self.pid)) {
            Ok(stat) => stat,
            Err(e) if is_gone(&e) => return Ok(None),
            Err(e) => return Err(e),
        };
        // Had it been reaped before the file was read, another could be described there.
        if !self.exists()? {
            return Ok(None);
        }
        let start_time = start_time(&stat).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "unexpected format of /proc/PID/stat",
            )
        })?;
        Ok(Some(Identity {
            pid: self.pid,
            inode: inode(self.fd.as_fd())?,
            start_time,
        }))
    }

    /// Whether it runs, that is, has not exited; a zombie has.
    ///
    /// # Errors
    /// If polling fails, as for lack of memory.
    pub fn is_running(&self) -> io::Result<bool> {
        self.wait(Duration::ZERO).map(|exited| !exited)
    }

    /// Waits for its exit, at most `timeout`; whether it has exited.
    ///
    /// # Errors
    /// If polling fails, as for lack of memory.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        loop {
            let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
            match poll(&mut polled, Some(&timeout)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Sends a signal by number, real-time ones included; a process that has exited
    /// takes it without effect, and `false` is returned for one that was reaped.
    ///
    /// # Errors
    /// If the caller may not signal the process, or there is no such signal.
    pub fn signal(&self, number: i32) -> io::Result<bool> {
        match send(self.fd.as_fd(), number) {
            Ok(()) => Ok(true),
            Err(e) if is_gone(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn exists(&self) -> io::Result<bool> {
        self.signal(0).or_else(|e| match e.raw_os_error() {
            Some(libc::EPERM) => Ok(true),
            _ => Err(e),
        })
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

/// The inode number of a pidfd, if the kernel has one for each process.
fn inode(fd: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let has_inodes = match KNOWN.get() {
        Some(known) => *known,
        None => {
            let magic = rustix::fs::fstatfs(fd)?.f_type;
            *KNOWN.get_or_init(|| u64::try_from(magic) == Ok(PID_FS_MAGIC))
        }
    };
    has_inodes
        .then(|| Ok(rustix::fs::fstat(fd)?.st_ino))
        .transpose()
}

/// Field 22 of a stat line. The second field is the command in parentheses and may hold
/// blanks and parentheses itself, so fields are counted from the last one.
fn start_time(stat: &[u8]) -> Option<u64> {
    let command_end = stat.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(stat.get(command_end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// rustix can send named signals only, not the real-time ones that systemd listens to.
fn send(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and a null siginfo asks for what kill(2) fills in.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            number,
            info,
            0,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    const LONG: Duration = Duration::from_secs(20);

    /// A process that ends when its standard input is closed.
    fn cat() -> Child {
        let mut command = Command::new("cat");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn open(child: &Child) -> PidFd {
        PidFd::open(i32::try_from(child.id()).unwrap())
            .unwrap()
            .unwrap()
    }

    #[test]
    fn an_identity_finds_its_process_until_that_is_reaped() {
        let mut child = cat();
        let process = open(&child);
        let identity = process.identity().unwrap().unwrap();
        assert!(process.is_running().unwrap());
        assert!(PidFd::of(&identity).unwrap().is_some());

        drop(child.stdin.take());
        assert!(process.wait(LONG).unwrap());
        assert!(!process.is_running().unwrap());
        child.wait().unwrap();
        assert_eq!(process.identity().unwrap(), None);
        assert!(PidFd::of(&identity).unwrap().is_none());
        assert!(!process.signal(libc::SIGTERM).unwrap());
    }

    #[test]
    fn another_process_under_the_pid_is_not_taken_for_it() {
        let mut child = cat();
        let found = open(&child).identity().unwrap().unwrap();
        let inode = found.inode.map(|inode| inode + 1);
        let start_time = found.start_time + 1;
        let older = Identity {
            inode: None,
            ..found
        };
        assert!(PidFd::of(&older).unwrap().is_some());
        assert!(
            PidFd::of(&Identity {
                start_time,
                ..older
            })
            .unwrap()
            .is_none()
        );
        if inode.is_some() {
            assert!(PidFd::of(&Identity { inode, ..found }).unwrap().is_none());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_own_identity_is_that_of_the_own_pid() {
        let own = Identity::own().unwrap();
        assert_eq!(own.pid.unsigned_abs(), std::process::id());
        assert!(PidFd::of(&own).unwrap().unwrap().is_running().unwrap());
    }

    #[test]
    fn real_time_signals_are_sent() {
        let mut child = cat();
        let signal = libc::SIGRTMIN() + 3;
        assert!(open(&child).signal(signal).unwrap());
        assert_eq!(child.wait().unwrap().signal(), Some(signal));
    }

    #[test]
    fn impossible_pids_are_refused() {
        for pid in [0, -1, i32::MIN] {
            assert!(PidFd::open(pid).is_err(), "{pid}");
        }
        assert!(PidFd::open(i32::MAX).unwrap().is_none());
    }

    #[test]
    fn the_start_time_is_counted_from_the_last_parenthesis() {
        let line = b"42 (a) b) c) S 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 9 9\n";
        assert_eq!(start_time(line), Some(12345));
        for damaged in [&b""[..], b"42 (a", b"42 (a) S 1 2 3", b"1 (a) S \xff"] {
            assert_eq!(start_time(damaged), None);
        }
    }
}
