//! Covers over what nobody in the machine shall see.
//!
//! What is mounted in the machine's namespace can be unmounted by its root. A cover that is in a tree
//! while that goes through the locks stays on it. So most covers are made twice over: before the locks, in
//! the machine's root and in trees of the parent's, as far as the target is found there; and, of those
//! that are not covered by then, at their turn among all mounts.

use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use super::builder::{Builder, at};
use super::custom::{components, is_parents, path};
use crate::error::Result;
use crate::launch::op::{Make, Need, Op};
use crate::launch::slot::Slot;
use crate::plan::Plan;
use crate::plan::mounts::{Mount, Planned, What};

const REGULAR: u32 = 0o100_000;
const FIFO: u32 = 0o010_000;
const SOCKET: u32 = 0o140_000;

/// Where a file system lies on the root before anything of the image can be seen there.
const OTHERS: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/tmp"];

/// What has a cover's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Root,
    /// A tree of the parent's, by its number among those.
    Tree(usize),
}

/// Nodes that nobody can open, below `host/inaccessible` as systemd has them.
pub(super) fn nodes(b: &mut Builder, base: Slot) {
    b.directory(base, c"host/inaccessible", 0o755);
    b.directory(base, c"host/inaccessible/dir", 0);
    let nodes = [
        (c"host/inaccessible/reg", REGULAR),
        (c"host/inaccessible/fifo", FIFO),
        (c"host/inaccessible/sock", SOCKET),
    ];
    for (path, mode) in nodes {
        let at = at(base, path);
        b.must(Op::Node {
            at,
            mode,
            device: 0,
        });
    }
}

/// The covers that can be made before the locks: what they are made in, and the rest of their path.
pub(super) fn early(plan: &Plan) -> Vec<(Holder, &Mount, &str)> {
    let covers = plan.mounts.iter().enumerate();
    covers
        .filter(|(_, planned)| planned.mount.what == What::Inaccessible)
        .filter_map(|(at, planned)| {
            let (holder, rest) = holder(&plan.mounts[..at], &planned.mount.target)?;
            Some((holder, &planned.mount, rest))
        })
        .collect()
}

/// By the words alone: a symbolic link may lead elsewhere, where the target is not found then.
fn holder<'a>(before: &[Planned], target: &'a str) -> Option<(Holder, &'a str)> {
    let above = before
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, planned)| Some((at, below(target, &planned.mount.target)?)));
    match above {
        Some((at, rest)) if is_parents(&before[at].mount) => {
            let trees = before[..at].iter().filter(|p| is_parents(&p.mount));
            Some((Holder::Tree(trees.count()), rest))
        }
        Some(_) => None,
        None if OTHERS.iter().any(|other| below(target, other).is_some()) => None,
        None => Some((Holder::Root, target)),
    }
}

fn below<'a>(target: &'a str, above: &str) -> Option<&'a str> {
    let rest = target.strip_prefix(above)?;
    rest.starts_with('/').then_some(rest)
}

/// Makes a cover in the tree whose top is `root`, with the stage's nodes.
pub(super) fn lock(b: &mut Builder, root: Slot, mount: &Mount, rest: &str) -> Result<()> {
    let (path, target) = (components(rest)?, path(mount)?);
    let make = Make::Nothing;
    b.push(Need::Try, Op::Target { root, path, make });
    let from = Slot::Stage;
    let target = target.clone();
    b.push(Need::Try, Op::Cover { from, target });
    finish(b, Need::Try, mount)
}

/// Makes one on the target that was found last, if that is none already.
pub(super) fn make(b: &mut Builder, mount: &Mount) -> Result<()> {
    let (from, target) = (Slot::Run, path(mount)?);
    b.must(Op::Cover { from, target });
    finish(b, Need::IfPresent, mount)
}

fn finish(b: &mut Builder, need: Need, mount: &Mount) -> Result<()> {
    b.push(
        need,
        Op::SetAttributes {
            tree: Slot::Passing,
            recursive: true,
            set: MountAttrFlags::MOUNT_ATTR_RDONLY,
            propagation: MountPropagationFlags::empty(),
        },
    );
    let target = path(mount)?;
    b.push(need, Op::Mount { target });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::mounts::Shape;

    #[test]
    fn a_cover_is_made_in_what_holds_its_target() {
        let planned = |mount| Planned {
            mount,
            shape: Shape::Directory,
        };
        let before = [
            planned(Mount::bind("/a:/srv", false).unwrap()),
            planned(Mount::tmpfs("/srv/fs").unwrap()),
            planned(Mount::bind("/b:/srv/other", false).unwrap()),
        ];
        let table = [
            ("/etc/shadow", Some((Holder::Root, "/etc/shadow"))),
            ("/srvice", Some((Holder::Root, "/srvice"))),
            ("/srv/x/y", Some((Holder::Tree(0), "/x/y"))),
            ("/srv/fs/x", None),
            ("/srv/other/x", Some((Holder::Tree(1), "/x"))),
            ("/run/x", None),
        ];
        for (target, expected) in table {
            assert_eq!(holder(&before, target), expected, "{target}");
        }
    }
}
