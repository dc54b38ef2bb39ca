//! xz, its blocks decoded on all cores.

use std::io::{self, BufRead};

use liblzma::stream::{Action, Error as XzError, MtStreamBuilder, Status, Stream};

use super::{Resources, complaint};
use crate::error::{Error, Kind};
use crate::image::pump::{Sink, Stop};
use crate::image::sniff::Compression::Xz;
use crate::image::source::Source;

/// Decodes streams one after another. liblzma's parallel decoder reads one stream only
/// and is silent about what follows.
pub(super) fn decode(
    resources: Resources,
    source: &mut Source,
    sink: &mut Sink,
) -> Result<(), Stop> {
    loop {
        stream(resources, source, sink)?;
        sink.member_ended()?;
        if !another(source).map_err(|error| complaint(Xz, source, &error))? {
            return Ok(());
        }
    }
}

fn decoder(resources: Resources) -> Result<Stream, Stop> {
    // Without a timeout a call returns only when it took all input or filled the output,
    // which is what a thread that does nothing else wants.
    MtStreamBuilder::new()
        .threads(resources.threads)
        .memlimit_threading(resources.xz_memory)
        .memlimit_stop(resources.xz_memory)
        .decoder()
        .map_err(|error| {
            let what = "cannot set up the xz decoder";
            Error::new(Kind::Failed, what).because(error).into()
        })
}

fn stream(resources: Resources, source: &mut Source, sink: &mut Sink) -> Result<(), Stop> {
    let mut stream = decoder(resources)?;
    loop {
        let input = source
            .fill_buf()
            .map_err(|error| Stop::from(Error::new(Kind::Failed, "cannot read").because(error)))?;
        let at_end = input.is_empty();
        let action = if at_end { Action::Finish } else { Action::Run };
        let before = (stream.total_in(), stream.total_out());
        let status = stream.process(input, sink.space(), action);
        source.consume(bytes(stream.total_in() - before.0));
        sink.commit(bytes(stream.total_out() - before.1))?;
        match status {
            Ok(Status::StreamEnd) => return Ok(()),
            Ok(Status::MemNeeded) if at_end => {
                return Err(complaint(Xz, source, &io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(_) => {}
            Err(XzError::MemLimit) => return Err(too_big(resources)),
            Err(XzError::Mem) => return Err(Error::new(Kind::Failed, "out of memory").into()),
            Err(error) => return Err(damaged(source, error)),
        }
    }
}

/// A count of bytes within one buffer.
fn bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn too_big(resources: Resources) -> Stop {
    let limit = resources.xz_memory >> 20;
    let what = format!("the xz data needs more than {limit} MiB of memory to decode");
    Error::new(Kind::BadInput, what)
        .hint("if the archive is to be trusted, raise --xz-memory")
        .into()
}

fn damaged(source: &Source, error: XzError) -> Stop {
    let text = match error {
        XzError::Options => "it uses options that are not supported",
        XzError::Format => "it is not in the xz format",
        _ => "it is corrupt",
    };
    complaint(
        Xz,
        source,
        &io::Error::new(io::ErrorKind::InvalidData, text),
    )
}

/// Whether another stream follows, after padding of zeros in fours.
fn another(source: &mut Source) -> io::Result<bool> {
    loop {
        let next = source.peek(Xz.magic().len())?;
        if !next.starts_with(&[0; 4]) {
            return Ok(next.starts_with(Xz.magic()));
        }
        source.consume(4);
    }
}
