//! Formats that are decoded by one thread: gzip, bzip2, Zstandard, and none.

use std::io::{self, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;
use zstd::zstd_safe::{DCtx, DParameter};

use super::complaint;
use crate::image::pump::{Sink, Stop};
use crate::image::sniff::{Compression, is_skippable_frame};
use crate::image::source::Source;

/// Largest window of a Zstandard frame as a power of two: 128 MiB, the limit of zstd(1).
const ZSTD_WINDOW_LOG: u32 = 27;

/// Why bytes could not be poured.
enum Fault {
    Decoder(io::Error),
    Sink(Stop),
}

/// Decodes members one after another until what follows is not one.
pub(super) fn decode(
    format: Compression,
    source: &mut Source,
    sink: &mut Sink,
) -> Result<(), Stop> {
    let mut context = zstd_context();
    loop {
        let poured = match format {
            Compression::None => pour(&mut *source, sink),
            Compression::Gzip => pour(GzDecoder::new(&mut *source), sink),
            Compression::Bzip2 => pour(BzDecoder::new(&mut *source), sink),
            _ => {
                let decoder = ZstdDecoder::with_context(&mut *source, &mut context);
                pour(decoder.single_frame(), sink)
            }
        };
        let another = poured.and_then(|()| another(format, source, sink));
        match another {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(Fault::Sink(stop)) => return Err(stop),
            Err(Fault::Decoder(error)) => return Err(complaint(format, source, &error)),
        }
    }
}

fn zstd_context() -> DCtx<'static> {
    let mut context = DCtx::create();
    let limit = DParameter::WindowLogMax(ZSTD_WINDOW_LOG);
    context
        .set_parameter(limit)
        .expect("27 is within the range that zstd accepts");
    context
}

fn pour(mut decoder: impl Read, sink: &mut Sink) -> Result<(), Fault> {
    loop {
        let count = decoder.read(sink.space()).map_err(Fault::Decoder)?;
        if count == 0 {
            return Ok(());
        }
        sink.commit(count).map_err(Fault::Sink)?;
    }
}

/// Whether another member follows.
fn another(format: Compression, source: &mut Source, sink: &mut Sink) -> Result<bool, Fault> {
    if format == Compression::None {
        return Ok(false);
    }
    sink.member_ended().map_err(Fault::Sink)?;
    let next = source.peek(4).map_err(Fault::Decoder)?;
    let skippable = format == Compression::Zstd && is_skippable_frame(next);
    Ok(next.starts_with(format.magic()) || skippable)
}
