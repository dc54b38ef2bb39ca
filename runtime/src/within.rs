//! Opening what is at a path in a machine or image, with its root for the root.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, Result};
use rustix::path::Arg;

/// Links are followed, and lead nowhere out of the root.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Whoever renames something at just that moment, anywhere on the host, has the kernel say EAGAIN to
/// a path that leads upwards, openat2(2). Nobody must keep us busy with that for ever.
const TRIES: usize = 1000;

/// Opens it. Allocates nothing if `path` is a C string.
pub(crate) fn open_within(
    root: impl AsFd,
    path: impl Arg + Copy,
    flags: OFlags,
) -> Result<OwnedFd> {
    let root = root.as_fd();
    for _ in 1..TRIES {
        match openat2(root, path, flags, Mode::empty(), INSIDE) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    openat2(root, path, flags, Mode::empty(), INSIDE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_path_that_leads_upwards_is_found_while_others_rename() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/b", "one"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let root = std::fs::File::open(dir.path()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (one, other) = (dir.path().join("one"), dir.path().join("other"));
                while !done.load(Ordering::Relaxed) {
                    std::fs::rename(&one, &other).unwrap();
                    std::fs::rename(&other, &one).unwrap();
                }
            });
            let found = (0..2000)
                .all(|_| open_within(&root, c"a/b/../../../a/../a/b", OFlags::PATH).is_ok());
            done.store(true, Ordering::Relaxed);
            assert!(found);
        });
    }
}
