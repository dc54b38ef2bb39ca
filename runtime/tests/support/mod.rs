//! Archives, sound and hostile, and a place to import them to.

#![allow(dead_code, reason = "each test program uses a part")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use nsrun_runtime::image::Limits;
use nsrun_runtime::image::import::{Progress, Report, Request, Source, import};
use nsrun_runtime::{Dirs, Error, Result};

pub mod tree;
pub mod xz;

/// Size of a tar block.
pub const BLOCK: usize = 512;

/// A member's header and data as they are to be written, sound or not.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: u64,
    pub link: Vec<u8>,
    pub data: Vec<u8>,
    /// Written over the header's fields before the checksum is made.
    pub patches: Vec<(usize, Vec<u8>)>,
}

impl Member {
    pub fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 1,
            link: Vec::new(),
            data: Vec::new(),
            patches: Vec::new(),
        }
    }

    pub fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        let mut member = Self::new(b'0', name);
        member.data = data.as_ref().to_vec();
        member
    }

    pub fn dir(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'5', name).mode(0o755)
    }

    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(b'2', name).link(target).mode(0o777)
    }

    pub fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(b'1', name).link(target)
    }

    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    pub fn link(mut self, target: impl AsRef<[u8]>) -> Self {
        self.link = target.as_ref().to_vec();
        self
    }

    /// Writes `bytes` over the header at `at`.
    pub fn patch(mut self, at: usize, bytes: impl AsRef<[u8]>) -> Self {
        self.patches.push((at, bytes.as_ref().to_vec()));
        self
    }

    fn header(&self) -> [u8; BLOCK] {
        let mut header = [0; BLOCK];
        put(&mut header, 0, &self.name, 100);
        put(&mut header, 100, format!("{:07o}", self.mode).as_bytes(), 7);
        put(&mut header, 108, format!("{:07o}", self.uid).as_bytes(), 7);
        put(&mut header, 116, format!("{:07o}", self.gid).as_bytes(), 7);
        let size = format!("{:011o}", self.data.len());
        put(&mut header, 124, size.as_bytes(), 11);
        put(
            &mut header,
            136,
            format!("{:011o}", self.mtime).as_bytes(),
            11,
        );
        header[156] = self.kind;
        put(&mut header, 157, &self.link, 100);
        put(&mut header, 257, b"ustar\x0000", 8);
        for (at, bytes) in &self.patches {
            header[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        put(&mut header, 148, format!("{sum:06o}\0").as_bytes(), 7);
        header
    }
}

fn put(header: &mut [u8; BLOCK], at: usize, bytes: &[u8], most: usize) {
    let length = bytes.len().min(most);
    header[at..at + length].copy_from_slice(&bytes[..length]);
}

/// An archive in the making.
#[derive(Clone, Debug, Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn member(mut self, member: &Member) -> Self {
        self.0.extend_from_slice(&member.header());
        self.0.extend_from_slice(&member.data);
        self.padded()
    }

    pub fn file(self, name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        self.member(&Member::file(name, data))
    }

    pub fn dir(self, name: impl AsRef<[u8]>) -> Self {
        self.member(&Member::dir(name))
    }

    pub fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.member(&Member::symlink(name, target))
    }

    pub fn hard_link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.member(&Member::hard_link(name, target))
    }

    /// An extended header with records for the next member.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let body: Vec<u8> = records.iter().flat_map(|(k, v)| record(k, v)).collect();
        self.extension(b'x', &body)
    }

    /// A header of the given kind with any body.
    pub fn extension(self, kind: u8, body: &[u8]) -> Self {
        let mut member = Member::new(kind, "././@extension");
        member.data = body.to_vec();
        self.member(&member)
    }

    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    fn padded(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// With the end mark.
    pub fn end(self) -> Vec<u8> {
        self.raw([0; 2 * BLOCK]).0
    }
}

/// A record of an extended header.
pub fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let mut length = body.len() + 1;
    while length.to_string().len() + body.len() != length {
        length += 1;
    }
    [length.to_string().as_bytes(), &body].concat()
}

/// Nothing is shown.
pub struct Silent;

impl Progress for Silent {
    fn advanced(&mut self, _read: u64, _total: Option<u64>) {}
}

/// An image root and a state root of one test, and a directory that no archive may touch.
pub struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("victim")).unwrap();
        fs::write(dir.path().join("victim/secret"), "secret").unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn victim(&self) -> PathBuf {
        self.dir.path().join("victim")
    }

    pub fn image_root(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    pub fn dirs(&self) -> Dirs {
        Dirs::new(
            Some(&self.image_root()),
            Some(&self.dir.path().join("state")),
        )
    }

    /// Writes an archive.
    pub fn archive(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("archive");
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(bytes).unwrap();
        path
    }

    /// Imports an archive as the image `web`.
    pub fn import(&self, bytes: &[u8]) -> Result<Report> {
        self.import_within(bytes, Limits::default())
    }

    pub fn import_within(&self, bytes: &[u8], limits: Limits) -> Result<Report> {
        let source = Source::Archive(self.archive(bytes));
        self.import_source(source, limits)
    }

    pub fn import_source(&self, source: Source, limits: Limits) -> Result<Report> {
        let request = Request {
            source,
            name: "web".parse().unwrap(),
            limits,
            sync: false,
        };
        import(&self.dirs(), &request, &mut Silent)
    }

    pub fn image(&self) -> PathBuf {
        self.image_root().join("web")
    }

    /// Names in the image root.
    pub fn left(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.image_root()) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Fails if anything outside the image root was touched.
    pub fn assert_untouched(&self) {
        use std::os::unix::fs::MetadataExt;
        let names: Vec<_> = fs::read_dir(self.victim()).unwrap().collect();
        assert_eq!(names.len(), 1);
        let secret = self.victim().join("secret");
        assert_eq!(fs::read(&secret).unwrap(), b"secret");
        assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
        let mode = fs::metadata(self.victim()).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o755);
    }

    /// The error that importing gives, which must leave nothing behind.
    pub fn refused(&self, bytes: &[u8]) -> Error {
        self.refused_within(bytes, Limits::default())
    }

    pub fn refused_within(&self, bytes: &[u8], limits: Limits) -> Error {
        let error = self.import_within(bytes, limits).unwrap_err();
        assert_eq!(self.left(), Vec::<String>::new(), "after: {error}");
        self.assert_untouched();
        error
    }
}

/// An access control list in the kernel's form: tags, permissions, ids.
pub fn acl(entries: &[(u16, u16, Option<u32>)]) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.unwrap_or(u32::MAX).to_le_bytes());
    }
    value
}
