//! Finding a machine, joining it, and waiting for the command.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sched::CloneFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::child::{self, EXECUTE, Ids, STEPS, Script};
use super::env::{environment, find, text};
use super::nixos;
use super::user::User;
use crate::caps::CapSet;
use crate::cgroup::Leaf;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::launch::wire::{self, Kind as Word};
use crate::machine::Cgroups;
use crate::name::MachineName;
use crate::seccomp::{self, Arch};
use crate::state::{Machine, PidFd, Record, State, Store};
use crate::supervise::{self, Config, ConsoleMode, Payload, Session, Status};
use crate::sys::clone::{self, Side};
use crate::sys::exec::CVec;

/// A command to run in a machine.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The command and its arguments.
    pub words: Vec<String>,
    /// More environment.
    pub env: Vec<(String, String)>,
    /// Where it starts; the user's home if that is empty.
    pub workdir: String,
    /// Whom it runs as, by a name or number of the machine's; root if not said.
    pub user: Option<String>,
    /// It gets a terminal of the machine's, forwarded to the caller's.
    pub terminal: bool,
    /// Its environment is that of logins, where the machine's system has a script for that.
    pub login_environment: bool,
    /// What it has started goes on when it has ended, until the machine ends.
    pub leaves_processes: bool,
}

/// Runs a command in a machine and returns its exit status; 128 and the signal's number if a
/// signal ended it.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name runs; [`Kind::NoCommand`] and
/// [`Kind::NotExecutable`] if the command cannot be executed.
pub fn exec(dirs: &Dirs, name: &MachineName, command: &Command) -> Result<u8> {
    let cgroups = Arc::new(Cgroups::probe()?);
    let store = Store::new(dirs, cgroups.clone());
    let machine = running(&store, name)?;
    let (record, leader) = parts(&store, &machine)?;
    if record.range.is_none() {
        crate::sys::seal::ensure().cannot(|| "go on as a sealed copy of nsrun")?;
    }
    let script = script(dirs, machine.name(), record, &leader, command)?;
    let cgroup = cgroups.open(record)?.ok_or_else(|| store.absent(name))?;
    let mut session = Session::open(if command.terminal {
        ConsoleMode::detect()
    } else {
        ConsoleMode::Passive
    })?;
    let leaf = cgroup.exec_leaf(
        rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs(),
    )?;
    let payload = join(&script, &leader, leaf.dir())?;
    let mut joined = Joined {
        leaf: &leaf,
        stays: command.leaves_processes,
    };
    wait(payload, &mut joined, &mut session)
}

/// Ends a command that the process `number` has in the machine, and whatever it has started.
///
/// # Errors
/// If its cgroup cannot be killed. That it or the machine is not there is none.
pub fn end_command(dirs: &Dirs, name: &MachineName, number: u32) -> Result<()> {
    let cgroups = Arc::new(Cgroups::probe()?);
    let store = Store::new(dirs, cgroups.clone());
    let machine = store.machine(name)?;
    let record = machine.as_ref().and_then(Machine::record);
    let cgroup = record.map(|record| cgroups.open(record)).transpose()?;
    match cgroup.flatten() {
        Some(cgroup) => cgroup.kill_exec_leaf(number),
        None => Ok(()),
    }
}

pub(super) fn running(store: &Store, name: &MachineName) -> Result<Machine> {
    let machine = store.machine(name)?.ok_or_else(|| store.absent(name))?;
    match machine.state()? {
        State::Running | State::Stopping => Ok(machine),
        _ => Err(store.absent(name)),
    }
}

fn parts<'a>(store: &Store, machine: &'a Machine) -> Result<(&'a Record, PidFd)> {
    let name = machine.name();
    let record = machine.record().ok_or_else(|| store.absent(name))?;
    let leader = machine.leader()?.ok_or_else(|| store.absent(name))?;
    Ok((record, leader))
}

/// Everything that the joining process needs to know.
fn script(
    dirs: &Dirs,
    name: &MachineName,
    record: &Record,
    leader: &PidFd,
    command: &Command,
) -> Result<Script> {
    let root = ImageRoot::open(format!("/proc/{}/root", leader.pid()).as_ref())?;
    let limits = Limits::of(leader)?;
    let user = command.user.as_deref().map(|user| User::find(&root, user));
    let user = user.transpose()?;
    let systems = match command.login_environment {
        true => nixos::environment(dirs, name, &root, command)?,
        false => None,
    };
    let env = environment(&root, command, user.as_ref(), systems)?;
    let word = command.words.first().map_or("", String::as_str);
    let program = find(&root, word, &env)?;
    let words: Result<Vec<CString>> = command.words.iter().map(|word| text(word)).collect();
    let home = user.as_ref().map_or("/root", |user| user.home.as_str());
    let workdir = match command.workdir.as_str() {
        "" if root.has(home) => home,
        "" => "/",
        workdir => workdir,
    };
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP;
    namespaces.set(CloneFlags::CLONE_NEWUSER, record.range.is_some());
    Ok(Script {
        namespaces,
        terminal: command.terminal,
        workdir: text(workdir)?,
        user: user.as_ref().map(Ids::of),
        capabilities: limits.capabilities.mask(),
        no_new_privileges: limits.no_new_privileges,
        filter: seccomp::payload_filter(Arch::NATIVE, limits.capabilities, &record.restrictions),
        program: text(&program)?,
        argv: CVec::new(words?),
        env: CVec::new(env),
    })
}

/// What PID 1 may do, so that nothing that joins may do more.
struct Limits {
    capabilities: CapSet,
    no_new_privileges: bool,
}

impl Limits {
    fn of(leader: &PidFd) -> Result<Self> {
        let path = format!("/proc/{}/status", leader.pid());
        let status = std::fs::read_to_string(&path).cannot(|| format!("read {path}"))?;
        let field = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim())
        };
        let bits = field("CapBnd:").and_then(|bits| u64::from_str_radix(bits, 16).ok());
        let capabilities = bits.map(CapSet::from_mask).ok_or_else(|| {
            Error::new(
                Kind::Failed,
                format!("cannot read the capabilities in {path}"),
            )
        })?;
        Ok(Self {
            capabilities,
            no_new_privileges: field("NoNewPrivs:") == Some("1"),
        })
    }
}

/// Makes the process and waits until it is the command.
fn join(script: &Script, leader: &PidFd, cgroup: BorrowedFd<'_>) -> Result<Payload> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let (ours, theirs) = rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)
        .cannot(|| "make a socket pair")?;
    // From here on children of this process are in the machine's PID namespace.
    nix::sched::setns(leader, CloneFlags::CLONE_NEWPID)
        .cannot(|| "enter the PID namespace of the container")?;
    match clone::clone3(0, Some(cgroup)).cannot(|| "make a process in the container's cgroup")? {
        Side::Child => {
            drop(ours);
            child::run(script, leader.as_fd(), &theirs)
        }
        Side::Parent { pid, pidfd } => {
            drop(theirs);
            let console = handshake(script, &ours)?;
            Ok(Payload {
                pid,
                pidfd,
                console,
                notify: None,
            })
        }
    }
}

/// Receives the terminal, then the end of the socket, which `execve` brings.
fn handshake(script: &Script, control: &OwnedFd) -> Result<Option<OwnedFd>> {
    let mut console = None;
    loop {
        match wire::receive(control.as_fd()) {
            Ok(Some((message, fds))) if message.kind == Word::Ready => {
                console = fds.into_iter().flatten().next();
            }
            Ok(Some((message, _))) => return Err(explain(script, message.op, message.errno)),
            Ok(None) => return Ok(console),
            Err(errno) => return Err(errno).cannot(|| "talk to the joining process"),
        }
    }
}

fn explain(script: &Script, step: u32, errno: i32) -> Error {
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    let cause = std::io::Error::from_raw_os_error(errno);
    if step == EXECUTE {
        let kind = if errno == libc::ENOENT {
            Kind::NoCommand
        } else {
            Kind::NotExecutable
        };
        let program = script.program.to_bytes().escape_ascii();
        return Error::new(kind, format!("cannot execute {program}")).because(cause);
    }
    let what = STEPS.get(step).unwrap_or(&"join the container");
    Error::new(Kind::Failed, format!("cannot {what}")).because(cause)
}

fn wait(payload: Payload, joined: &mut Joined<'_>, session: &mut Session) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .cannot(|| "prepare to wait for the command")?;
    let config = Config {
        namespaced: false,
        ..Config::run()
    };
    let supervised = supervise::supervise(session, payload, config, joined);
    runtime
        .block_on(supervised)
        .map(|outcome| outcome.exit_status())
}

/// What joined is ended by the cgroup of its own.
struct Joined<'a> {
    leaf: &'a Leaf,
    stays: bool,
}

impl supervise::Host for Joined<'_> {
    fn kill_all(&mut self) -> Result<()> {
        match self.stays {
            true => Ok(()),
            false => self.leaf.kill(),
        }
    }

    fn kill_entered(&mut self) {}

    fn record(&mut self, _: &Status) {}
}
