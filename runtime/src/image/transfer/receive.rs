//! The process that writes: from an archive to a path.

use std::ffi::CString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, statat};

use super::end::Root;
use super::place::Called;
use super::settle::{Merge, settle, subdirectory};
use super::spot::Spot;
use super::staging::Staging;
use super::talk::Line;
use super::{CopyRequest, Place};
use crate::error::{Context, Error, Kind, Result};
use crate::image::archive::free_space;
use crate::image::extract::{Policy, Unpacker};
use crate::image::limits::{Budget, Limits};
use crate::image::tar::{Feed, Reader};
use crate::image::wire::Summary;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Makes a copy of what comes from `input`, and puts it at `path`.
pub(super) fn receive(
    root: &Root,
    path: &Path,
    request: &CopyRequest,
    policy: Policy,
    input: File,
    line: &mut Line<'_>,
) -> Result<Summary> {
    let called = request.from.path().map_or(Called::Entries, Called::of);
    let spot = Spot::find(root, path, request.rule, &called)?;
    let is_archive = request.from == Place::Stream;
    if is_archive && spot.name.is_some() {
        return Err(Error::new(Kind::NotFound, "it is no directory")
            .hint("an archive is unpacked into a directory that exists"));
    }
    let staging = Staging::new(spot.dir.as_fd())?;
    let summary = unpack(&staging, policy, input, line)?;
    if is_archive {
        let from = staging
            .tree()
            .try_clone()
            .cannot(|| "duplicate a descriptor")?;
        let to = spot.dir.try_clone().cannot(|| "duplicate a descriptor")?;
        Merge::new(from, to, request.replace).carry_out()?;
        return Ok(summary);
    }
    put(&staging, &called, &spot, request.replace)?;
    Ok(summary)
}

/// Puts the one thing that was copied in its place.
fn put(staging: &Staging<'_>, called: &Called, spot: &Spot, replace: bool) -> Result<()> {
    let called = CString::new(called.between())
        .map_err(|_| Error::new(Kind::Usage, "the source's name holds a NUL byte"))?;
    let called = called.as_c_str();
    let stat = match statat(staging.tree(), called, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(_) => return Err(nothing()),
    };
    let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    match &spot.name {
        Some(_) if spot.needs_directory && !is_dir => {
            Err(Error::new(Kind::NotFound, "there is no such directory"))
        }
        Some(name) => settle(staging.tree(), called, &spot.dir, name, replace),
        None if is_dir => {
            let from = subdirectory(staging.tree(), called)?;
            let to = spot.dir.try_clone().cannot(|| "duplicate a descriptor")?;
            Merge::new(from, to, replace).carry_out()
        }
        None => Err(Error::new(Kind::BadInput, "it is a directory")
            .hint("name the copy: the destination is what it is to be called")),
    }
}

/// A device or socket is all that there was.
fn nothing() -> Error {
    Error::new(
        Kind::BadInput,
        "there is nothing to copy: it is a device node or a socket",
    )
}

fn unpack(
    staging: &Staging<'_>,
    policy: Policy,
    input: File,
    line: &mut Line<'_>,
) -> Result<Summary> {
    let budget = Budget::new(&Limits::default(), free_space(staging.tree())?);
    let root = staging
        .tree()
        .try_clone()
        .cannot(|| "duplicate a descriptor")?;
    let mut unpacker = Unpacker::new(root, budget, policy);
    let incoming = Incoming {
        file: input,
        read: 0,
        line,
    };
    let mut reader = Reader::new(incoming);
    unpacker.unpack(&mut reader, || {})?;
    let read = reader.feed().read;
    let (counts, warnings) = unpacker.finish(0)?;
    Ok(Summary {
        compression: None,
        sha256: None,
        read,
        counts,
        warnings,
    })
}

/// A pipe or standard input.
struct Incoming<'a, 'b> {
    file: File,
    read: u64,
    line: &'a mut Line<'b>,
}

impl Feed for Incoming<'_, '_> {
    fn next(&mut self, mut piece: Vec<u8>) -> Result<Option<Vec<u8>>> {
        piece.resize(PIECE, 0);
        loop {
            self.line.wait_for(self.file.as_fd())?;
            match self.file.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).cannot(|| "read the archive"),
                Ok(0) => return Ok(None),
                Ok(count) => {
                    piece.truncate(count);
                    self.read += count as u64;
                    self.line.progress(self.read);
                    return Ok(Some(piece));
                }
            }
        }
    }
}
