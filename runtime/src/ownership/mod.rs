//! Whose the files of an image are to the payload: by an idmapped mount that leaves the disk
//! alone, or by new owners on the disk.

mod change;
mod ids;
mod inside;
mod marker;
mod survey;
#[cfg(test)]
mod tests;
mod treatment;
mod values;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstatfs, openat, syncfs};
use rustix::io::Errno;

use self::change::{Change, Node};
use self::ids::{Rule, base_of};
use self::marker::{Marker, Pending};
use self::survey::Survey;
use crate::error::{Context, Error, Kind, Result};
use crate::image::walk::walk;
use crate::image::{Tree, shown};
use crate::mountinfo;
use crate::range::SIZE;

pub(crate) use self::ids::{BUSY_BASE, TreeIds};
pub(crate) use self::inside::Inside;
pub use self::treatment::Ownership;
pub(crate) use self::treatment::{IdMap, Treatment, treat, warning};

/// `OVERLAYFS_SUPER_MAGIC` of `linux/magic.h`.
const OVERLAY: u64 = 0x794c_7630;

/// Who follows a change of owners, and may end it.
pub(crate) trait Watch {
    /// So many of the names are done.
    fn advanced(&mut self, done: u64, total: u64);
    /// Whether the user wants it to end.
    fn cancelled(&mut self) -> bool;
}

/// Asks and tells now and then, not for each file.
#[derive(Debug, Default)]
struct Pace(u64);

impl Pace {
    const NAMES: u64 = 256;

    /// Counts one; `pause` is given the count now and then, and says whether to end.
    fn step(&mut self, pause: impl FnOnce(u64) -> bool) -> Result<()> {
        self.0 += 1;
        if self.0.is_multiple_of(Self::NAMES) && pause(self.0) {
            return Err(Error::new(Kind::Failed, "interrupted")
                .hint("start the machine again in the same way to go on"));
        }
        Ok(())
    }
}

/// The base that an interrupted change of the tree at `root` led to, if it is known.
pub(crate) fn interrupted_target(root: BorrowedFd<'_>) -> Option<u32> {
    let top = open_top(root).ok()?;
    Marker::read(top.as_fd()).map(|marker| marker.rule.to)
}

/// Gives everything in the tree at `root` the owners that count from `to`. What was interrupted
/// before, goes on. Nobody else may use the tree meanwhile. Returns what the user should know.
///
/// # Errors
/// [`Kind::HostLacks`] if the file system keeps no owners; [`Kind::Failed`] if it takes no
/// writes, or if the tree shares files with another one: nothing is changed then.
pub(crate) fn change_owners(
    root: BorrowedFd<'_>,
    path: &Path,
    to: u32,
    watch: &mut dyn Watch,
) -> Result<Vec<String>> {
    let what = || format!("change the owners of {}", path.display());
    change(root, to, watch).cannot(what)
}

fn change(root: BorrowedFd<'_>, to: u32, watch: &mut dyn Watch) -> Result<Vec<String>> {
    let top = open_top(root).cannot(|| "open it")?;
    let node = Node::new(top.as_fd()).cannot(|| "look at it")?;
    let before = TreeIds::of(node.owner());
    if before.base() == Some(to) {
        // A change that had all but this done.
        Marker::remove(top.as_fd()).cannot(|| "take the note off the image's top")?;
        return Ok(Vec::new());
    }
    let earlier = Marker::read(top.as_fd()).filter(|_| before == TreeIds::Interrupted);
    let rule = Rule::new(before, earlier.as_ref().map(|marker| &marker.rule), to);
    check_top(&node, &rule)?;
    let pending = earlier.and_then(|marker| marker.pending);
    let tree = Tree::new(top.try_clone().cannot(|| "duplicate its descriptor")?);
    let survey = Survey::of(&tree, &rule, pending.as_ref().map(|p| p.path), watch)?;
    if !is_overlay(&top) {
        survey.check_links()?;
    }
    let change = begin(&top, &node, &rule, pending)?;
    let mut warnings = survey.warnings();
    if !change.is_marked() {
        warnings.push(
            "the file system keeps no trusted attributes: should the change of owners be \
             interrupted, a file may lose its set-user-ID bit"
                .to_owned(),
        );
    }
    carry_out(change, &node, &tree, &survey, watch)?;
    Ok(warnings)
}

fn open_top(root: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(root, c".", how, Mode::empty())
}

fn check_top(node: &Node<'_>, rule: &Rule) -> Result<()> {
    if node.is_locked() {
        return Err(
            Error::new(Kind::Failed, "it is read-only by its immutable flag")
                .hint("chattr -i, or `machinectl read-only NAME no`, makes it writable"),
        );
    }
    let (uid, gid) = node.owner();
    let foreign = |id| base_of(id) != BUSY_BASE && rule.leaves(id);
    if foreign(uid) || foreign(gid) {
        let what = format!("it belongs to {uid}:{gid}, which no image's root has");
        return Err(Error::new(Kind::BadInput, what));
    }
    Ok(())
}

/// An overlay copies a file before it changes it, which parts it from its other names.
fn is_overlay(top: &OwnedFd) -> bool {
    fstatfs(top).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(OVERLAY))
}

/// Marks the tree as one whose owners change.
fn begin<'a>(
    top: &'a OwnedFd,
    node: &Node<'_>,
    rule: &Rule,
    pending: Option<Pending>,
) -> Result<Change<'a>> {
    let marker = Marker {
        rule: rule.clone(),
        pending,
    };
    let make = || {
        let change = Change::begin(top.as_fd(), marker)?;
        let (uid, gid) = node.owner();
        node.chown((low(uid, BUSY_BASE), low(gid, BUSY_BASE)))?;
        Ok(change)
    };
    make().map_err(|errno| refuse(errno, top.as_fd()))
}

/// The same id in the space that begins at `base`.
fn low(id: u32, base: u32) -> u32 {
    base | (id & (SIZE - 1))
}

fn refuse(errno: Errno, top: BorrowedFd<'_>) -> Error {
    let kind = match errno {
        Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS => Kind::HostLacks,
        _ => Kind::Failed,
    };
    let word = mountinfo::file_system(top).unwrap_or_else(|| "its".to_owned());
    let what = format!("the {word} file system refuses");
    let error = Error::new(kind, what).because(std::io::Error::from(errno));
    match errno {
        Errno::ROFS => error.hint("it is mounted read-only"),
        _ => error.hint("copy the image to a file system that keeps owners, as ext4 does"),
    }
}

fn carry_out(
    mut change: Change<'_>,
    top: &Node<'_>,
    tree: &Tree,
    survey: &Survey,
    watch: &mut dyn Watch,
) -> Result<()> {
    if let Some(path) = &survey.in_work {
        resume(&mut change, tree, path).cannot(|| format!("finish '{}'", shown(path)))?;
    }
    let to = change.target();
    let mut pace = Pace::default();
    walk(tree, &mut |found| {
        let what = || format!("change '{}'", shown(found.path));
        pace.step(|done| {
            watch.advanced(done, survey.names);
            watch.cancelled()
        })?;
        let Some(fd) = found.pin().cannot(what)? else {
            return Ok(false);
        };
        let node = Node::new(fd.as_fd()).cannot(what)?;
        change.apply(&node, found.path).cannot(what)?;
        Ok(node.is_dir())
    })?;
    syncfs(tree.root()).cannot(|| "write the owners to the disk")?;
    let (uid, gid) = top.owner();
    change.finish(top, (low(uid, to), low(gid, to)))?;
    watch.advanced(survey.names, survey.names);
    Ok(())
}

fn resume(change: &mut Change<'_>, tree: &Tree, path: &[u8]) -> Result<()> {
    let (dir, name) = match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (path.get(..at), path.get(at + 1..)),
        None => (Some(&b""[..]), Some(path)),
    };
    let dir = tree.open(dir.unwrap_or_default(), OFlags::PATH);
    let dir = dir.cannot(|| "open its directory")?;
    let how = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = OsStr::from_bytes(name.unwrap_or_default());
    let fd = openat(dir, name, how, Mode::empty()).cannot(|| "open it")?;
    let node = Node::new(fd.as_fd()).cannot(|| "look at it")?;
    change.resume(&node, path)
}
