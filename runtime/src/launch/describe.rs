//! Operations in words: for errors, and for what `--dry-run` prints.

use std::ffi::CStr;
use std::fmt;

use rustix::io::Errno;

use super::op::{Component, Content, Need, Op, ParentOp, Place, Step, TreeOp};
use super::slot::Slot;
use crate::ownership::IdMap;

struct Text<'a>(&'a CStr);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.to_bytes().escape_ascii())
    }
}

impl fmt::Display for Slot {
    /// Where the descriptor's mount is, or will be, in the payload's tree.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "/",
            Self::Run => "/run",
            Self::Dev => "/dev",
            Self::Proc | Self::ProcTree => "/proc",
            Self::Sys | Self::SysTree => "/sys",
            Self::FullSys => "the full sysfs",
            Self::SysNet => "/proc/sys/net",
            Self::Credentials => "/run/host/credentials",
            Self::Stage => "the mounts to lock",
            Self::Target => "the target",
            Self::Passing => "it",
            Self::Master => "the console",
            Self::Console => "the terminal",
            Self::Notify => "the notification socket",
            Self::Control => "the control socket",
            Self::Holder => "a tree with something to cover",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base {
            None => write!(f, "{}", Text(&self.path)),
            Some(Slot::Root) => write!(f, "/{}", Text(&self.path)),
            Some(base) => write!(f, "{base}/{}", Text(&self.path)),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.op)?;
        f.write_str(match self.need {
            Need::Must => "",
            Need::IfPresent => " (if present)",
            Need::Try => " (if possible)",
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receive { slots } => write!(f, "receive {}", list(slots)),
            Self::CutPropagation => f.write_str("cut the mount tree off from the host's"),
            Self::Become => f.write_str("become root of the container"),
            Self::DieWithParent => f.write_str("tie the life to the supervisor's"),
            Self::UnshareOwn { network: false } => f.write_str("make a cgroup namespace"),
            Self::UnshareOwn { network: true } => {
                f.write_str("make a cgroup and a network namespace")
            }
            Self::LoopbackUp => f.write_str("bring lo up"),
            Self::NewFs { .. }
            | Self::CloneTree { .. }
            | Self::SetAttributes { .. }
            | Self::Attach { .. }
            | Self::LockTrees { .. } => mount(self, f),
            Self::Directory { .. }
            | Self::File { .. }
            | Self::Node { .. }
            | Self::Link { .. }
            | Self::Unlink { .. }
            | Self::Fill { .. }
            | Self::Write { .. } => node(self, f),
            Self::Take { .. }
            | Self::Target { .. }
            | Self::CloneInside { .. }
            | Self::Cover { .. }
            | Self::Mount { .. } => custom(self, f),
            Self::OpenConsole => f.write_str("open /dev/console"),
            Self::Pivot => f.write_str("change the root and let go of the host's"),
            Self::Propagation(_) => f.write_str("share mounts inside the container"),
            Self::BindNotify { path } => write!(f, "bind the socket {}", Text(path)),
            Self::Personality(number) => write!(f, "set the personality to {number}"),
            Self::Hostname(name) => write!(f, "set the host name to {}", Text(name)),
            Self::ResetSignals => f.write_str("reset signals"),
            Self::Umask(mask) => write!(f, "set the umask to {mask:03o}"),
            Self::Keyring => f.write_str("join a new session keyring"),
            Self::Session => f.write_str("make a session"),
            Self::Capabilities {
                keep, user: None, ..
            } => write!(f, "keep capabilities {keep:#x}"),
            Self::Capabilities {
                keep,
                user: Some(user),
                ..
            } => {
                let uid = user.uid;
                write!(f, "keep capabilities {keep:#x} and become user {uid}")
            }
            Self::NoNewPrivileges => f.write_str("refuse new privileges"),
            Self::Seccomp(_) => f.write_str("filter system calls"),
            Self::CloseOnExec => f.write_str("close all but the standard streams on exec"),
            Self::Send { slots } => write!(f, "hand over {}", list(slots)),
            Self::AwaitStart => f.write_str("wait for the word to start"),
            Self::Chdir(path) => write!(f, "change to directory {}", Text(path)),
            Self::Stub => f.write_str("start the payload as PID 2"),
            Self::Exec => f.write_str("execute the program"),
        }
    }
}

fn mount(op: &Op, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match op {
        Op::NewFs { kind, options, .. } => {
            write!(f, "make a {}", Text(kind))?;
            options
                .iter()
                .try_for_each(|(key, value)| write!(f, " {}={}", Text(key), Text(value)))
        }
        Op::CloneTree { from, .. } => write!(f, "clone the mount {from}"),
        Op::SetAttributes { tree, set, .. } => {
            write!(f, "set attributes {:#x} on {tree}", set.bits())
        }
        Op::Attach { tree, at } => write!(f, "mount {tree} on {at}"),
        Op::LockTrees { paths, .. } => {
            f.write_str("lock the mounts below")?;
            paths
                .iter()
                .try_for_each(|path| write!(f, " {}", Text(path)))
        }
        _ => Ok(()),
    }
}

fn custom(op: &Op, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match op {
        Op::Take { target, .. } => write!(f, "take the mount for {}", Text(target)),
        Op::Target { path, .. } => {
            f.write_str("find or make ")?;
            path.last().map_or(Ok(()), |Component { path, .. }| {
                write!(f, "/{}", Text(path))
            })
        }
        Op::CloneInside { path, .. } => write!(f, "clone {} of the image", Text(path)),
        Op::Cover { target, .. } => write!(f, "make a cover for {}", Text(target)),
        Op::Mount { target } => write!(f, "mount on {}", Text(target)),
        _ => Ok(()),
    }
}

impl fmt::Display for TreeOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.content {
            Content::Bind { .. } => "clone the mount",
            Content::Overlay { .. } => "make the overlay",
        };
        write!(f, "{kind} for {}", Text(&self.target))
    }
}

fn node(op: &Op, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match op {
        Op::Directory { at, mode } => write!(f, "make directory {at} with mode {mode:04o}"),
        Op::File { at, mode, .. } => write!(f, "make file {at} with mode {mode:04o}"),
        Op::Node { at, mode, .. } => write!(f, "make node {at} with mode {mode:06o}"),
        Op::Link { at, target } => write!(f, "link {at} to {}", Text(target)),
        Op::Unlink { at } => write!(f, "remove {at}"),
        Op::Fill { at, .. } => write!(f, "fill file {at}"),
        Op::Write { at, .. } => write!(f, "write to {at}"),
        _ => Ok(()),
    }
}

fn list(slots: &[Slot]) -> String {
    let names: Vec<String> = slots.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl fmt::Display for ParentOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(tree) => write!(f, "{tree}"),
            Self::JoinNetwork(path) => write!(f, "open the network namespace {}", Text(path)),
            Self::Clone { namespaces } => {
                write!(f, "make a process with new namespaces {namespaces:#x}")
            }
            Self::WriteIdMaps { base, length } => write!(f, "map ids 0..{length} to {base}"),
            Self::EmptyRoot { .. } => f.write_str("make an empty root"),
            Self::CloneRoot {
                map, overlay: true, ..
            } => match map {
                IdMap::None => f.write_str("cover the image by an overlay"),
                _ => f.write_str("cover the image, with shifted ids, by an overlay"),
            },
            Self::CloneRoot { map, .. } => match map {
                IdMap::None => f.write_str("clone the image's mount"),
                IdMap::Payload => f.write_str("clone the image's mount with shifted ids"),
                IdMap::Between { from, to, .. } => {
                    write!(
                        f,
                        "clone the image's mount with ids shifted from {from} to {to}"
                    )
                }
            },
            Self::HostSysfs => f.write_str("make a sysfs of the network"),
            Self::Cgroup => f.write_str("give the payload its cgroup"),
            Self::SendTrees => f.write_str("hand the mounts over"),
            Self::Limit {
                resource,
                soft,
                hard,
            } => {
                let words =
                    |n: &Option<u64>| n.map_or_else(|| "infinity".to_owned(), |n| n.to_string());
                write!(f, "limit {resource:?} to {}:{}", words(soft), words(hard))
            }
            Self::OomScore(score) => write!(f, "set the OOM score to {score}"),
            Self::Processors(list) => write!(f, "run on processors {list}"),
            Self::Network => f.write_str("make the link to the host"),
            Self::AwaitReady => f.write_str("wait until all is built"),
            Self::Record => f.write_str("record the machine"),
            Self::Start => f.write_str("give the word to start"),
            Self::AwaitExec => f.write_str("wait until the program runs"),
        }
    }
}

/// What the user can do about a failed operation of the child.
/// A limit on namespaces, each user namespace with its own.
pub(super) const TOO_MANY: &str = "a limit in /proc/sys/user/max_*_namespaces is reached";

pub(super) fn hint(op: &Op, errno: Errno) -> Option<&'static str> {
    match (op, errno) {
        (Op::NewFs { kind, .. }, Errno::PERM) if matches!(kind.to_bytes(), b"proc" | b"sysfs") => {
            Some(
                "the host's /proc or /sys is covered in places, as in most containers: the kernel then \
             lets no user namespace mount its own; run nsrun on the host, or allow nesting there",
            )
        }
        (Op::NewFs { .. }, Errno::NODEV) => Some("the host's kernel lacks this file system"),
        (Op::UnshareOwn { .. }, Errno::NOSPC) => Some(TOO_MANY),
        (Op::LockTrees { .. }, Errno::PERM | Errno::NOSPC) => Some(
            "the host forbids nested user namespaces; look at user.max_user_namespaces and \
             kernel.apparmor_restrict_unprivileged_userns",
        ),
        (Op::Directory { .. }, Errno::LOOP) => {
            Some("the image has a symbolic link where a directory must be")
        }
        (Op::Directory { .. } | Op::Attach { .. }, Errno::NOTDIR) => {
            Some("the image has something else where a directory must be")
        }
        (Op::Directory { .. }, Errno::ROFS) => {
            Some("the image is read-only and lacks this directory")
        }
        (Op::Target { .. }, Errno::EXIST) => {
            Some("the image has a symbolic link there that leads nowhere")
        }
        (Op::Target { .. }, Errno::NOTDIR) => {
            Some("the image has something else where a directory must be")
        }
        (Op::Target { .. }, Errno::ISDIR) => Some("the image has a directory where a file must be"),
        (Op::Target { .. }, Errno::ROFS) => {
            Some("the image is read-only, and what is to be mounted on is not there")
        }
        (Op::Exec, Errno::NOENT) => Some("it or its interpreter is not in the image"),
        (Op::Exec, Errno::NOEXEC) => Some("it is not a program for this processor"),
        (Op::Chdir(_), _) => Some("name a directory of the image with --workdir"),
        _ => None,
    }
}
