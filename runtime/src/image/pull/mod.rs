//! Pulling an image from a server: fetched, checked and unpacked at once, without a copy.

mod client;
mod fetch;
mod names;
mod sums;
mod url;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use self::fetch::Fetch;
use self::url::Place;
use super::archive::Archive;
use super::import::{Order, Progress, Report, make};
use super::limits::Limits;
use super::staging::Staging;
use super::wire::Summary;
use super::worker;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;

pub use self::sums::Sha256Sum;
pub use self::url::Url;

/// Largest file of checksums.
const SMALL: u64 = 1 << 20;

/// How an archive is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Not at all.
    No,
    /// Against the list of checksums beside it.
    Beside,
    /// Against this one.
    Sum(Sha256Sum),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// Where the archive is.
    pub url: Url,
    /// What the image is to be called.
    pub name: MachineName,
    /// How it is checked.
    pub verify: Verify,
    /// What it may take.
    pub limits: Limits,
    /// Wait until the image is on disk before it becomes visible.
    pub sync: bool,
}

/// Pulls an image. It becomes visible when it is complete and its checksum was found right.
///
/// Starts processes and must be called while there is one thread.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such file; [`Kind::BadInput`] if the checksum is wrong
/// or missing; [`Kind::Failed`] if the transfer fails; and those of
/// [`super::import::import`].
pub fn pull(dirs: &Dirs, request: &PullRequest, progress: &mut dyn Progress) -> Result<Report> {
    let order = Order {
        name: &request.name,
        source: request.url.shown(),
        sync: request.sync,
    };
    let fetched = match request.url.place() {
        Place::File(path) => make(dirs, &order, |staging| {
            from_file(path, request, staging, progress)
        }),
        Place::Web { .. } => make(dirs, &order, |staging| {
            from_server(request, staging, progress)
        }),
    };
    fetched.cannot(|| format!("pull {} as {}", request.url.shown(), request.name))
}

fn from_server(
    request: &PullRequest,
    staging: &Staging<'_>,
    progress: &mut dyn Progress,
) -> Result<Summary> {
    let look_for_sum = request.verify == Verify::Beside;
    let (mut fetch, file) = Fetch::start(&request.url, look_for_sum)?;
    let archive = Archive {
        file,
        limits: request.limits.clone(),
    };
    let advanced = |read| progress.advanced(read, fetch.length());
    let unpacked = worker::run(&archive, staging, advanced);
    drop(archive);
    let summary = match unpacked {
        Ok(summary) => summary,
        // Whatever is wrong with an archive that did not arrive whole is the transfer's fault.
        Err(error) => return Err(fetch.failure().unwrap_or(error)),
    };
    let beside = fetch.finish()?;
    check(request, &summary, beside)?;
    Ok(summary)
}

fn from_file(
    path: &Path,
    request: &PullRequest,
    staging: &Staging<'_>,
    progress: &mut dyn Progress,
) -> Result<Summary> {
    let file = open(path)?;
    let found = file.metadata().cannot(|| "look at it")?;
    let total = found.is_file().then_some(found.len());
    let beside = match request.verify {
        Verify::Beside => Some(sum_beside(path, &request.url)?),
        Verify::No | Verify::Sum(_) => None,
    };
    let limits = request.limits.clone();
    let file = file.into();
    let advanced = |read| progress.advanced(read, total);
    let summary = worker::run(&Archive { file, limits }, staging, advanced)?;
    check(request, &summary, beside)?;
    Ok(summary)
}

fn open(path: &Path) -> Result<File> {
    let what = || format!("open {}", path.display());
    File::open(path).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Failed,
        };
        Error::new(kind, format!("cannot {}", what())).because(error)
    })
}

fn sum_beside(path: &Path, url: &Url) -> Result<Sha256Sum> {
    for list in lists(url.file()) {
        let list = path.with_file_name(list);
        let mut text = String::new();
        match open(&list) {
            Err(error) if error.kind() == Kind::NotFound => continue,
            file => file?.take(SMALL).read_to_string(&mut text),
        }
        .cannot(|| format!("read {}", list.display()))?;
        if let Some(sum) = sums::find(&text, url.file())? {
            return Ok(sum);
        }
    }
    Err(without_sum(url))
}

/// Where the checksum of a file may be, the first that has it counts.
fn lists(file: &str) -> [String; 2] {
    [format!("{file}.sha256"), "SHA256SUMS".to_owned()]
}

fn without_sum(url: &Url) -> Error {
    let file = url.file().escape_debug().to_string();
    let what = format!("there is no checksum for {file} in {file}.sha256 or SHA256SUMS beside it");
    Error::new(Kind::BadInput, what)
        .hint("give it with --sha256=HEX, or do without with --verify=no")
}

/// Nothing is published unless this succeeds.
fn check(request: &PullRequest, summary: &Summary, beside: Option<Sha256Sum>) -> Result<()> {
    let wanted = match &request.verify {
        Verify::No => return Ok(()),
        Verify::Sum(sum) => Some(sum.clone()),
        Verify::Beside => beside,
    };
    let found = summary.sha256.as_deref();
    match (wanted, found) {
        (Some(wanted), Some(found)) if wanted.as_str() == found => Ok(()),
        (wanted, found) => {
            let (wanted, found) = (wanted.as_ref().map(Sha256Sum::as_str), found);
            let what = format!(
                "its SHA-256 is {}, not {}",
                found.unwrap_or("unknown"),
                wanted.unwrap_or("known")
            );
            Err(Error::new(Kind::BadInput, what))
        }
    }
}
