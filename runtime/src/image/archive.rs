//! The job of unpacking an archive.

use std::fmt::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use rustix::fs::fstatvfs;

use super::decode::{self, Resources};
use super::extract::{Policy, Unpacker};
use super::limits::{Budget, Limits};
use super::pump::connect;
use super::sniff::{HEAD, sniff};
use super::source::{Meter, Source};
use super::tar::Reader;
use super::wire::Summary;
use super::worker::{Job, Ticker, threads};
use crate::error::{Context, Error, Kind, Result};

/// An archive to unpack.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) file: OwnedFd,
    pub(super) limits: Limits,
}

impl Job for Archive {
    fn inputs(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.file.as_fd()]
    }

    fn decoder_memory(&self) -> u64 {
        self.limits.xz_memory
    }

    fn run(&self, root: OwnedFd, ticker: &mut Ticker<'_>) -> Result<Summary> {
        let free = free_space(&root)?;
        let meter = Meter::default();
        let file = self.file.try_clone().cannot(|| "read the archive")?;
        let mut source = Source::new(file.into(), meter.clone());
        let head = source.peek(HEAD).cannot(|| "read the archive")?;
        let compression = sniff(&head[..head.len().min(HEAD)])?;
        let resources = Resources {
            threads: threads(),
            xz_memory: self.limits.xz_memory,
        };
        let (sink, pieces) = connect(self.limits.ratio, source.meter().clone());
        thread::Builder::new()
            .name("decode".to_owned())
            .spawn(move || decode::run(compression, resources, source, sink))
            .cannot(|| "start the decoder")?;
        let mut reader = Reader::new(pieces);
        let mut unpacker = Unpacker::new(root, Budget::new(&self.limits, free), Policy::default());
        unpacker.unpack(&mut reader, || ticker.tick(meter.read()))?;
        let decoded = reader
            .feed()
            .decoded()
            .ok_or_else(|| Error::new(Kind::Failed, "the decoder did not finish"))?;
        let (counts, warnings) = unpacker.finish(decoded.trailing)?;
        Ok(Summary {
            compression: Some(compression),
            sha256: Some(hexadecimal(&decoded.sha256)),
            read: meter.read(),
            counts,
            warnings,
        })
    }
}

/// Bytes that may be written on the file system of `dir`.
pub(super) fn free_space(dir: &OwnedFd) -> Result<u64> {
    let stat = fstatvfs(dir).cannot(|| "ask for the free space")?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
