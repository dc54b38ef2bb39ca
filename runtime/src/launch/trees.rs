//! The launcher's side of mounts that were asked for: trees of the host, made before the child.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, OpenTreeFlags,
};

use super::disguise::Disguise;
use super::op::{Content, Layer, Shift, TreeOp, Upper};
use super::userns;
use crate::error::{Context, Error, Kind, Result};
use crate::facts::ImageRoot;
use crate::sys::mount::{idmap, set_attributes};

/// What trees are made of, as the operations number it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Materials<'a> {
    /// The machine's root directory.
    pub(crate) root: &'a ImageRoot,
    /// The sources of the mounts.
    pub(crate) sources: &'a [OwnedFd],
    /// Directories for the changes to the root and for the kernel's use, if they are not kept.
    pub(crate) changes: Option<(BorrowedFd<'a>, BorrowedFd<'a>)>,
    /// For each source that takes the changes of an overlay, a directory for the kernel's use.
    pub(crate) works: &'a [Option<Work>],
}

/// A directory for the kernel's use, beside one that takes changes.
#[derive(Debug)]
pub(crate) enum Work {
    /// On the host.
    Outside(OwnedFd),
    /// At this path in the image, without links.
    Inside(CString),
}

/// Makes one tree.
pub(super) fn make(op: &TreeOp, from: Materials<'_>) -> Result<OwnedFd> {
    let what = || op.to_string();
    let tree = match &op.content {
        Content::Bind {
            source,
            recursive,
            shift,
            may_stay,
        } => {
            let source = source_of(from, *source)?;
            match bind(source, *recursive, shift, from) {
                Err(error) if *may_stay && error.kind() == Kind::HostLacks => {
                    clone(source, *recursive).cannot(what)?
                }
                other => other.cannot(what)?,
            }
        }
        Content::Overlay { layers, upper } => overlay(op, layers, upper.as_ref(), from)?,
    };
    // A clone of a shared mount is its peer: what is mounted in it would appear on the host.
    set_attributes(
        tree.as_fd(),
        true,
        op.attributes,
        MountPropagationFlags::PRIVATE,
    )
    .cannot(what)?;
    Ok(tree)
}

fn source_of(from: Materials<'_>, index: usize) -> Result<BorrowedFd<'_>> {
    let found = from.sources.get(index).map(AsFd::as_fd);
    found.ok_or_else(|| Error::new(Kind::Failed, "the launch script names no such source"))
}

fn clone(source: BorrowedFd<'_>, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    rustix::mount::open_tree(source, c"", flags)
}

fn bind(
    source: BorrowedFd<'_>,
    recursive: bool,
    shift: &Shift,
    from: Materials<'_>,
) -> Result<OwnedFd> {
    let tree = clone(source, recursive).cannot(|| "clone the mount")?;
    let Some(namespace) = namespace(source, shift, from)? else {
        return Ok(tree);
    };
    idmap(tree.as_fd(), recursive, namespace.as_fd()).map_err(|error| {
        let kind = crate::mountinfo::file_system(source);
        let kind = kind.unwrap_or_else(|| "its file system".to_owned());
        let what = format!("cannot map its ids: {kind} or a mount below has no idmapped mounts");
        Error::new(Kind::HostLacks, what)
            .because(error)
            .hint("without an option for ids its files belong to nobody; norbind leaves out the mounts below")
    })?;
    Ok(tree)
}

/// A user namespace with the map that a shift takes.
fn namespace(
    source: BorrowedFd<'_>,
    shift: &Shift,
    from: Materials<'_>,
) -> Result<Option<OwnedFd>> {
    let owner = |of: BorrowedFd<'_>| {
        let stat = rustix::fs::fstat(of).cannot(|| "look at its owner")?;
        Ok::<_, Error>((stat.st_uid, stat.st_gid))
    };
    let map = |(to_uid, to_gid)| {
        let (uid, gid) = owner(source)?;
        userns::with_maps(
            &format!("{uid} {to_uid} 1\n"),
            &format!("{gid} {to_gid} 1\n"),
        )
        .map(Some)
    };
    match shift {
        Shift::None => Ok(None),
        Shift::All { from, to, length } => userns::with_map(*from, *to, *length).map(Some),
        Shift::Owner { base, target, tree } => {
            let inside = target_owner(from.root, target, owner)?;
            map(inside.map_or((*base, *base), |ids| tree.show(ids, *base)))
        }
        Shift::Root { base } => map((*base, *base)),
        Shift::One {
            from: (uid, gid),
            to,
        } => userns::with_maps(&format!("{uid} {to} 1\n"), &format!("{gid} {to} 1\n")).map(Some),
    }
}

/// Owner of what the image has at a path, as it is on the disk.
fn target_owner(
    root: &ImageRoot,
    path: &CStr,
    owner: impl Fn(BorrowedFd<'_>) -> Result<(u32, u32)>,
) -> Result<Option<(u32, u32)>> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), how) {
        Ok(found) => owner(found.as_fd()).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno).cannot(|| "look at the target in the image"),
    }
}

/// Puts directories on top of one another.
fn overlay(
    op: &TreeOp,
    layers: &[Layer],
    upper: Option<&Upper>,
    from: Materials<'_>,
) -> Result<OwnedFd> {
    let what = || op.to_string();
    let open = |layer: &Layer| layer_of(layer, from);
    let lowers: Result<Vec<OwnedFd>> = layers.iter().map(open).collect();
    let lowers = lowers.cannot(what)?;
    let taking = upper.map(|upper| taking(upper, from)).transpose();
    let taking = taking.cannot(what)?;
    let upper = taking.as_ref().map(|t| (t.upper.as_fd(), t.work.as_fd()));
    let root = taking.as_ref().and_then(|taking| taking.root);
    let _disguise = root.map(Disguise::begin).transpose().cannot(what)?;
    stack(&lowers, upper).map_err(|errno| {
        let error = Error::new(Kind::Failed, format!("cannot {op}"));
        let error = error.because(std::io::Error::from(errno));
        match errno {
            Errno::NODEV => error
                .kinded(Kind::HostLacks)
                .hint("the host's kernel lacks overlayfs"),
            Errno::INVAL => error.hint(
                "the kernel's log has more; the upper directory must be on a file system with \
                 extended attributes, and overlays of an image with shifted ids take Linux 6.15",
            ),
            _ => error,
        }
    })
}

/// The directory that takes changes, and the kernel's. The kernel wants both on one mount.
struct Taking {
    upper: OwnedFd,
    work: OwnedFd,
    /// Their mount, if it is mounted nowhere: it lasts as long as this.
    _mount: Option<OwnedFd>,
    /// Number of the machine's root, if it is not the host's.
    root: Option<u32>,
}

fn taking(upper: &Upper, from: Materials<'_>) -> Result<Taking> {
    let what = || "duplicate a descriptor";
    let none = || Error::new(Kind::Failed, "there is no work directory");
    let source = source_of(from, upper.source)?;
    let work = from.works.get(upper.source).and_then(Option::as_ref);
    match (work.ok_or_else(none)?, &upper.inside) {
        (Work::Outside(work), _) => Ok(Taking {
            upper: source.try_clone_to_owned().cannot(what)?,
            work: work.try_clone().cannot(what)?,
            _mount: None,
            root: None,
        }),
        (Work::Inside(work), Some((path, shift))) => {
            let image = bind(from.root.as_fd(), false, shift, from)?;
            let open = |path: &CStr, how| {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::openat2(&image, path, flags, Mode::empty(), how)
                    .cannot(|| "open the directories that take the changes")
            };
            let as_payload = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            Ok(Taking {
                upper: open(path, as_payload)?,
                work: open(work, strict)?,
                root: match shift {
                    Shift::All { to, .. } => Some(*to),
                    _ => None,
                },
                _mount: Some(image),
            })
        }
        (Work::Inside(_), None) => Err(none()),
    }
}

fn layer_of(layer: &Layer, from: Materials<'_>) -> Result<OwnedFd> {
    let source = source_of(from, layer.source)?;
    if layer.shift == Shift::None {
        return source
            .try_clone_to_owned()
            .cannot(|| "duplicate a descriptor");
    }
    bind(source, false, &layer.shift, from)
}

/// The overlay, the lowest layer first.
pub(super) fn stack(
    lowers: &[OwnedFd],
    upper: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
) -> rustix::io::Result<OwnedFd> {
    let topmost_first: Vec<BorrowedFd<'_>> = lowers.iter().rev().map(AsFd::as_fd).collect();
    match mounted(&topmost_first, upper, by_descriptor) {
        // Linux before 6.13 takes layers by their paths alone.
        Err(Errno::INVAL) => mounted(&topmost_first, upper, by_path),
        other => other,
    }
}

type SetLayers = fn(
    BorrowedFd<'_>,
    &[BorrowedFd<'_>],
    Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
) -> rustix::io::Result<()>;

fn mounted(
    lowers: &[BorrowedFd<'_>],
    upper: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
    set: SetLayers,
) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    set(context.as_fd(), lowers, upper)?;
    rustix::mount::fsconfig_create(&context)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    rustix::mount::fsmount(&context, flags, MountAttrFlags::empty())
}

fn by_descriptor(
    context: BorrowedFd<'_>,
    lowers: &[BorrowedFd<'_>],
    upper: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
) -> rustix::io::Result<()> {
    for lower in lowers {
        rustix::mount::fsconfig_set_fd(context, c"lowerdir+", *lower)?;
    }
    if let Some((upper, work)) = upper {
        rustix::mount::fsconfig_set_fd(context, c"upperdir", upper)?;
        rustix::mount::fsconfig_set_fd(context, c"workdir", work)?;
    }
    Ok(())
}

fn by_path(
    context: BorrowedFd<'_>,
    lowers: &[BorrowedFd<'_>],
    upper: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
) -> rustix::io::Result<()> {
    let path = |fd: &BorrowedFd<'_>| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let set = |key: &CStr, value: String| {
        let value = CString::new(value).map_err(|_| Errno::INVAL)?;
        rustix::mount::fsconfig_set_string(context, key, value.as_c_str())
    };
    let all: Vec<String> = lowers.iter().map(path).collect();
    set(c"lowerdir", all.join(":"))?;
    if let Some((upper, work)) = upper {
        set(c"upperdir", path(&upper))?;
        set(c"workdir", path(&work))?;
    }
    Ok(())
}
