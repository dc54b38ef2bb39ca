//! The launcher's side: makes the child, gives it what only the host can give, and waits.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Resource, Rlimit};
use rustix::thread::CpuSet;

use super::blame;
use super::child;
use super::fault::Peer;
use super::network::{self, Visit};
use super::op::ParentOp;
use super::root;
use super::script::Script;
use super::trees::{self, Materials};
use super::userns;
use super::wire::{self, Fds, Kind as Word, Message};
use crate::error::{Context, Error, Result};
use crate::ownership::IdMap;
use crate::plan::tuning::{CpuList, OomScore};
use crate::sys::clone::{self, Side};
use crate::sys::ns::{self, Namespace};
use crate::sys::trees::{Crossing, clone_locked};

/// How long the child may take to build the machine. It needs milliseconds; a file system
/// that hangs needs forever.
const DEADLINE: Duration = Duration::from_secs(30);

/// What the launcher asks of the rest of the runtime.
pub(crate) trait Host {
    /// Gives the payload its cgroup, without the devices that it must not use.
    fn cgroup(&mut self) -> Result<()>;
    /// Makes the links between the host and the namespace.
    fn network(&mut self, netns: BorrowedFd<'_>) -> Result<()>;
    /// Stores how the machine is found again.
    fn record(&mut self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()>;
}

/// A running payload.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) notify: OwnedFd,
    pub(crate) console: Option<OwnedFd>,
}

/// Carries the script out. On failure nothing of the child is left.
pub(crate) fn launch(
    script: &Script,
    materials: Materials<'_>,
    cgroup: OwnedFd,
    host: &mut dyn Host,
) -> Result<Launched> {
    let mut launcher = Launcher {
        script,
        materials,
        cgroup,
        host,
        child: None,
        mounts: Vec::new(),
        trees: Vec::new(),
        network: None,
        handed_over: None,
    };
    for (index, op) in script.parent.iter().enumerate() {
        let child = launcher.child.as_ref().and_then(|c| c.pidfd.as_ref());
        let peer = Peer::Child(child.map(AsFd::as_fd));
        script.fault.check(peer, index).cannot(|| op)?;
        launcher.act(op)?;
    }
    launcher.finish()
}

struct Launcher<'a> {
    script: &'a Script,
    materials: Materials<'a>,
    cgroup: OwnedFd,
    host: &'a mut dyn Host,
    child: Option<Child>,
    /// Made before the child, which has copies of the descriptors.
    mounts: Vec<OwnedFd>,
    trees: Vec<OwnedFd>,
    /// The network namespace that the child is made in, if it is not this process's.
    network: Option<OwnedFd>,
    handed_over: Option<Fds>,
}

/// The child while it is being launched; killed and reaped if that fails.
struct Child {
    pid: i32,
    pidfd: Option<OwnedFd>,
    control: OwnedFd,
}

impl Child {
    /// Whether it ends, or has ended. It loses its namespaces before it shows that, and to take
    /// down a mount namespace takes its time.
    fn is_ending(&self) -> bool {
        let Some(pidfd) = &self.pidfd else {
            return true;
        };
        let moment = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&moment)), Ok(1..))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
        if let Some(pidfd) = &self.pidfd {
            // It may have ended by itself; then there is only the status to collect.
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
            let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
        }
    }
}

impl Launcher<'_> {
    fn act(&mut self, op: &ParentOp) -> Result<()> {
        match *op {
            ParentOp::Tree(ref tree) => {
                self.mounts.push(trees::make(tree, self.materials)?);
                Ok(())
            }
            ParentOp::JoinNetwork(ref path) => {
                self.network = Some(network::open(path)?);
                Ok(())
            }
            ParentOp::Clone { namespaces } => self.clone_child(namespaces),
            ParentOp::WriteIdMaps { base, length } => {
                self.or_its_end(self.write_id_maps(base, length))
            }
            ParentOp::CloneRoot {
                map,
                attributes,
                overlay,
            } => self.clone_root(map, attributes, overlay),
            ParentOp::EmptyRoot { owner } => {
                let tree = root::empty(self.materials.root, owner)?;
                self.trees.push(tree);
                Ok(())
            }
            ParentOp::HostSysfs => {
                self.trees.push(network::sysfs(self.network.as_ref())?);
                Ok(())
            }
            ParentOp::SendTrees => self.send_trees(),
            ParentOp::Cgroup => self.host.cgroup(),
            ParentOp::Limit {
                resource,
                soft,
                hard,
            } => self.limit(resource, soft, hard),
            ParentOp::OomScore(score) => self.oom_score(score),
            ParentOp::Processors(ref list) => self.processors(list),
            ParentOp::Network => {
                let netns = self.namespace(Namespace::Net)?;
                self.host.network(netns.as_fd())
            }
            ParentOp::AwaitReady => self.await_ready(),
            ParentOp::Record => self.record(),
            ParentOp::Start => self.say(Word::Start, &[]),
            ParentOp::AwaitExec => self.await_exec(),
        }
    }

    fn child(&self) -> Result<&Child> {
        self.child.as_ref().ok_or_else(blame::no_child)
    }

    fn identity(&self) -> Result<(i32, BorrowedFd<'_>)> {
        let child = self.child()?;
        let pidfd = child.pidfd.as_ref().ok_or_else(blame::no_child)?;
        Ok((child.pid, pidfd.as_fd()))
    }

    fn limit(&self, resource: Resource, soft: Option<u64>, hard: Option<u64>) -> Result<()> {
        let limit = Rlimit {
            current: soft,
            maximum: hard,
        };
        let pid = Pid::from_raw(self.child()?.pid);
        let what = || format!("set the limit {resource:?}");
        rustix::process::prlimit(pid, resource, limit)
            .map(drop)
            .cannot(what)
    }

    fn oom_score(&self, score: OomScore) -> Result<()> {
        let path = format!("/proc/{}/oom_score_adj", self.child()?.pid);
        let written = std::fs::write(path, score.to_string());
        self.or_its_end(written.map_err(|error| blame::oom_score(score, error)))
    }

    fn processors(&self, list: &CpuList) -> Result<()> {
        let mut set = CpuSet::new();
        list.numbers().iter().for_each(|number| set.set(*number));
        let pid = Pid::from_raw(self.child()?.pid);
        let done = rustix::thread::sched_setaffinity(pid, &set);
        let done = done.cannot(|| format!("run on processors {list}"));
        self.or_its_end(
            done.map_err(|error| error.hint("the host has none of them, or not for nsrun")),
        )
    }

    fn namespace(&self, kind: Namespace) -> Result<OwnedFd> {
        let (pid, pidfd) = self.identity()?;
        let what = || format!("open the {kind} namespace of the container");
        self.or_its_end(ns::open(pidfd, pid, kind).cannot(what))
    }

    fn record(&mut self) -> Result<()> {
        let child = self.child.as_ref().ok_or_else(blame::no_child)?;
        let pidfd = child.pidfd.as_ref().ok_or_else(blame::no_child)?;
        self.host.record(child.pid, pidfd.as_fd())
    }

    fn clone_child(&mut self, namespaces: u64) -> Result<()> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (ours, theirs) = rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)
            .cannot(|| "make a socket pair")?;
        let visit = Visit::begin(self.network.as_ref().map(AsFd::as_fd))?;
        match clone::clone3(namespaces, Some(self.cgroup.as_fd())) {
            Ok(Side::Child) => {
                drop(ours);
                child::run(self.script, &self.mounts, theirs)
            }
            Ok(Side::Parent { pid, pidfd }) => {
                self.child = Some(Child {
                    pid,
                    pidfd: Some(pidfd),
                    control: ours,
                });
                visit.end()
            }
            Err(error) => visit.end().and(Err(blame::clone(error))),
        }
    }

    fn write_id_maps(&self, base: u32, length: u32) -> Result<()> {
        let pid = self.child()?.pid;
        userns::write_maps(pid, &format!("0 {base} {length}\n"))
            .cannot(|| format!("map the container's ids 0..{length} to {base}"))
    }

    fn clone_root(&mut self, map: IdMap, attributes: MountAttrFlags, overlay: bool) -> Result<()> {
        let userns = match map {
            IdMap::None => None,
            IdMap::Payload => Some(self.namespace(Namespace::User)?),
            IdMap::Between { from, to, length } => Some(userns::with_map(from, to, length)?),
        };
        let userns = userns.as_ref().map(AsFd::as_fd);
        let image = self.materials.root;
        let tree = match self.materials.changes {
            Some(changes) if overlay => root::cover(image, userns, attributes, changes)?,
            _ => root::clone(image, userns, attributes)?,
        };
        self.trees.push(tree);
        Ok(())
    }

    fn send_trees(&mut self) -> Result<()> {
        let trees = std::mem::take(&mut self.trees);
        let borrowed: Vec<BorrowedFd<'_>> = trees.iter().map(AsFd::as_fd).collect();
        self.say(Word::Trees, &borrowed)
    }

    fn say(&self, word: Word, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let control = self.child()?.control.as_fd();
        match wire::send(control, Message::plain(word), fds) {
            Err(Errno::PIPE | Errno::CONNRESET) => Err(self.explain_end()),
            other => other.cannot(|| "talk to the container's first process"),
        }
    }

    fn await_ready(&mut self) -> Result<()> {
        match self.listen()? {
            Some((message, _)) if message.kind == Word::Lock => {
                self.lock_trees()?;
                self.await_ready()
            }
            Some((message, fds)) if message.kind == Word::Ready => {
                self.handed_over = Some(fds);
                Ok(())
            }
            Some((message, _)) => Err(blame::child(self.script, message)),
            None => Err(self.explain_end()),
        }
    }

    /// Does for the child what the host forbids it to do: crossing into its mount namespace from
    /// the initial user namespace locks the mounts too.
    fn lock_trees(&self) -> Result<()> {
        let (_, pidfd) = self.identity()?;
        let paths = [c"/proc", c"/sys"];
        let locked = clone_locked(paths, Crossing::Copy(pidfd))
            .cannot(|| "lock the mounts below /proc and /sys");
        let locked = self.or_its_end(locked)?;
        let [proc, sys] = &locked.trees;
        let sent = self.say(Word::Lock, &[proc.as_fd(), sys.as_fd()]);
        crate::sys::trees::reap(locked.helper);
        sent
    }

    /// The control socket is closed by `execve`, so its end is the payload's beginning.
    fn await_exec(&self) -> Result<()> {
        match self.listen()? {
            None => Ok(()),
            Some((message, _)) => Err(blame::child(self.script, message)),
        }
    }

    fn listen(&self) -> Result<Option<(Message, Fds)>> {
        let child = self.child()?;
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or_default();
            let mut fds = [PollFd::new(&child.control, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Err(blame::too_slow(DEADLINE)),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).cannot(|| "wait for the container"),
            }
        }
        wire::receive(child.control.as_fd()).cannot(|| "talk to the container's first process")
    }

    /// The child is gone or says no more: its last words, if there are any.
    fn explain_end(&self) -> Error {
        let receive = |child: &Child| wire::receive(child.control.as_fd());
        while let Ok(Ok(Some((message, _)))) = self.child().map(receive) {
            // What it said before does not matter any more.
            if message.kind == Word::Failed {
                return blame::child(self.script, message);
            }
        }
        blame::killed()
    }

    /// What fails on this side may only follow from the child's end, which is told then.
    fn or_its_end<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match &self.child {
            Some(child) if child.is_ending() => self.explain_end(),
            _ => error,
        })
    }

    fn finish(mut self) -> Result<Launched> {
        let mut child = self.child.take().ok_or_else(blame::no_child)?;
        let mut fds = self.handed_over.take().into_iter().flatten().flatten();
        Ok(Launched {
            pid: child.pid,
            notify: fds.next().ok_or_else(blame::no_child)?,
            console: fds.next(),
            pidfd: child.pidfd.take().ok_or_else(blame::no_child)?,
        })
    }
}
