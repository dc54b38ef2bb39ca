//! The child's side of a launch: walks the script.
//!
//! This runs between `clone3` and `execve` on a copy of the parent's memory: no allocation,
//! no lock, no log. What fails is told to the parent as index and errno; the words are there.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::fault::Peer;
use super::op::{Need, Op};
use super::script::Script;
use super::slot::{Slot, Slots};
use super::wire::{self, Kind, Message};
use super::{custom, mounts, nodes, process, stub};
use crate::sys;
use crate::sys::trees::{Crossing, clone_locked};

/// Status of a child that could not become the payload.
const SETUP_FAILED: i32 = 125;

/// Runs the script and becomes the payload, or reports why not and exits.
pub(crate) fn run(script: &Script, trees: &[OwnedFd], control: OwnedFd) -> ! {
    let mut slots = Slots::new();
    slots.put(Slot::Control, control);
    let mut child = Child {
        script,
        trees,
        slots,
        helper: None,
        may_start: false,
    };
    for (index, step) in script.child.iter().enumerate() {
        let result = child
            .check(index)
            .and_then(|()| child.act(&step.op))
            .or_else(|errno| child.act_otherwise(&step.op, errno));
        if let Err(errno) = result
            && !tolerates(step.need, errno)
        {
            child.report(index, errno);
            break;
        }
    }
    sys::clone::exit_now(SETUP_FAILED)
}

fn tolerates(need: Need, errno: Errno) -> bool {
    match need {
        Need::Must => false,
        // BADF: the clone that should have been attached did not exist either.
        Need::IfPresent => matches!(errno, Errno::NOENT | Errno::BADF),
        Need::Try => true,
    }
}

struct Child<'a> {
    script: &'a Script,
    /// What the parent had made before.
    trees: &'a [OwnedFd],
    slots: Slots,
    helper: Option<i32>,
    /// The word to start came while something else was waited for.
    may_start: bool,
}

impl Child<'_> {
    fn check(&self, index: usize) -> Result<(), Errno> {
        let control = self.slots.get(Slot::Control)?;
        self.script.fault.check(Peer::Parent(control), index)
    }

    fn act(&mut self, op: &Op) -> Result<(), Errno> {
        let slots = &mut self.slots;
        match op {
            Op::Receive { slots: wanted } => self.receive(wanted),
            Op::CutPropagation => mounts::cut_propagation(),
            Op::Become => process::become_root(),
            Op::DieWithParent => process::die_with_parent(),
            Op::UnshareOwn { network } => process::unshare_own(*network),
            Op::LoopbackUp => process::loopback_up(),
            Op::NewFs {
                kind,
                options,
                attributes,
                into,
            } => mounts::new_fs(slots, kind, options, *attributes, *into),
            Op::CloneTree {
                from,
                recursive,
                into,
            } => mounts::clone_tree(slots, from, *recursive, *into),
            Op::SetAttributes {
                tree,
                recursive,
                set,
                propagation,
            } => mounts::set_attributes(slots, *tree, *recursive, *set, *propagation),
            Op::Attach { tree, at } => mounts::attach(slots, *tree, at),
            Op::LockTrees { paths, into } => self.lock_trees(paths, *into),
            Op::Directory { at, mode } => nodes::directory(slots, at, *mode),
            Op::File { at, mode, content } => nodes::file(slots, at, *mode, content),
            Op::Node { at, mode, device } => nodes::node(slots, at, *mode, *device),
            Op::Link { at, target } => nodes::link(slots, at, target),
            Op::Unlink { at } => nodes::unlink(slots, at),
            Op::Fill { at, content } => nodes::fill(slots, at, content),
            Op::Write { at, content } => nodes::write(slots, at, content),
            Op::Take { tree, into, .. } => custom::take(slots, self.trees, *tree, *into),
            Op::Target { root, path, make } => custom::target(slots, *root, path, *make),
            Op::CloneInside { path, recursive } => custom::clone_inside(slots, path, *recursive),
            Op::Cover { from, .. } => custom::cover(slots, *from),
            Op::Mount { .. } => custom::mount(slots),
            Op::OpenConsole => nodes::open_console(slots),
            Op::Pivot => mounts::pivot(slots),
            Op::Propagation(flags) => rustix::mount::mount_change(c"/", *flags),
            Op::BindNotify { path } => nodes::bind_notify(slots, path),
            Op::Personality(number) => sys::process::personality(*number).map_err(errno),
            Op::Hostname(name) => rustix::system::sethostname(name.to_bytes()),
            Op::ResetSignals => sys::process::reset_signals().map_err(errno),
            Op::Umask(mask) => {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(*mask));
                Ok(())
            }
            Op::Keyring => sys::process::new_session_keyring().map_err(errno),
            Op::Session => process::session(slots.take(Slot::Console).ok().as_ref()),
            Op::Capabilities {
                keep,
                ambient,
                user,
            } => {
                let console = slots.get(Slot::Console).ok();
                process::restrict(*keep, *ambient, user.as_ref(), console)
            }
            Op::NoNewPrivileges => rustix::thread::set_no_new_privs(true),
            Op::Seccomp(index) => self.seccomp(*index),
            Op::CloseOnExec => sys::process::close_on_exec_from(3).map_err(errno),
            Op::Send { slots: given } => self.send(given),
            Op::AwaitStart => self.await_start(),
            Op::Chdir(path) => rustix::process::chdir(path.as_c_str()),
            Op::Stub => stay_as_init(),
            Op::Exec => self.exec(),
        }
    }

    fn report(&self, index: usize, errno: Errno) {
        let message = Message {
            kind: Kind::Failed,
            op: u32::try_from(index).unwrap_or(u32::MAX),
            errno: errno.raw_os_error(),
        };
        if let Ok(control) = self.slots.get(Slot::Control) {
            // A parent that is gone needs no report.
            let _ = wire::send(control, message, &[]);
        }
    }

    fn receive(&mut self, wanted: &[Slot]) -> Result<(), Errno> {
        let (message, fds) = wire::receive(self.slots.get(Slot::Control)?)?.ok_or(Errno::PIPE)?;
        if message.kind != Kind::Trees {
            return Err(Errno::PROTO);
        }
        let mut received = fds.into_iter().flatten();
        for slot in wanted {
            self.slots.put(*slot, received.next().ok_or(Errno::PROTO)?);
        }
        Ok(())
    }

    fn send(&self, given: &[Slot]) -> Result<(), Errno> {
        let control = self.slots.get(Slot::Control)?;
        let mut fds = [control; wire::MAX_FDS];
        let mut count = 0;
        for (place, slot) in fds.iter_mut().zip(given) {
            *place = self.slots.get(*slot)?;
            count += 1;
        }
        let used = fds.get(..count).unwrap_or(&[]);
        wire::send(control, Message::plain(Kind::Ready), used)
    }

    fn await_start(&mut self) -> Result<(), Errno> {
        if let Some(helper) = self.helper.take() {
            sys::trees::reap(helper);
        }
        let control = self.slots.get(Slot::Control)?;
        if !self.may_start {
            let (message, _) = wire::receive(control)?.ok_or(Errno::PIPE)?;
            if message.kind != Kind::Start {
                return Err(Errno::PROTO);
            }
        }
        // The word may have lain there for a while, and its sender may be dead: then nothing
        // would end the payload.
        wire::ensure_peer(control)
    }

    fn lock_trees(&mut self, paths: &[std::ffi::CString; 2], into: [Slot; 2]) -> Result<(), Errno> {
        let [first, second] = paths;
        let locked = clone_locked([first, second], Crossing::Nested).map_err(errno)?;
        if let Some(earlier) = self.helper.replace(locked.helper) {
            sys::trees::reap(earlier);
        }
        for (slot, tree) in into.into_iter().zip(locked.trees) {
            self.slots.put(slot, tree);
        }
        Ok(())
    }

    /// The second way of an operation that has one.
    fn act_otherwise(&mut self, op: &Op, errno: Errno) -> Result<(), Errno> {
        match (op, errno) {
            // Limits on user namespaces of a host, or of a security module.
            (Op::LockTrees { into, .. }, Errno::PERM | Errno::NOSPC) => self.ask_for_locks(*into),
            _ => Err(errno),
        }
    }

    fn ask_for_locks(&mut self, into: [Slot; 2]) -> Result<(), Errno> {
        let control = self.slots.get(Slot::Control)?;
        wire::send(control, Message::plain(Kind::Lock), &[])?;
        let (mut message, mut fds) = wire::receive(control)?.ok_or(Errno::PIPE)?;
        if message.kind == Kind::Start {
            self.may_start = true;
            (message, fds) = wire::receive(control)?.ok_or(Errno::PIPE)?;
        }
        let mut trees = fds.into_iter().flatten();
        match message.kind {
            Kind::Lock => {}
            Kind::Failed => return Err(Errno::from_raw_os_error(message.errno)),
            _ => return Err(Errno::PROTO),
        }
        for slot in into {
            self.slots.put(slot, trees.next().ok_or(Errno::PROTO)?);
        }
        Ok(())
    }

    fn seccomp(&self, index: usize) -> Result<(), Errno> {
        let filter = self.script.filters.get(index).ok_or(Errno::INVAL)?;
        filter
            .install()
            .map_err(|e| Errno::from_raw_os_error(e as i32))
    }

    fn exec(&self) -> Result<(), Errno> {
        let program = &self.script.program;
        Err(errno(sys::exec::execve(
            &program.path,
            &program.argv,
            &program.env,
        )))
    }
}

/// Forks. Returns in the payload-to-be; PID 1 stays here until the payload has ended.
fn stay_as_init() -> Result<(), Errno> {
    stub::block_signals()?;
    match sys::clone::fork_second().map_err(errno)? {
        0 => stub::unblock_signals(),
        payload => {
            let payload = rustix::process::Pid::from_raw(payload).ok_or(Errno::SRCH)?;
            sys::clone::exit_now(stub::run(payload).into())
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub(super) fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
