//! Cloning an image: a copy that shares its blocks with the original where the file system
//! can.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, fstat, open, openat};

use super::archive::free_space;
use super::copy::{Copy, DataCopier};
use super::hidden::{Hidden, Work};
use super::identity;
use super::import::Progress;
use super::limits::{Budget, Limits};
use super::lookup::{self, Image, ImageKind};
use super::metadata::{self, Identity, Metadata};
use super::name::ImageName;
use super::read_only;
use super::report::{Counts, Warning, WarningKind};
use super::root::ImageRoot;
use super::sidecars::Sidecars;
use super::source_lock::SourceLock;
use super::staging::Staging;
use super::subject::Claim;
use super::sweep::sweep;
use super::wire::Summary;
use super::worker;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::ownership::TreeIds;

/// The name of a disk image while it is copied.
const DISK: &str = "disk";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct CloneRequest {
    /// The image to copy.
    pub source: ImageName,
    /// What the copy is to be called.
    pub name: ImageName,
    /// Take out of the copy what tells its machine apart from others.
    pub new_identity: bool,
    /// Mark the copy as read-only.
    pub read_only: bool,
    /// Wait until the copy is on disk before it becomes visible.
    pub sync: bool,
}

/// What was done.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CloneReport {
    /// The copy's name.
    pub name: ImageName,
    /// Where it is.
    pub path: PathBuf,
    /// What was made.
    pub counts: Counts,
    /// The original was in use: the copy may hold files of different moments.
    pub was_in_use: bool,
    /// What was left out or changed.
    pub warnings: Vec<Warning>,
    /// Files that were emptied or removed for a new identity.
    pub reset: Vec<String>,
}

/// Copies an image into the image root. The copy becomes visible when it is complete.
///
/// Starts a process and must be called while there is one thread.
///
/// # Errors
/// [`Kind::Busy`] if the new name is taken; [`Kind::NotFound`] if there is no such image;
/// [`Kind::BadInput`] if it is of a kind that cannot be copied, or half changed; those of
/// [`super::import::import`] otherwise.
pub fn clone(
    dirs: &Dirs,
    request: &CloneRequest,
    progress: &mut dyn Progress,
) -> Result<CloneReport> {
    let (source, name) = (&request.source, &request.name);
    carry_out(dirs, request, progress).cannot(|| format!("clone image {source} as {name}"))
}

fn carry_out(
    dirs: &Dirs,
    request: &CloneRequest,
    progress: &mut dyn Progress,
) -> Result<CloneReport> {
    let name = &request.name;
    sweep(dirs)?;
    let image = lookup::find_named(dirs, request.source.as_str())?;
    let from = open_source(&image)?;
    let root = ImageRoot::open(dirs.image_root())?;
    metadata::prepare(dirs)?;
    let source_lock = SourceLock::take(&image, &request.source)?;
    // Made first and dropped last: its lock file tells a sweep that the name's may be stale.
    let staging = Staging::new(&root, name.as_str())?;
    let _claim = Claim::take(dirs, &root, name)?;
    let sidecars = Sidecars::of(dirs, &root);
    sidecars.expect_none(name.as_str())?;
    let advanced = |read| progress.advanced(read, None);
    let summary = match image.kind {
        ImageKind::Raw => copy_disk(&from, &staging)?,
        _ => copy_tree(from, &staging, advanced)?,
    };
    let reset = if request.new_identity && image.kind == ImageKind::Directory {
        identity::reset(staging.dir())?
    } else {
        Vec::new()
    };
    // From here on a sweep removes settings of that name, if no image has it.
    let _hidden = Hidden::claim(&root, Work::Cloning, name.as_str())?;
    sidecars.copy(&image, request.source.as_str(), name.as_str())?;
    let path = publish(dirs, request, &image, &staging, &summary, &root)?;
    Ok(CloneReport {
        name: name.clone(),
        path,
        counts: summary.counts,
        was_in_use: source_lock.was_in_use(),
        warnings: summary.warnings,
        reset,
    })
}

fn open_source(image: &Image) -> Result<OwnedFd> {
    let what = || format!("open {}", image.path.display());
    let how = match image.kind {
        ImageKind::Directory => OFlags::DIRECTORY,
        ImageKind::Raw => OFlags::NONBLOCK | OFlags::NOCTTY,
        kind => {
            let what = format!("{} is {}", image.path.display(), kind.text());
            return Err(Error::new(Kind::BadInput, what)
                .hint("only directories and raw disk images can be copied"));
        }
    };
    let how = how | OFlags::RDONLY | OFlags::CLOEXEC;
    let from = open(&image.path, how, Mode::empty()).cannot(what)?;
    let stat = fstat(&from).cannot(what)?;
    if TreeIds::of((stat.st_uid, stat.st_gid)) == TreeIds::Interrupted {
        let what = "a change of its owners was interrupted";
        return Err(
            Error::new(Kind::BadInput, what).hint("start it once in the way that was interrupted")
        );
    }
    Ok(from)
}

fn copy_tree(from: OwnedFd, staging: &Staging<'_>, advanced: impl FnMut(u64)) -> Result<Summary> {
    let limits = Limits {
        inodes: u64::MAX,
        ..Limits::default()
    };
    let mut summary = worker::run(&Copy { from, limits }, staging, advanced)?;
    // They are the original's.
    let news = |warning: &Warning| warning.kind != WarningKind::ForeignOwners;
    summary.warnings.retain(news);
    Ok(summary)
}

fn copy_disk(from: &OwnedFd, staging: &Staging<'_>) -> Result<Summary> {
    let what = || "copy the disk image";
    let from = File::from(from.try_clone().cannot(what)?);
    let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(fstat(&from).cannot(what)?.st_mode & 0o777);
    let to = File::from(openat(staging.dir(), DISK, how, mode | Mode::WUSR).cannot(what)?);
    let dir = staging.dir().try_clone_to_owned().cannot(what)?;
    let mut budget = Budget::new(&Limits::default(), free_space(&dir)?);
    let mut copier = DataCopier::default();
    copier.copy(&from, &to, &mut budget).cannot(what)?;
    Ok(Summary {
        compression: None,
        sha256: None,
        read: copier.read(),
        counts: Counts {
            files: 1,
            bytes: copier.read(),
            ..Counts::default()
        },
        warnings: Vec::new(),
    })
}

fn publish(
    dirs: &Dirs,
    request: &CloneRequest,
    image: &Image,
    staging: &Staging<'_>,
    summary: &Summary,
    root: &ImageRoot,
) -> Result<PathBuf> {
    let name = &request.name;
    let (file, top) = match image.kind {
        ImageKind::Raw => (format!("{name}.raw"), Some(OsStr::new(DISK))),
        _ => (name.to_string(), None),
    };
    if let (ImageKind::Directory, Ok(machine)) = (image.kind, name.as_str().parse()) {
        let identity = Identity::of(staging.dir().as_fd());
        let identity = identity.cannot(|| "look at the copy")?;
        let known = describe(image, summary, identity);
        metadata::write(dirs, &machine, &known)?;
    }
    staging.publish(&file, top, request.sync)?;
    let path = root.path().join(file);
    if request.read_only {
        let kind = image.kind;
        let path = path.clone();
        read_only::set(&Image { path, kind }, true)?;
    }
    Ok(path)
}

fn describe(image: &Image, summary: &Summary, identity: Identity) -> Metadata {
    Metadata {
        identity,
        source: image.path.display().to_string(),
        compression: None,
        sha256: None,
        archive_bytes: summary.read,
        counts: summary.counts,
        warnings: summary.warnings.clone(),
        imported: jiff::Timestamp::now(),
    }
}
