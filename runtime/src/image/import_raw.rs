//! Importing a disk image: a file that is decoded and stored with holes, all or nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::thread;

use rustix::fs::{Mode, OFlags, ftruncate, openat};

use super::archive::{free_space, hexadecimal};
use super::decode::{self, Resources};
use super::import::{Progress, Report, Request, open};
use super::limits::{Budget, Limits};
use super::name::ImageName;
use super::pump::{Decoded, Pieces, connect};
use super::report::{Counts, Warning, WarningKind};
use super::root::ImageRoot;
use super::sniff::{HEAD, compression};
use super::source::{Meter, Source};
use super::staging::Staging;
use super::subject::Claim;
use super::sweep::sweep;
use super::tar::Feed;
use super::wire::Summary;
use super::worker::{self, Job, Ticker, threads};
use crate::dirs::Dirs;
use crate::disk;
use crate::error::{Context, Error, Kind, Result};

/// The image's name in the staging directory.
const DISK: &str = "disk";

/// Bytes that become a hole if they are all zero; file systems have none that are smaller.
const HOLE: usize = 4096;

/// Imports a disk image. It becomes visible, as `NAME.raw`, when it is complete; before that, an
/// error or the death of the process leaves nothing that the next command does not sweep.
///
/// Starts a process and must be called while there is one thread.
///
/// # Errors
/// As [`super::import::import`]; [`Kind::BadInput`] too if it is no image that holds a file system or
/// a partition table.
pub fn import_raw(dirs: &Dirs, request: &Request, progress: &mut dyn Progress) -> Result<Report> {
    carry_out(dirs, request, progress)
        .cannot(|| format!("import {} as {}", request.source, request.name))
}

fn carry_out(dirs: &Dirs, request: &Request, progress: &mut dyn Progress) -> Result<Report> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new(Kind::HostLacks, "importing needs root"));
    }
    let (file, total) = open(&request.source)?;
    let name: ImageName = request.name.as_str().parse()?;
    let root = ImageRoot::open(dirs.image_root())?;
    sweep(dirs)?;
    // Made first and dropped last: its lock file tells a sweep that the name's may be stale.
    let staging = Staging::new(&root, name.as_str())?;
    let _claim = Claim::take(dirs, &root, &name)?;
    let job = DiskImage {
        file,
        limits: request.limits.clone(),
    };
    let summary = worker::run(&job, &staging, |read| progress.advanced(read, total))?;
    let file = format!("{name}.raw");
    staging.publish(&file, Some(OsStr::new(DISK)), request.sync)?;
    Ok(Report {
        name: request.name.clone(),
        path: root.path().join(file),
        compression: summary.compression,
        sha256: summary.sha256,
        archive_bytes: summary.read,
        counts: summary.counts,
        warnings: summary.warnings,
    })
}

/// A disk image to store.
struct DiskImage {
    file: OwnedFd,
    limits: Limits,
}

impl Job for DiskImage {
    fn inputs(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.file.as_fd()]
    }

    fn decoder_memory(&self) -> u64 {
        self.limits.xz_memory
    }

    fn run(&self, root: OwnedFd, ticker: &mut Ticker<'_>) -> Result<Summary> {
        let budget = Budget::new(&self.limits, free_space(&root)?);
        let meter = Meter::default();
        let file = self.file.try_clone().cannot(|| "read the image")?;
        let mut source = Source::new(file.into(), meter.clone());
        let head = source.peek(HEAD).cannot(|| "read the image")?;
        let format = compression(head);
        let resources = Resources {
            threads: threads(),
            xz_memory: self.limits.xz_memory,
        };
        let (sink, mut pieces) = connect(self.limits.ratio, meter.clone());
        thread::Builder::new()
            .name("decode".to_owned())
            .spawn(move || decode::run(format, resources, source, sink))
            .cannot(|| "start the decoder")?;
        let how = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let image = openat(&root, DISK, how, Mode::RUSR | Mode::WUSR);
        let image = File::from(image.cannot(|| "make the image's file")?);
        let mut store = Store {
            image,
            budget,
            size: 0,
            written: 0,
        };
        let decoded = store.fill(&mut pieces, || ticker.tick(meter.read()))?;
        Ok(Summary {
            compression: Some(format),
            sha256: Some(hexadecimal(&decoded.sha256)),
            read: meter.read(),
            counts: Counts {
                files: 1,
                bytes: store.written,
                ..Counts::default()
            },
            warnings: trailing(decoded.trailing),
        })
    }
}

fn trailing(bytes: u64) -> Vec<Warning> {
    let warning = (bytes > 0).then_some(Warning {
        kind: WarningKind::TrailingBytes,
        count: bytes,
        first: None,
    });
    warning.into_iter().collect()
}

/// The file that is filled.
struct Store {
    image: File,
    budget: Budget,
    size: u64,
    /// Holes not counted.
    written: u64,
}

impl Store {
    /// Stores all pieces. What it begins with is looked at as soon as that is there.
    fn fill(&mut self, pieces: &mut Pieces, mut tick: impl FnMut()) -> Result<Decoded> {
        let mut is_known = false;
        let mut used = Vec::new();
        while let Some(piece) = pieces.next(used)? {
            self.write(&piece)?;
            if !is_known && self.size >= disk::HEAD as u64 {
                self.check()?;
                is_known = true;
            }
            tick();
            used = piece;
        }
        if !is_known {
            self.check()?;
        }
        ftruncate(&self.image, self.size).cannot(|| "set the image's size")?;
        let decoded = pieces.decoded();
        decoded.ok_or_else(|| Error::new(Kind::Failed, "the decoder did not finish"))
    }

    fn check(&self) -> Result<()> {
        let head = disk::read(&self.image, 0, disk::HEAD).cannot(|| "look at the image")?;
        disk::check_head(&head)
    }

    /// Appends; runs of zeros are left out.
    fn write(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            let (data, rest) = piece.split_at(leading(piece, |block| !is_hole(block)));
            self.budget.data(data.len() as u64)?;
            let written = self.image.write_all_at(data, self.size);
            written.cannot(|| "write the image")?;
            self.written += data.len() as u64;
            let hole = leading(rest, is_hole);
            self.size += (data.len() + hole) as u64;
            piece = rest.get(hole..).unwrap_or_default();
        }
        Ok(())
    }
}

fn is_hole(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// How many bytes the blocks at the beginning have that are so.
fn leading(bytes: &[u8], is: impl Fn(&[u8]) -> bool) -> usize {
    let blocks = bytes.chunks(HOLE).take_while(|block| is(block));
    blocks.map(<[u8]>::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_become_holes_and_all_else_stays_in_its_place() {
        let file = tempfile::tempfile().unwrap();
        let mut store = Store {
            image: file.try_clone().unwrap(),
            budget: Budget::new(&Limits::default(), 1 << 30),
            size: 0,
            written: 0,
        };
        let mut content = vec![0; 5 * HOLE + 7];
        content[0] = 1;
        content[3 * HOLE + 5] = 2;
        for piece in content.chunks(2 * HOLE) {
            store.write(piece).unwrap();
        }
        file.set_len(store.size).unwrap();
        assert_eq!(store.size, content.len() as u64);
        assert_eq!(store.written, 2 * HOLE as u64);
        assert_eq!(disk::read(&file, 0, content.len() + 1).unwrap(), content);
    }
}
