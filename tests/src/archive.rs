//! Tar archives of any kind, well-formed or not, made byte by byte.

/// What an entry is, by the letter of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    File = b'0' as isize,
    HardLink = b'1' as isize,
    Symlink = b'2' as isize,
    CharDevice = b'3' as isize,
    BlockDevice = b'4' as isize,
    Directory = b'5' as isize,
    Fifo = b'6' as isize,
    Extended = b'x' as isize,
    Unknown = b'Z' as isize,
}

/// The fields of one header.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    kind: Kind,
    name: &'a str,
    target: &'a str,
    mode: u32,
    owner: u32,
    size: Option<u64>,
    device: (u32, u32),
    data: &'a [u8],
}

impl<'a> Entry<'a> {
    /// An entry of root's, with the mode that its kind usually has.
    #[must_use]
    pub fn new(kind: Kind, name: &'a str) -> Self {
        let mode = if kind == Kind::Directory {
            0o755
        } else {
            0o644
        };
        Self {
            kind,
            name,
            target: "",
            mode,
            owner: 0,
            size: None,
            device: (0, 0),
            data: b"",
        }
    }

    /// A regular file.
    #[must_use]
    pub fn file(name: &'a str, data: &'a [u8]) -> Self {
        Self {
            data,
            ..Self::new(Kind::File, name)
        }
    }

    /// Where a link leads.
    #[must_use]
    pub fn target(self, target: &'a str) -> Self {
        Self { target, ..self }
    }

    /// Permissions.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// Owner and group.
    #[must_use]
    pub fn owner(self, owner: u32) -> Self {
        Self { owner, ..self }
    }

    /// A size that may not be the data's.
    #[must_use]
    pub fn size(self, size: u64) -> Self {
        Self {
            size: Some(size),
            ..self
        }
    }

    /// Numbers of a device node.
    #[must_use]
    pub fn device(self, major: u32, minor: u32) -> Self {
        Self {
            device: (major, minor),
            ..self
        }
    }

    fn header(&self) -> [u8; 512] {
        let mut block = [0; 512];
        let size = self.size.unwrap_or(self.data.len() as u64);
        put(&mut block, 0, self.name.as_bytes());
        put(&mut block, 100, format!("{:07o}", self.mode).as_bytes());
        put(&mut block, 108, format!("{:07o}", self.owner).as_bytes());
        put(&mut block, 116, format!("{:07o}", self.owner).as_bytes());
        put(&mut block, 124, format!("{size:011o}").as_bytes());
        put(&mut block, 136, b"00000000001");
        put(&mut block, 148, b"        ");
        block[156] = self.kind as u8;
        put(&mut block, 157, self.target.as_bytes());
        put(&mut block, 257, b"ustar\x0000");
        put(&mut block, 329, format!("{:07o}", self.device.0).as_bytes());
        put(&mut block, 337, format!("{:07o}", self.device.1).as_bytes());
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

fn put(block: &mut [u8; 512], at: usize, field: &[u8]) {
    block[at..at + field.len()].copy_from_slice(field);
}

/// An archive that grows entry by entry.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    /// An archive without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that holds what every image has, so that only what is added can be wrong.
    #[must_use]
    pub fn image() -> Self {
        Self::new()
            .with(&Entry::new(Kind::Directory, "etc/"))
            .with(&Entry::file("etc/os-release", b"ID=test\n"))
            .with(&Entry::new(Kind::Directory, "sbin/"))
            .with(&Entry::file("sbin/init", b"#!/bin/sh\n").mode(0o755))
    }

    /// Appends an entry.
    #[must_use]
    pub fn with(mut self, entry: &Entry<'_>) -> Self {
        self.bytes.extend_from_slice(&entry.header());
        self.bytes.extend_from_slice(entry.data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// Appends a directory.
    #[must_use]
    pub fn directory(self, name: &str) -> Self {
        self.with(&Entry::new(Kind::Directory, name))
    }

    /// Appends a file.
    #[must_use]
    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.with(&Entry::file(name, data))
    }

    /// Appends a symbolic link.
    #[must_use]
    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.with(&Entry::new(Kind::Symlink, name).target(target))
    }

    /// Appends a hard link.
    #[must_use]
    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.with(&Entry::new(Kind::HardLink, name).target(target))
    }

    /// Appends records for the next entry, in the pax format.
    #[must_use]
    pub fn records(self, records: &[(&str, &str)]) -> Self {
        let text: String = records
            .iter()
            .map(|(key, value)| record(key, value))
            .collect();
        self.with(&Entry {
            data: text.as_bytes(),
            ..Entry::new(Kind::Extended, "records")
        })
    }

    /// Appends anything.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The archive with its end mark.
    #[must_use]
    pub fn end(self) -> Vec<u8> {
        self.raw(&[0; 1024]).bytes
    }

    /// The archive as it is.
    #[must_use]
    pub fn cut(self) -> Vec<u8> {
        self.bytes
    }
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_reader_understands_it() {
        let bytes = Archive::image()
            .symlink("link", "etc")
            .records(&[("path", &"long".repeat(100))])
            .file("short", b"data")
            .end();
        let mut archive = tar::Archive::new(&bytes[..]);
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().into_owned())
            .collect();
        assert_eq!(names.len(), 6);
        assert_eq!(names[4].to_str(), Some("link"));
        assert_eq!(names[5].to_str().map(str::len), Some(400));
    }

    #[test]
    fn the_length_of_a_record_counts_itself() {
        assert_eq!(record("a", "b"), "6 a=b\n");
        assert_eq!(record("path", &"x".repeat(90)).len(), 99);
        assert_eq!(record("path", &"x".repeat(91)).len(), 101);
    }
}
