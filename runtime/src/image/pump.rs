//! Hands decoded pieces from the decoder's thread to the thread that unpacks them.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::source::Meter;
use super::tar::Feed;
use crate::error::{Error, Kind};

/// Bytes of one piece: small enough to stay in a core's cache between the threads.
const PIECE: usize = 256 << 10;

/// Pieces that may be under way.
const DEPTH: usize = 16;

/// Decoded bytes after which the ratio is watched: 100 MiB.
const RATIO_AFTER: u64 = 100 << 20;

/// Compressed members after which their contents are watched.
const MEMBERS_FREE: u64 = 10_000;

/// Least decoded bytes per member then. Setting a decoder up for nothing takes time that
/// no other limit sees.
const MEMBER_BYTES: u64 = 1024;

/// What the decoder says when it has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// SHA-256 of the archive's file.
    pub(super) sha256: [u8; 32],
    /// Bytes of the file after the compressed data.
    pub(super) trailing: u64,
}

#[derive(Debug)]
enum Message {
    Piece(Vec<u8>),
    End(Decoded),
    Failed(Error),
}

/// The decoder's end.
#[derive(Debug)]
pub(super) struct Sink {
    full: SyncSender<Message>,
    empty: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    filled: usize,
    total: u64,
    members: u64,
    max_ratio: u64,
    meter: Meter,
}

/// The unpacker's end.
#[derive(Debug)]
pub(super) struct Pieces {
    full: Receiver<Message>,
    empty: Sender<Vec<u8>>,
    decoded: Option<Decoded>,
}

/// Why a decoder stops early.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody wants more.
    Unwanted,
    /// The archive is at fault, or the file cannot be read.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Two connected ends. Decoding fails if it gives more than `max_ratio` bytes per byte
/// that `meter` counts.
pub(super) fn connect(max_ratio: u64, meter: Meter) -> (Sink, Pieces) {
    let (full_sender, full) = sync_channel(DEPTH);
    let (empty, empty_receiver) = channel();
    let sink = Sink {
        full: full_sender,
        empty: empty_receiver,
        piece: vec![0; PIECE],
        filled: 0,
        total: 0,
        members: 0,
        max_ratio,
        meter,
    };
    let pieces = Pieces {
        full,
        empty,
        decoded: None,
    };
    (sink, pieces)
}

impl Sink {
    /// Where the next decoded bytes go; never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.piece[self.filled..]
    }

    /// Says that `count` bytes of the space are filled.
    pub(super) fn commit(&mut self, count: usize) -> Result<(), Stop> {
        self.filled += count;
        self.total += count as u64;
        let expected = self.meter.read().saturating_mul(self.max_ratio);
        if self.total > RATIO_AFTER && self.total > expected {
            let what = format!("it unpacks to more than {} times its size", self.max_ratio);
            return Err(Error::new(Kind::BadInput, what)
                .hint("if the archive is to be trusted, raise --max-ratio")
                .into());
        }
        if self.filled == self.piece.len() {
            self.flush()?;
        }
        Ok(())
    }

    /// Says that a compressed member, stream or frame has ended.
    pub(super) fn member_ended(&mut self) -> Result<(), Stop> {
        self.members += 1;
        if self.members > MEMBERS_FREE && self.total / MEMBER_BYTES < self.members {
            let what = format!(
                "it is compressed in {} parts that hold next to nothing",
                self.members
            );
            return Err(Error::new(Kind::BadInput, what).into());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let next = self.empty.try_recv().unwrap_or_else(|_| vec![0; PIECE]);
        let mut piece = std::mem::replace(&mut self.piece, next);
        piece.truncate(self.filled);
        self.filled = 0;
        self.send(Message::Piece(piece))
    }

    fn send(&self, message: Message) -> Result<(), Stop> {
        self.full.send(message).map_err(|_| Stop::Unwanted)
    }

    /// Hands over what is left and how decoding ended.
    pub(super) fn finish(mut self, outcome: Result<Decoded, Stop>) {
        let message = match outcome {
            Ok(decoded) => Message::End(decoded),
            Err(Stop::Failed(error)) => Message::Failed(error),
            Err(Stop::Unwanted) => return,
        };
        // An unpacker that is gone has failed by itself and says why.
        if self.filled == 0 || self.flush().is_ok() {
            let _ = self.send(message);
        }
    }
}

impl Pieces {
    /// How decoding ended, once the last piece was taken.
    pub(super) fn decoded(&self) -> Option<Decoded> {
        self.decoded
    }
}

impl Feed for Pieces {
    fn next(&mut self, mut used: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        if self.decoded.is_some() {
            return Ok(None);
        }
        if used.capacity() >= PIECE {
            used.resize(PIECE, 0);
            // The decoder may be past its last piece.
            let _ = self.empty.send(used);
        }
        match self.full.recv() {
            Ok(Message::Piece(piece)) => Ok(Some(piece)),
            Ok(Message::End(decoded)) => {
                self.decoded = Some(decoded);
                Ok(None)
            }
            Ok(Message::Failed(error)) => Err(error),
            Err(_) => Err(Error::new(Kind::Failed, "the decoder's thread died")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Decoded = Decoded {
        sha256: [0; 32],
        trailing: 0,
    };

    #[test]
    fn bytes_arrive_in_order_and_whole() {
        let (mut sink, mut pieces) = connect(1000, Meter::default());
        let sender = std::thread::spawn(move || {
            for value in 0..20_u8 {
                let space = sink.space();
                let count = space.len().min(100_000);
                space[..count].fill(value);
                sink.commit(count).unwrap();
            }
            sink.finish(Ok(DONE));
        });
        let mut bytes = Vec::new();
        let mut used = Vec::new();
        while let Some(piece) = pieces.next(used).unwrap() {
            bytes.extend_from_slice(&piece);
            used = piece;
        }
        sender.join().unwrap();
        assert!(bytes.is_sorted());
        assert_eq!(bytes.last(), Some(&19));
        assert_eq!(pieces.decoded(), Some(DONE));
    }

    #[test]
    fn a_failure_comes_after_the_bytes_before_it() {
        let (mut sink, mut pieces) = connect(1000, Meter::default());
        sink.space()[0] = 7;
        sink.commit(1).unwrap();
        sink.finish(Err(Error::new(Kind::BadInput, "broken").into()));
        assert_eq!(pieces.next(Vec::new()).unwrap(), Some(vec![7]));
        assert_eq!(pieces.next(Vec::new()).unwrap_err().to_string(), "broken");
    }

    #[test]
    fn a_decoder_without_an_unpacker_stops() {
        let (mut sink, pieces) = connect(1000, Meter::default());
        drop(pieces);
        let all = sink.space().len();
        assert!(matches!(sink.commit(all), Err(Stop::Unwanted)));
    }

    #[test]
    fn endless_empty_members_are_stopped() {
        let (mut sink, _pieces) = connect(1000, Meter::default());
        let stopped = (0..20_000).find(|_| sink.member_ended().is_err());
        assert_eq!(stopped, Some(MEMBERS_FREE));
    }

    #[test]
    fn a_bomb_is_stopped() {
        let (mut sink, mut pieces) = connect(1000, Meter::default());
        let reader = std::thread::spawn(move || while let Ok(Some(_)) = pieces.next(Vec::new()) {});
        let stop = loop {
            let all = sink.space().len();
            if let Err(stop) = sink.commit(all) {
                break stop;
            }
        };
        assert!(matches!(stop, Stop::Failed(e) if e.kind() == Kind::BadInput));
        assert!(sink.total <= RATIO_AFTER + PIECE as u64);
        drop(sink);
        reader.join().unwrap();
    }
}
