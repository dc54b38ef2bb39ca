//! The records of pax extended headers.

use super::entry::Time;
use super::{damaged, number};
use crate::error::Result;

/// Largest body of an extended header: 1 MiB.
pub(super) const MAX_BODY: u64 = 1 << 20;

/// What extended headers say about a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Time>,
    pub(super) atime: Option<Time>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) acl_access: Option<Vec<u8>>,
    pub(super) acl_default: Option<Vec<u8>>,
    pub(super) sparse: SparseRecords,
}

/// The `GNU.sparse.*` records of the three pax sparse formats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SparseRecords {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    /// The full size: `GNU.sparse.size` (0.0, 0.1) or `GNU.sparse.realsize` (1.0).
    pub(super) size: Option<u64>,
    pub(super) blocks: Option<u64>,
    /// Offsets and lengths by turns, from `GNU.sparse.map` or its 0.0 predecessors.
    pub(super) map: Vec<u64>,
}

impl Records {
    /// Reads the body of a header about one member.
    pub(super) fn parse(body: &[u8]) -> Result<Self> {
        let mut records = Self::default();
        let mut seen: Vec<&[u8]> = Vec::new();
        for record in split(body)? {
            let (key, value) = record;
            let repeats = matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes");
            if !repeats && seen.contains(&key) {
                return Err(bad_record(key, "is given twice"));
            }
            seen.push(key);
            records.set(key, value)?;
        }
        Ok(records)
    }

    /// Reads the body of a header about all members that follow. It may set owners and
    /// times; what names or measures one member is refused.
    pub(super) fn parse_global(body: &[u8]) -> Result<Self> {
        let records = Self::parse(body)?;
        let kept = Self {
            uid: records.uid,
            gid: records.gid,
            mtime: records.mtime,
            atime: records.atime,
            ..Self::default()
        };
        if kept == records {
            Ok(kept)
        } else {
            Err(damaged(
                "a global extended header sets what differs from member to member",
            ))
        }
    }

    /// These records where they speak, `defaults` where they are silent.
    pub(super) fn or(mut self, defaults: &Self) -> Self {
        self.uid = self.uid.or(defaults.uid);
        self.gid = self.gid.or(defaults.gid);
        self.mtime = self.mtime.or(defaults.mtime);
        self.atime = self.atime.or(defaults.atime);
        self
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        // POSIX: an empty value takes back what an earlier header said.
        if value.is_empty() && !key.starts_with(b"SCHILY.xattr.") {
            return Ok(());
        }
        match key {
            b"path" => self.path = Some(without_nul(key, value)?),
            b"linkpath" => self.link = Some(without_nul(key, value)?),
            b"size" => self.size = Some(unsigned(key, value)?),
            b"uid" => self.uid = Some(unsigned(key, value)?),
            b"gid" => self.gid = Some(unsigned(key, value)?),
            b"mtime" => self.mtime = Some(time(key, value)?),
            b"atime" => self.atime = Some(time(key, value)?),
            b"SCHILY.acl.access" => self.acl_access = Some(value.to_vec()),
            b"SCHILY.acl.default" => self.acl_default = Some(value.to_vec()),
            b"SCHILY.realsize" => return Err(bad_record(key, "is not supported")),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((without_nul(key, name)?, value.to_vec()));
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.set(key, value)?;
                }
            }
        }
        Ok(())
    }
}

impl SparseRecords {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"major" => self.major = Some(unsigned(key, value)?),
            b"minor" => self.minor = Some(unsigned(key, value)?),
            b"name" => self.name = Some(without_nul(key, value)?),
            b"size" | b"realsize" => self.size = Some(unsigned(key, value)?),
            b"numblocks" => self.blocks = Some(unsigned(key, value)?),
            // The two keys of format 0.0 come by turns.
            b"offset" | b"numbytes" if (key == b"offset") == self.map.len().is_multiple_of(2) => {
                self.map.push(unsigned(key, value)?);
            }
            b"map" => {
                for part in value.split(|&b| b == b',') {
                    self.map.push(unsigned(key, part)?);
                }
            }
            _ => return Err(bad_record(key, "is not supported")),
        }
        Ok(())
    }
}

/// Splits a body into `LENGTH KEY=VALUE\n` records; the length counts all of it.
fn split(mut body: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let (record, rest) =
            first(body).ok_or_else(|| damaged("an extended header's records are malformed"))?;
        records.push(record);
        body = rest;
    }
    Ok(records)
}

/// A key and its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

fn first(body: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let space = body.iter().take(20).position(|&b| b == b' ')?;
    let length = usize::try_from(number::decimal(&body[..space])?).ok()?;
    let record = body.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    if equals == 0 {
        return None;
    }
    Some(((&record[..equals], &record[equals + 1..]), &body[length..]))
}

fn without_nul(key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
    if value.contains(&0) {
        return Err(bad_record(key, "holds a NUL byte"));
    }
    Ok(value.to_vec())
}

fn unsigned(key: &[u8], value: &[u8]) -> Result<u64> {
    number::decimal(value).ok_or_else(|| bad_record(key, "is not a number"))
}

fn time(key: &[u8], value: &[u8]) -> Result<Time> {
    parse_time(value).ok_or_else(|| bad_record(key, "is not a time"))
}

/// `[-]SECONDS[.FRACTION]`; digits beyond nanoseconds are cut off.
fn parse_time(value: &[u8]) -> Option<Time> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |&b| b == b'.');
    let seconds = i64::try_from(number::decimal(parts.next()?)?).ok()?;
    let nanoseconds = match parts.next() {
        None | Some(b"") => 0,
        Some(digits) => fraction(digits)?,
    };
    Some(match (negative, nanoseconds) {
        (false, _) => Time {
            seconds,
            nanoseconds,
        },
        (true, 0) => Time {
            seconds: -seconds,
            nanoseconds,
        },
        (true, _) => Time {
            seconds: -seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

fn fraction(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0'));
    Some(
        padded
            .take(9)
            .fold(0, |value, digit| value * 10 + u32::from(digit - b'0')),
    )
}

fn bad_record(key: &[u8], what: &str) -> crate::Error {
    damaged(format!("its record '{}' {what}", key.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let mut length = body.len() + 1;
        while length.to_string().len() + body.len() != length {
            length += 1;
        }
        [length.to_string().as_bytes(), &body].concat()
    }

    #[test]
    fn reads_names_sizes_and_attributes() {
        let body = [
            record("path", b"a=b\nc"),
            record("size", b"8589934592"),
            record("mtime", b"1.5"),
            record("SCHILY.xattr.user.x", b"\0\xff"),
            record("comment", b"whatever"),
        ]
        .concat();
        let records = Records::parse(&body).unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a=b\nc"[..]));
        assert_eq!(records.size, Some(1 << 33));
        assert_eq!(
            records.mtime,
            Some(Time {
                seconds: 1,
                nanoseconds: 500_000_000
            })
        );
        assert_eq!(records.xattrs, [(b"user.x".to_vec(), b"\0\xff".to_vec())]);
    }

    #[test]
    fn counts_fractions_before_the_epoch_forwards() {
        let quarter_before = Time {
            seconds: -1,
            nanoseconds: 750_000_000,
        };
        assert_eq!(parse_time(b"-0.25"), Some(quarter_before));
        assert_eq!(
            parse_time(b"-3"),
            Some(Time {
                seconds: -3,
                nanoseconds: 0
            })
        );
        assert_eq!(
            parse_time(b"0.1234567899"),
            Some(Time {
                seconds: 0,
                nanoseconds: 123_456_789
            })
        );
        for bad in [
            &b""[..],
            b"-",
            b"1.x",
            b"+1",
            b"99999999999999999999",
            b"1 ",
        ] {
            assert_eq!(parse_time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn refuses_malformed_records() {
        for body in [
            &b"5 a=b"[..],
            b"7 a=bc",
            b"999 a=b\n",
            b"6 a=b\n\0\0",
            b"4 =\n",
            b"5 ab\n",
            b"x a=b\n",
            b"0 a=b\n",
            b"3 a=b\n",
            b"18446744073709551616 a=b\n",
            b"-6 a=b\n",
        ] {
            assert!(Records::parse(body).is_err(), "{body:?}");
        }
        assert!(Records::parse(b"6 a=b\n").is_ok());
    }

    #[test]
    fn refuses_a_key_that_is_given_twice() {
        let twice = [record("path", b"a"), record("path", b"b")].concat();
        let error = Records::parse(&twice).unwrap_err();
        assert_eq!(error.to_string(), "its record 'path' is given twice");
    }

    #[test]
    fn refuses_nul_in_names() {
        assert!(Records::parse(&record("path", b"a\0b")).is_err());
        assert!(Records::parse(&record("linkpath", b"a\0")).is_err());
    }

    #[test]
    fn a_global_header_may_not_name_or_measure() {
        for key in [
            "path",
            "linkpath",
            "size",
            "GNU.sparse.size",
            "SCHILY.xattr.user.a",
        ] {
            assert!(Records::parse_global(&record(key, b"1")).is_err(), "{key}");
        }
        let records = Records::parse_global(&record("uid", b"5")).unwrap();
        assert_eq!(Records::default().or(&records).uid, Some(5));
        assert!(Records::parse_global(&record("comment", b"c0ffee")).is_ok());
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Records::parse(&body);
        }

        #[test]
        fn records_round_trip(values in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..300), 0..8)) {
            let named: Vec<_> = values.iter().enumerate()
                .map(|(i, value)| (format!("user.k{i}").into_bytes(), value.clone())).collect();
            let body: Vec<u8> = values.iter().enumerate()
                .flat_map(|(i, value)| record(&format!("SCHILY.xattr.user.k{i}"), value)).collect();
            prop_assert_eq!(Records::parse(&body).unwrap().xattrs, named);
        }
    }
}
