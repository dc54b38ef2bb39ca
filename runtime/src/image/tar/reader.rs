//! From blocks to members.

use super::blocks::{BLOCK, Blocks, Feed, padding};
use super::damaged;
use super::entry::{Entry, EntryKind, Time};
use super::header::{Header, Type};
use super::pax::{MAX_BODY, Records};
use super::sparse::SparseMap;
use super::tail::{self, Tail};
use crate::error::Result;

/// Longest name or link target of a GNU long-name header: 64 KiB.
const MAX_LONG_NAME: u64 = 64 << 10;

/// Offset after the first block.
const FIRST: u64 = BLOCK as u64;

/// Reads an archive's members in order.
#[derive(Debug)]
pub(in crate::image) struct Reader<F> {
    blocks: Blocks<F>,
    global: Records,
    /// Of the current member: bytes of data that were not read yet, then padding.
    data: u64,
    padding: u64,
    /// Where the current member's first header begins.
    start: u64,
    ended: bool,
}

/// What headers before a member's own say about it.
#[derive(Debug, Default)]
struct Extensions {
    pax: Option<Records>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extensions {
    fn any(&self) -> bool {
        self.pax.is_some() || self.long_name.is_some() || self.long_link.is_some()
    }
}

impl<F: Feed> Reader<F> {
    /// Begins at the first byte of the archive.
    pub(in crate::image) fn new(feed: F) -> Self {
        Self {
            blocks: Blocks::new(feed),
            global: Records::default(),
            data: 0,
            padding: 0,
            start: 0,
            ended: false,
        }
    }

    /// Where the current member's first header begins, in bytes of the unpacked archive.
    pub(in crate::image) fn start(&self) -> u64 {
        self.start
    }

    /// Where the bytes come from.
    pub(in crate::image) fn feed(&self) -> &F {
        self.blocks.feed()
    }

    /// The next member, or `None` at the end mark. Data of the member before that was
    /// not read is passed over.
    pub(in crate::image) fn next(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        let unread = std::mem::take(&mut self.data);
        self.blocks.skip(unread)?;
        let unread = std::mem::take(&mut self.padding);
        self.blocks.skip(unread)?;
        self.start = self.blocks.offset();
        let mut extensions = Extensions::default();
        loop {
            let Some(block) = self.header_block(&extensions)? else {
                return Ok(None);
            };
            let header = Header::new(&block).map_err(|error| match self.blocks.offset() {
                FIRST => damaged("what was decoded is not a tar archive"),
                _ => error,
            })?;
            match header.kind()? {
                Type::Member(kind) => {
                    return self.member(&header, Some(kind), extensions).map(Some);
                }
                Type::GnuSparse => return self.member(&header, None, extensions).map(Some),
                extension => self.extend(extension, &header, &mut extensions)?,
            }
        }
    }

    /// The next block that is a header; `None` at the end mark.
    fn header_block(&mut self, extensions: &Extensions) -> Result<Option<[u8; BLOCK]>> {
        let Some(block) = self.blocks.block()? else {
            return Err(damaged("the archive has no end mark"));
        };
        if block.iter().any(|&b| b != 0) {
            return Ok(Some(block));
        }
        if extensions.any() {
            return Err(damaged("the archive ends after an extended header"));
        }
        self.ended = true;
        Ok(None)
    }

    fn extend(
        &mut self,
        kind: Type,
        header: &Header<'_>,
        extensions: &mut Extensions,
    ) -> Result<()> {
        let limit = match kind {
            Type::Pax | Type::PaxGlobal if !header.is_extensible() => return Err(too_old()),
            Type::Pax | Type::PaxGlobal => MAX_BODY,
            _ => MAX_LONG_NAME,
        };
        let size = header.size()?;
        if size > limit {
            return Err(damaged(format!(
                "an extended header of {size} bytes is longer than {limit}"
            )));
        }
        let body = self.blocks.body(size)?;
        let given_before = match kind {
            Type::PaxGlobal => {
                self.global = Records::parse_global(&body)?.or(&self.global);
                false
            }
            Type::Pax => extensions.pax.replace(Records::parse(&body)?).is_some(),
            Type::GnuLongName => extensions.long_name.replace(until_nul(body)).is_some(),
            _ => extensions.long_link.replace(until_nul(body)).is_some(),
        };
        if given_before {
            return Err(damaged("a member has two extended headers of one kind"));
        }
        Ok(())
    }

    /// Puts together what all headers say; `kind` is `None` for an old GNU sparse file.
    fn member(
        &mut self,
        header: &Header<'_>,
        kind: Option<EntryKind>,
        extensions: Extensions,
    ) -> Result<Entry> {
        if extensions.pax.is_some() && !header.is_extensible() {
            return Err(too_old());
        }
        let mut pax = extensions.pax.unwrap_or_default().or(&self.global);
        let name = pax.sparse.name.take().or(pax.path.take());
        let name = name.or(extensions.long_name);
        let name = name.unwrap_or_else(|| header.name());
        let link = pax.link.take().or(extensions.long_link);
        let link = link.unwrap_or_else(|| header.link().to_vec());
        let (kind, sparse) = self.contents(header, kind, &name, &pax)?;
        if matches!(kind, EntryKind::HardLink | EntryKind::Symlink) && link.is_empty() {
            return Err(damaged("its target is empty"));
        }
        let (mtime, time_clamped) = match pax.mtime {
            Some(time) => (time, false),
            None => clamp(header.mtime()?),
        };
        Ok(Entry {
            offset: self.start,
            kind,
            name,
            link,
            mode: header.mode()?,
            uid: id("owner", pax.uid, || header.uid())?,
            gid: id("group", pax.gid, || header.gid())?,
            mtime,
            atime: pax.atime,
            time_clamped,
            stored: self.data,
            sparse,
            xattrs: pax.xattrs,
            acl_access: pax.acl_access,
            acl_default: pax.acl_default,
        })
    }

    /// What the member is, and the map of a sparse file. Takes note of the data that follows.
    fn contents(
        &mut self,
        header: &Header<'_>,
        kind: Option<EntryKind>,
        name: &[u8],
        pax: &Records,
    ) -> Result<(EntryKind, Option<SparseMap>)> {
        let mut stored = match pax.size {
            Some(size) => size,
            None => header.size()?,
        };
        self.padding = padding(stored);
        let contents = match kind {
            None => {
                let map = SparseMap::old_gnu(header, stored, &mut self.blocks)?;
                (EntryKind::File, Some(map))
            }
            Some(EntryKind::File) if name.ends_with(b"/") != header.is_old_directory() => {
                return Err(damaged("it may be a file or a directory"));
            }
            Some(EntryKind::File) if header.is_old_directory() => (EntryKind::Directory, None),
            Some(EntryKind::File) => {
                let map = SparseMap::pax(&pax.sparse, &mut stored, &mut self.blocks)?;
                (EntryKind::File, map)
            }
            Some(other) => (other, None),
        };
        if contents.0 != EntryKind::File && stored != 0 {
            let what = format!("it is no file, yet has {stored} bytes of data");
            return Err(damaged(what));
        }
        self.data = stored;
        Ok(contents)
    }

    /// The next piece of the current member's data, at most `max` bytes; empty at its end.
    pub(in crate::image) fn data(&mut self, max: u64) -> Result<&[u8]> {
        let bytes = self.blocks.data(self.data.min(max))?;
        self.data -= bytes.len() as u64;
        Ok(bytes)
    }

    /// Reads all that follows the end mark and says what it was.
    pub(in crate::image) fn finish(&mut self) -> Result<Tail> {
        tail::read(&mut self.blocks)
    }
}

fn too_old() -> crate::Error {
    damaged("extended headers do not go with headers of the oldest format")
}

fn until_nul(mut body: Vec<u8>) -> Vec<u8> {
    if let Some(end) = body.iter().position(|&b| b == 0) {
        body.truncate(end);
    }
    body
}

/// An owner or group: from a record, else from the header. 2^32-1 means "unchanged" to
/// chown(2), so that it is nobody's id.
fn id(what: &str, record: Option<u64>, header: impl Fn() -> Result<i128>) -> Result<u32> {
    let value = record.map_or_else(header, |id| Ok(id.into()))?;
    u32::try_from(value)
        .ok()
        .filter(|&id| id != u32::MAX)
        .ok_or_else(|| damaged(format!("its {what} is {value}, which is no valid id")))
}

fn clamp(seconds: i128) -> (Time, bool) {
    let clamped = seconds.clamp(i64::MIN.into(), i64::MAX.into());
    let time = Time {
        seconds: i64::try_from(clamped).unwrap_or_default(),
        nanoseconds: 0,
    };
    (time, clamped != seconds)
}
