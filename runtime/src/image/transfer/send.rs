//! The process that reads: from a path to an archive.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::end::Root;
use super::place::leads_through;
use super::staging::PREFIX;
use super::talk::Line;
use crate::error::{Context, Error, Kind, Result};
use crate::image::export::Exporter;
use crate::image::import::Progress;
use crate::image::wire::Summary;
use crate::ownership::{Inside, TreeIds};

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;

/// Writes what is at `path` to `out`, under the name `called`. `None` if nobody reads it to the end.
pub(super) fn send(
    root: &Root,
    path: &Path,
    follow: bool,
    called: &[u8],
    out: File,
    line: &mut Line<'_>,
) -> Result<Option<Summary>> {
    let flags = match follow || leads_through(path) {
        true => OFlags::empty(),
        false => OFlags::NOFOLLOW,
    };
    let top = root.open(path, flags | OFlags::PATH).map_err(of_source)?;
    let stat = fstat(&top).cannot(|| "look at it")?;
    let inside = Inside::of(TreeIds::Unshifted);
    let inside = inside.ok_or_else(|| Error::new(Kind::Failed, "there is no map of its ids"))?;
    let mut broken = false;
    let outgoing = Outgoing {
        file: out,
        written: 0,
        line,
        broken: &mut broken,
    };
    let to = BufWriter::with_capacity(BUFFER, outgoing);
    let kind = FileType::from_raw_mode(stat.st_mode);
    let sent = if kind == FileType::Directory {
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(&top, c".", how, Mode::empty()).map_err(of_source)?;
        let mut exporter = Exporter::new(opened, to, inside).calling(called, PREFIX);
        exporter.run(&mut Silent).and_then(|()| finish(exporter))
    } else {
        let readable = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = match kind {
            FileType::RegularFile => Some(root.open(path, flags | readable).map_err(of_source)?),
            _ => None,
        };
        single(&top, opened, to, inside, called)
    };
    match sent {
        Err(_) if broken => Ok(None),
        Err(error) => Err(error),
        Ok(summary) => Ok(Some(summary)),
    }
}

fn single<W: Write>(
    top: &OwnedFd,
    opened: Option<OwnedFd>,
    to: W,
    inside: Inside,
    called: &[u8],
) -> Result<Summary> {
    let kept = top.try_clone().cannot(|| "duplicate a descriptor")?;
    let mut exporter = Exporter::new(kept, to, inside).calling(called, PREFIX);
    exporter.single(top, opened)?;
    finish(exporter)
}

fn finish<W: Write>(exporter: Exporter<W>) -> Result<Summary> {
    let (mut writer, counts, warnings) = exporter.finish()?;
    writer.flush().cannot(|| "write the archive")?;
    Ok(Summary {
        compression: None,
        sha256: None,
        read: counts.bytes,
        counts,
        warnings,
    })
}

fn of_source(errno: Errno) -> Error {
    let kind = match errno {
        Errno::NOENT | Errno::NOTDIR => Kind::NotFound,
        _ => Kind::Failed,
    };
    Error::new(kind, "cannot open it").because(io::Error::from(errno))
}

/// The bytes of the line tell how far it is.
struct Silent;

impl Progress for Silent {
    fn advanced(&mut self, _: u64, _: Option<u64>) {}
}

/// A pipe or standard output.
struct Outgoing<'a, 'b> {
    file: File,
    written: u64,
    line: &'a mut Line<'b>,
    /// The one that reads from it has gone, and says why itself.
    broken: &'a mut bool,
}

impl Write for Outgoing<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wrote = self.file.write(bytes).inspect_err(|error| {
            *self.broken |= error.kind() == ErrorKind::BrokenPipe;
        })?;
        self.written += wrote as u64;
        self.line.progress(self.written);
        Ok(wrote)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
