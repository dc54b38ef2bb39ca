//! A login prompt on a terminal of the machine's own.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Uid};

use super::enter::{Command, exec, running};
use super::own::nsrun;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::machine::Cgroups;
use crate::name::MachineName;
use crate::range::Range;
use crate::state::{Machine, PidFd, Store};
use crate::supervise::{ConsoleMode, Parted, Session, relay};

/// `DEVPTS_SUPER_MAGIC` of `linux/magic.h`.
const DEVPTS: u64 = 0x1cd1;

/// How long the machine's systemd may take to start a getty.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the caller is told while it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginEvent {
    /// What is typed goes to the machine from now on.
    Connected,
    /// The machine has ended.
    Ended,
    /// The user has left.
    Left,
}

/// Connects the caller's terminal with a login prompt of the machine, until the user leaves or the
/// machine ends. The prompt is that of a getty which the machine's systemd starts, or, if it cannot,
/// of the machine's `login`.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name runs; [`Kind::Usage`] without a terminal;
/// [`Kind::NoCommand`] if the machine has neither.
pub fn login(dirs: &Dirs, name: &MachineName, tell: &mut dyn FnMut(LoginEvent)) -> Result<u8> {
    if ConsoleMode::detect() != ConsoleMode::Interactive {
        let what = "login needs a terminal";
        return Err(Error::new(Kind::Usage, what)
            .hint(format!("`nsrun exec {name} -- COMMAND` needs none")));
    }
    let store = Store::new(dirs, Arc::new(Cgroups::probe()?));
    let machine = running(&store, name)?;
    let leader = leader(&store, &machine)?;
    tell(LoginEvent::Connected);
    let root = machine.record().and_then(|record| record.range);
    if let Some((master, unit)) = getty(dirs, name, &leader, root.map_or(0, Range::base))? {
        let mut session = Session::open(ConsoleMode::Interactive)?;
        let parted = relay(&master, leader.as_fd(), &mut session);
        session.leave_terminal();
        drop(session);
        match parted? {
            Parted::Ended => tell(LoginEvent::Ended),
            Parted::Left => {
                tell(LoginEvent::Left);
                // It would be started again, on a terminal that is another's by then.
                quietly(dirs, name, &["systemctl", "--quiet", "stop", &unit])?;
            }
        }
        drop(master);
        return Ok(0);
    }
    let command = Command {
        words: vec!["login".to_owned(), "-p".to_owned()],
        workdir: "/".to_owned(),
        terminal: true,
        ..Command::default()
    };
    exec(dirs, name, &command)
}

fn leader(store: &Store, machine: &Machine) -> Result<PidFd> {
    let leader = machine.leader()?;
    leader.ok_or_else(|| store.absent(machine.name()))
}

/// A terminal on which the machine's systemd has started a getty, and the getty's unit; `None` if it
/// does not.
fn getty(
    dirs: &Dirs,
    name: &MachineName,
    leader: &PidFd,
    root: u32,
) -> Result<Option<(OwnedFd, String)>> {
    let Ok((master, number)) = terminal(leader, root) else {
        return Ok(None);
    };
    let unit = format!("container-getty@{number}.service");
    let started = quietly(dirs, name, &["systemctl", "--quiet", "start", &unit])?;
    Ok(started.then_some((master, unit)))
}

/// Opens a terminal in the machine's own devpts, from outside, and gives it to the machine's `root`:
/// it would be the opener's, whom the machine does not know. Whatever else the machine has put in the
/// place of devpts is not touched. The terminal's number comes with it.
fn terminal(leader: &PidFd, root: u32) -> rustix::io::Result<(OwnedFd, String)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let tree = format!("/proc/{}/root", leader.pid());
    let tree = rustix::fs::open(tree, flags, Mode::empty())?;
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    let pts = rustix::fs::openat2(&tree, "dev/pts", flags, Mode::empty(), how)?;
    if u64::try_from(rustix::fs::fstatfs(&pts)?.f_type) != Ok(DEVPTS) {
        return Err(rustix::io::Errno::NODEV);
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let master = rustix::fs::openat(&pts, "ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let number = name.to_string_lossy().replace("/dev/pts/", "");
    let root = Some(Uid::from_raw(root));
    rustix::fs::chownat(&pts, &number, root, None, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((master, number))
}

/// Runs a command in the machine without a word; whether it succeeds in time. A process of its own
/// does, since one that has joined a PID namespace cannot leave it.
fn quietly(dirs: &Dirs, name: &MachineName, words: &[&str]) -> Result<bool> {
    let what = || format!("run {} in machine {name}", words.join(" "));
    let mut child = nsrun(dirs)
        .args(["exec", name.as_str(), "--"])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .cannot(what)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().cannot(what)? {
            return Ok(status.success());
        }
        if Instant::now() >= deadline {
            child.kill().cannot(what)?;
            child.wait().cannot(what)?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
