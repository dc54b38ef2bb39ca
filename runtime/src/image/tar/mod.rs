//! A strict reader of tar archives: ustar, GNU and pax headers, sparse files.
//!
//! Own code, because no library reads what an importer needs: pax sparse files, a
//! verified end mark, and refusal of whatever two readers could understand differently.
//! It performs no input or output of its own and never touches a file system.

mod blocks;
#[cfg(test)]
mod differential;
mod entry;
mod header;
mod number;
mod path;
mod pax;
mod reader;
mod sparse;
mod tail;

pub(super) use blocks::{BLOCK, Feed};
pub(super) use entry::{Entry, EntryKind, Time};
pub(super) use header::looks_like_header;
pub(super) use path::{MemberPath, normalise, split};
pub(super) use reader::Reader;
pub(super) use sparse::SparseMap;

use crate::error::{Error, Kind};

/// What is wrong with the archive.
fn damaged(what: impl Into<String>) -> Error {
    Error::new(Kind::BadInput, what)
}
