//! One member of an archive: a ustar header, and pax records for what does not fit into it.

use std::io::{self, Read, Write};

use rustix::fs::{FileType, Stat, major, minor};
use tar::{Builder, EntryType, Header};

use super::data::Map;
use crate::image::acl;
use crate::image::attributes::{ACL_ACCESS, ACL_DEFAULT};
use crate::ownership::Inside;

/// Bytes of the fields for names in a header.
const NAME: usize = 100;

/// What a member is written from.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// Below the top, without a slash in front.
    pub(super) path: &'a [u8],
    pub(super) stat: &'a Stat,
    /// Where a link leads, symbolic or hard.
    pub(super) target: Option<&'a [u8]>,
    /// It is another name of an earlier member.
    pub(super) is_hard_link: bool,
    pub(super) attributes: &'a [(Vec<u8>, Vec<u8>)],
    /// Where its data is.
    pub(super) map: Option<&'a Map>,
}

/// A header with its records.
struct Head {
    header: Header,
    records: Vec<(String, Vec<u8>)>,
}

impl Member<'_> {
    /// Appends the member, its data taken from `data`. Says how many attributes cannot be
    /// written.
    pub(super) fn append(
        &self,
        builder: &mut Builder<impl Write>,
        inside: &Inside,
        data: &mut dyn Read,
    ) -> io::Result<u64> {
        let mut head = Head {
            header: Header::new_ustar(),
            records: Vec::new(),
        };
        head.kind(self);
        head.times(self.stat);
        let header = &mut head.header;
        header.set_mode(self.stat.st_mode & 0o7777);
        header.set_uid(inside.id(self.stat.st_uid).into());
        header.set_gid(inside.id(self.stat.st_gid).into());
        let left_out = head.attributes(self.attributes, inside);
        let map = self.map.filter(|map| map.has_holes());
        let text = map.map(Map::text).unwrap_or_default();
        let data_bytes = self.map.map_or(0, Map::data);
        head.header.set_size(text.len() as u64 + data_bytes);
        head.name(self, map.is_some());
        if let Some(map) = map {
            head.holes(map);
        }
        head.header.set_cksum();
        let records = head.records.iter();
        builder.append_pax_extensions(records.map(|(key, value)| (&**key, &**value)))?;
        builder.append(&head.header, text.chain(data))?;
        Ok(left_out)
    }
}

/// Bytes in memory, then those of a file.
trait Before {
    fn chain<'a>(&'a self, data: &'a mut dyn Read) -> impl Read + 'a;
}

impl Before for Vec<u8> {
    fn chain<'a>(&'a self, data: &'a mut dyn Read) -> impl Read + 'a {
        Read::chain(&self[..], data)
    }
}

impl Head {
    fn kind(&mut self, member: &Member<'_>) {
        let kind = match FileType::from_raw_mode(member.stat.st_mode) {
            _ if member.is_hard_link => EntryType::Link,
            FileType::Directory => EntryType::Directory,
            FileType::Symlink => EntryType::Symlink,
            FileType::Fifo => EntryType::Fifo,
            FileType::CharacterDevice => EntryType::Char,
            FileType::BlockDevice => EntryType::Block,
            _ => EntryType::Regular,
        };
        self.header.set_entry_type(kind);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            let device = member.stat.st_rdev;
            // A ustar header has these fields.
            let _ = self.header.set_device_major(major(device));
            let _ = self.header.set_device_minor(minor(device));
        }
    }

    fn times(&mut self, stat: &Stat) {
        let (seconds, nanoseconds) = (stat.st_mtime, stat.st_mtime_nsec);
        self.header.set_mtime(u64::try_from(seconds).unwrap_or(0));
        if nanoseconds != 0 || seconds < 0 {
            self.record(
                "mtime",
                time(seconds, u32::try_from(nanoseconds).unwrap_or_default()).into_bytes(),
            );
        }
    }

    fn name(&mut self, member: &Member<'_>, has_holes: bool) {
        let mut path = member.path.to_vec();
        if path.is_empty() {
            path.extend_from_slice(b"./");
        } else if self.header.entry_type().is_dir() {
            path.push(b'/');
        }
        if has_holes {
            self.record("GNU.sparse.name", path.clone());
            // What readers show that do not know of holes.
            path.splice(..0, *b"GNUSparseFile.0/");
        }
        if path.len() > NAME {
            self.record("path", path.clone());
        }
        fill(&mut self.header.as_old_mut().name, &path);
        if let Some(target) = member.target {
            if target.len() > NAME {
                self.record("linkpath", target.to_vec());
            }
            fill(&mut self.header.as_old_mut().linkname, target);
        }
    }

    fn holes(&mut self, map: &Map) {
        self.record("GNU.sparse.major", b"1".to_vec());
        self.record("GNU.sparse.minor", b"0".to_vec());
        self.record("GNU.sparse.realsize", map.size.to_string().into_bytes());
    }

    fn attributes(&mut self, attributes: &[(Vec<u8>, Vec<u8>)], inside: &Inside) -> u64 {
        let mut left_out = 0;
        for (name, value) in attributes {
            let value = inside.attribute(name, value);
            let record = match &name[..] {
                ACL_ACCESS => text("SCHILY.acl.access", &value),
                ACL_DEFAULT => text("SCHILY.acl.default", &value),
                // The name is the key of a record, which ends with this sign.
                name if name.contains(&b'=') => None,
                name => std::str::from_utf8(name)
                    .ok()
                    .map(|name| (format!("SCHILY.xattr.{name}"), value)),
            };
            match record {
                Some(record) => self.records.push(record),
                None => left_out += 1,
            }
        }
        left_out
    }

    fn record(&mut self, key: &str, value: Vec<u8>) {
        self.records.push((key.to_owned(), value));
    }
}

fn text(key: &str, value: &[u8]) -> Option<(String, Vec<u8>)> {
    Some((key.to_owned(), acl::to_text(value)?.into_bytes()))
}

/// As much as fits; a record has the rest.
fn fill(field: &mut [u8; NAME], bytes: &[u8]) {
    let length = bytes.len().min(NAME);
    field[..length].copy_from_slice(&bytes[..length]);
}

/// Seconds since the epoch with a fraction that is as short as can be. Nanoseconds count
/// forwards, also before the epoch.
fn time(seconds: i64, nanoseconds: u32) -> String {
    if nanoseconds == 0 {
        return seconds.to_string();
    }
    let (sign, seconds, nanoseconds) = if seconds < 0 {
        (
            "-",
            (seconds + 1).unsigned_abs(),
            1_000_000_000 - nanoseconds,
        )
    } else {
        ("", seconds.unsigned_abs(), nanoseconds)
    };
    let fraction = format!("{nanoseconds:09}");
    format!("{sign}{seconds}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_fraction_and_a_sign() {
        assert_eq!(time(1_000_000_000, 123_456_789), "1000000000.123456789");
        assert_eq!(time(7, 500_000_000), "7.5");
        assert_eq!(time(-1, 0), "-1");
        assert_eq!(time(-2, 500_000_000), "-1.5");
        assert_eq!(time(-1, 999_999_999), "-0.000000001");
    }
}
