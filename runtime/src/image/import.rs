//! Importing: from an archive or a directory to an image, all or nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, fchmod, fstat, openat};

use super::archive::Archive;
use super::copy::Copy;
use super::hoist::single_top;
use super::limits::Limits;
use super::metadata::{self, Identity, Metadata};
use super::report::{Counts, Warning};
use super::root::ImageRoot;
use super::sniff::Compression;
use super::staging::Staging;
use super::subject::claim_file;
use super::sweep::sweep;
use super::wire::Summary;
use super::worker;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;

/// Most permissions of an image's root directory.
pub(super) const ROOT_MODE: u32 = 0o755;

/// What to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An archive in a file.
    Archive(PathBuf),
    /// An archive on standard input.
    StandardInput,
    /// A directory to copy.
    Directory(PathBuf),
}

impl Source {
    /// Its path from the root, by which it can be found later.
    fn absolute(&self) -> String {
        match self {
            Self::Archive(path) | Self::Directory(path) => std::path::absolute(path)
                .unwrap_or_else(|_| path.clone())
                .display()
                .to_string(),
            Self::StandardInput => self.to_string(),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(path) | Self::Directory(path) => path.display().fmt(f),
            Self::StandardInput => f.write_str("-"),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to import.
    pub source: Source,
    /// What the image is to be called.
    pub name: MachineName,
    /// What it may take.
    pub limits: Limits,
    /// Wait until the image is on disk before it becomes visible, so that a loss of
    /// power cannot leave a torn one.
    pub sync: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The image's name.
    pub name: MachineName,
    /// The image's directory.
    pub path: PathBuf,
    /// How the archive was compressed; `None` for a directory.
    pub compression: Option<Compression>,
    /// SHA-256 of the archive's file in hexadecimal; `None` for a directory.
    pub sha256: Option<String>,
    /// Bytes of the archive's file.
    pub archive_bytes: u64,
    /// What was made.
    pub counts: Counts,
    /// What was left out or changed.
    pub warnings: Vec<Warning>,
}

/// Is told how far an import has come.
pub trait Progress {
    /// So many bytes were read, of so many if that is known.
    fn advanced(&mut self, read: u64, total: Option<u64>);
}

/// Imports an image. It becomes visible when it is complete; before that, an error or
/// the death of the process leaves nothing that the next command does not sweep.
///
/// Starts a process and must be called while there is one thread.
///
/// # Errors
/// [`Kind::BadInput`] if the source is damaged, hostile or no archive, [`Kind::Busy`] if
/// the name is taken or being imported, [`Kind::HostLacks`] without root or if the image
/// root is open to others, [`Kind::NotFound`] if there is no such source, [`Kind::Failed`]
/// if the host fails, by lack of space for one.
pub fn import(dirs: &Dirs, request: &Request, progress: &mut dyn Progress) -> Result<Report> {
    carry_out(dirs, request, progress)
        .cannot(|| format!("import {} as {}", request.source, request.name))
}

fn carry_out(dirs: &Dirs, request: &Request, progress: &mut dyn Progress) -> Result<Report> {
    let (file, total) = open(&request.source)?;
    let order = Order {
        name: &request.name,
        source: request.source.absolute(),
        sync: request.sync,
    };
    let limits = request.limits.clone();
    let advanced = |read| progress.advanced(read, total);
    make(dirs, &order, |staging| match request.source {
        Source::Directory(_) => worker::run(&Copy { from: file, limits }, staging, advanced),
        _ => worker::run(&Archive { file, limits }, staging, advanced),
    })
}

/// An image to be made, wherever its files come from.
pub(super) struct Order<'a> {
    pub(super) name: &'a MachineName,
    /// In words.
    pub(super) source: String,
    /// Wait until it is on disk.
    pub(super) sync: bool,
}

/// Makes an image of what `unpack` puts into its directory, all or nothing.
pub(super) fn make(
    dirs: &Dirs,
    order: &Order<'_>,
    unpack: impl FnOnce(&Staging<'_>) -> Result<Summary>,
) -> Result<Report> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new(Kind::HostLacks, "importing needs root"));
    }
    let name = order.name;
    let root = ImageRoot::open(dirs.image_root())?;
    sweep(dirs)?;
    metadata::prepare(dirs)?;
    // Made first and dropped last: its lock file tells a sweep that the name's may be stale.
    let staging = Staging::new(&root, name.as_str())?;
    let _name_lock = claim_file(&root, name.as_str())?;
    let summary = unpack(&staging)?;
    let top = single_top(staging.dir()).cannot(|| "look for a single top directory")?;
    let identity = finish_root(&staging, top.as_deref()).cannot(|| "look at the image")?;
    metadata::write(dirs, name, &describe(order, &summary, identity))?;
    staging.publish(name.as_str(), top.as_deref(), order.sync)?;
    Ok(report(name, &root, summary))
}

pub(super) fn open(source: &Source) -> Result<(OwnedFd, Option<u64>)> {
    let file = match source {
        Source::Archive(path) | Source::Directory(path) => {
            let file = File::open(path);
            let missing = matches!(&file, Err(e) if e.kind() == io::ErrorKind::NotFound);
            let file = file.cannot(|| "open it");
            file.map_err(|error| match missing {
                true => error.kinded(Kind::NotFound).hint(
                    "the path is relative to the current directory; `nsrun pull` takes a URL",
                ),
                false => error,
            })?
        }
        Source::StandardInput => {
            let fd = io::stdin().as_fd().try_clone_to_owned();
            File::from(fd.cannot(|| "open it")?)
        }
    };
    let stat = file.metadata().cannot(|| "look at it")?;
    match (source, stat.is_dir()) {
        (Source::Directory(_), false) => {
            return Err(Error::new(Kind::BadInput, "it is no directory"));
        }
        (Source::Archive(_) | Source::StandardInput, true) => {
            return Err(Error::new(Kind::BadInput, "it is a directory")
                .hint("directories are imported by: nsrun import-fs"));
        }
        _ => {}
    }
    let total = stat.is_file().then_some(stat.len());
    Ok((file.into(), total))
}

/// Closes the image's own directory to writers other than root, which a directory that
/// was a member of the archive may not be, and identifies it.
fn finish_root(staging: &Staging<'_>, top: Option<&OsStr>) -> io::Result<Identity> {
    let Some(top) = top else {
        return Identity::of(staging.dir());
    };
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = openat(staging.dir(), top, how, Mode::empty())?;
    let mode = Mode::from_raw_mode(fstat(&top)?.st_mode);
    fchmod(&top, mode & Mode::from_raw_mode(ROOT_MODE))?;
    Identity::of(top.as_fd())
}

fn describe(order: &Order<'_>, summary: &Summary, identity: Identity) -> Metadata {
    Metadata {
        identity,
        source: order.source.clone(),
        compression: summary.compression,
        sha256: summary.sha256.clone(),
        archive_bytes: summary.read,
        counts: summary.counts,
        warnings: summary.warnings.clone(),
        imported: jiff::Timestamp::now(),
    }
}

fn report(name: &MachineName, root: &ImageRoot, summary: Summary) -> Report {
    Report {
        name: name.clone(),
        path: root.path().join(name.as_str()),
        compression: summary.compression,
        sha256: summary.sha256,
        archive_bytes: summary.read,
        counts: summary.counts,
        warnings: summary.warnings,
    }
}
