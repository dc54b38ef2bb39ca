//! Why a launch failed, in words.

use std::time::Duration;

use rustix::io::Errno;

use super::describe;
use super::op::Op;
use super::script::Script;
use super::wire::{Kind as Word, Message};
use crate::error::{Error, Kind};
use crate::plan::tuning::OomScore;

/// What the child reports.
pub(super) fn child(script: &Script, message: Message) -> Error {
    // It is not the payload yet, but has the payload's rights: no number of its is trusted.
    let known = message.kind == Word::Failed && (1..4096).contains(&message.errno);
    let Some(op) = script.child_op(message.op).filter(|_| known) else {
        return Error::new(Kind::Failed, "the container's first process talks nonsense");
    };
    let errno = Errno::from_raw_os_error(message.errno);
    let (kind, what) = match (op, errno) {
        (Op::Exec, _) => {
            let kind = match errno {
                Errno::NOENT => Kind::NoCommand,
                _ => Kind::NotExecutable,
            };
            let path = script.program.path.to_bytes().escape_ascii();
            (kind, format!("cannot execute {path}"))
        }
        (Op::UnshareOwn { .. }, _) | (_, Errno::NODEV) => (Kind::HostLacks, format!("cannot {op}")),
        (Op::NewFs { .. } | Op::LockTrees { .. }, Errno::PERM) => {
            (Kind::HostLacks, format!("cannot {op}"))
        }
        _ => (Kind::Failed, format!("cannot {op}")),
    };
    let error = Error::new(kind, what).because(std::io::Error::from(errno));
    match describe::hint(op, errno) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// It is gone without a word.
pub(super) fn killed() -> Error {
    Error::new(
        Kind::Failed,
        "the container's first process was killed while it was built",
    )
}

/// Nothing was heard of it in time.
pub(super) fn too_slow(time: Duration) -> Error {
    let seconds = time.as_secs();
    let what = format!("the container was not built within {seconds} s");
    Error::new(Kind::Failed, what).hint("does the file system of the image hang?")
}

/// The kernel sets no such score.
pub(super) fn oom_score(score: OomScore, error: std::io::Error) -> Error {
    let denied = error.raw_os_error() == Some(libc::EACCES);
    let what = format!("cannot set the OOM score to {score}");
    let error = Error::new(Kind::Failed, what).because(error);
    if denied {
        return error.hint("a score below nsrun's own takes CAP_SYS_RESOURCE on the host");
    }
    error
}

pub(super) fn no_child() -> Error {
    Error::new(Kind::Failed, "the launch script is out of order")
}

/// The kernel makes no such process.
pub(super) fn clone(error: std::io::Error) -> Error {
    let what = "cannot make a process with new namespaces";
    let hint = match error.raw_os_error() {
        Some(libc::ENOSPC) => describe::TOO_MANY,
        Some(libc::EPERM) => {
            "the host forbids namespaces; inside a chroot or container it may have to"
        }
        Some(libc::EINVAL | libc::ENOSYS) => "nsrun needs Linux 5.12 or newer with all namespaces",
        _ => return Error::new(Kind::Failed, what).because(error),
    };
    Error::new(Kind::HostLacks, what).because(error).hint(hint)
}
