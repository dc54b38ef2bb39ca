//! Decompression: one function per format, from a [`Source`] into a [`Sink`].

mod members;
mod xz;

use std::io;

use super::pump::{Decoded, Sink, Stop};
use super::sniff::Compression;
use super::source::Source;
use crate::error::{Context, Error, Kind, errno_text};

/// What a decoder may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resources {
    /// Threads for formats that can be decoded in parallel.
    pub(super) threads: u32,
    /// Memory for xz in bytes.
    pub(super) xz_memory: u64,
}

/// Decodes all of the source into the sink.
pub(super) fn run(format: Compression, resources: Resources, mut source: Source, mut sink: Sink) {
    let outcome = decode(format, resources, &mut source, &mut sink);
    let outcome = match source.take_failure() {
        Some(error) => Err(unreadable(error)),
        None => outcome,
    };
    let outcome = outcome.and_then(|()| {
        let trailing = source.drain().cannot(|| "read the archive")?;
        let sha256 = source.sha256();
        Ok(Decoded { sha256, trailing })
    });
    sink.finish(outcome);
}

fn decode(
    format: Compression,
    resources: Resources,
    source: &mut Source,
    sink: &mut Sink,
) -> Result<(), Stop> {
    match format {
        Compression::Xz => xz::decode(resources, source, sink),
        _ => members::decode(format, source, sink),
    }
}

fn unreadable(error: io::Error) -> Stop {
    Error::new(Kind::Failed, "cannot read the archive")
        .because(error)
        .into()
}

/// What a decoder's complaint says about the archive.
fn complaint(format: Compression, source: &Source, error: &io::Error) -> Stop {
    let offset = source.offset();
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            format!("the {format} data is cut off at byte {offset}")
        }
        _ => format!(
            "the {format} data is damaged near byte {offset}: {}",
            errno_text(error)
        ),
    };
    Error::new(Kind::BadInput, what).into()
}
