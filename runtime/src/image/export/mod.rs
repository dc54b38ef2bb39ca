//! Writing an image as a tar archive, the same bytes for the same tree.

mod compress;
mod data;
mod entry;
mod output;
mod tree;

pub(super) use self::tree::Exporter;

use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, open};

use self::compress::Encoder;
use self::output::Output;
use super::archive::hexadecimal;
use super::import::Progress;
use super::lookup;
use super::name::ImageName;
use super::report::{Counts, Warning};
use super::sniff::Compression;
use super::source_lock::SourceLock;
use super::sweep::sweep;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::ownership::{Inside, TreeIds};

/// Endings of file names, and the format that they ask for.
const ENDINGS: [(&str, Compression); 8] = [
    (".xz", Compression::Xz),
    (".txz", Compression::Xz),
    (".zst", Compression::Zstd),
    (".tzst", Compression::Zstd),
    (".gz", Compression::Gzip),
    (".tgz", Compression::Gzip),
    (".bz2", Compression::Bzip2),
    (".tbz2", Compression::Bzip2),
];

/// The format that a file's name asks for; none for any other name.
#[must_use]
pub fn format_of(file: &Path) -> Compression {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let found = ENDINGS.iter().find(|(ending, _)| name.ends_with(ending));
    found.map_or(Compression::None, |(_, format)| *format)
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// The image to write.
    pub name: ImageName,
    /// The archive's file; `None` for standard output.
    pub file: Option<PathBuf>,
    /// How the archive is compressed.
    pub compression: Compression,
}

/// What was done.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ExportReport {
    /// The image's name.
    pub name: ImageName,
    /// The archive's file; `None` for standard output.
    pub file: Option<PathBuf>,
    /// How it is compressed.
    pub compression: Compression,
    /// Its length in bytes.
    pub archive_bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// What was written.
    pub counts: Counts,
    /// The image was in use: what was written may be of different moments.
    pub was_in_use: bool,
    /// What was left out or changed.
    pub warnings: Vec<Warning>,
}

/// Writes an image as a tar archive, with owners as the machine sees them. A file becomes
/// visible when it is complete.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such image, [`Kind::Busy`] if the file exists,
/// [`Kind::BadInput`] if the image is no directory or half changed, [`Kind::Failed`] if
/// reading or writing fails.
pub fn export(
    dirs: &Dirs,
    request: &ExportRequest,
    progress: &mut dyn Progress,
) -> Result<ExportReport> {
    carry_out(dirs, request, progress).cannot(|| format!("export image {}", request.name))
}

fn carry_out(
    dirs: &Dirs,
    request: &ExportRequest,
    progress: &mut dyn Progress,
) -> Result<ExportReport> {
    sweep(dirs)?;
    let image = lookup::find_named(dirs, request.name.as_str())?;
    let what = || format!("open {}", image.path.display());
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = open(image.tree()?, how, Mode::empty()).cannot(what)?;
    let stat = fstat(&top).cannot(what)?;
    let inside = Inside::of(TreeIds::of((stat.st_uid, stat.st_gid))).ok_or_else(|| {
        Error::new(Kind::BadInput, "a change of its owners was interrupted")
            .hint("start it once in the way that was interrupted")
    })?;
    let lock = SourceLock::take(&image, &request.name)?;
    let output = Output::open(request.file.as_deref())?;
    let encoder = Encoder::new(request.compression, output.writer()?)?;
    let mut exporter = Exporter::new(top, encoder, inside);
    exporter.run(progress)?;
    let (encoder, counts, warnings) = exporter.finish()?;
    let written = encoder.finish().cannot(|| "write the archive")?;
    output.publish()?;
    Ok(ExportReport {
        name: request.name.clone(),
        file: request.file.clone(),
        compression: request.compression,
        archive_bytes: written.bytes,
        sha256: hexadecimal(&written.sha256),
        counts,
        was_in_use: lock.was_in_use(),
        warnings,
    })
}

/// A place for bytes.
type Sink = Box<dyn Write>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_the_name() {
        for (name, format) in [
            ("web.tar.xz", Compression::Xz),
            ("dir.xz/web.tgz", Compression::Gzip),
            ("web.tzst", Compression::Zstd),
            ("web.tar.bz2", Compression::Bzip2),
            ("web.tar", Compression::None),
            ("web", Compression::None),
        ] {
            assert_eq!(format_of(Path::new(name)), format, "{name}");
        }
    }
}
