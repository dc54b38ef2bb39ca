//! The last of what a machine wrote to its console, on disk.

use std::fs::{DirBuilder, File, rename};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// The log and the one before it together have up to twice that.
const LIMIT: u64 = 1 << 20;

/// A file that is put aside when it is full.
#[derive(Debug)]
pub(crate) struct ConsoleLog {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl ConsoleLog {
    /// Begins a new log at `path`; the one of the run before stays beside it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if let Some(directory) = path.parent() {
            let mut builder = DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(directory);
            made.cannot(|| format!("create {}", directory.display()))?;
        }
        let mut log = Self {
            path: path.to_owned(),
            file: None,
            length: 0,
        };
        log.begin()
            .cannot(|| format!("create {}", path.display()))?;
        Ok(log)
    }

    /// Adds `bytes`. A full disk must not stop a machine: what does not fit is lost.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or_default();
        if self.length + length > LIMIT && self.begin().is_err() {
            return;
        }
        self.length += length;
        if let Some(file) = &mut self.file {
            let _ = file.write_all(bytes);
        }
    }

    /// The file that is being written, if there is one.
    pub(crate) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    fn begin(&mut self) -> std::io::Result<()> {
        match rename(&self.path, before(&self.path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = File::options();
        options.append(true).create_new(true).mode(0o600);
        self.file = Some(options.open(&self.path)?);
        self.length = 0;
        Ok(())
    }
}

/// Where the log before the one at `path` is.
pub(crate) fn before(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_log_that_is_full_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/web.log");
        let mut log = ConsoleLog::open(&path).unwrap();
        log.write(b"first\n");
        assert_eq!(fs::read(&path).unwrap(), b"first\n");
        for _ in 0..3 {
            log.write(&vec![b'x'; 600 * 1024]);
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), 600 * 1024);
        assert_eq!(fs::metadata(before(&path)).unwrap().len(), 600 * 1024);
    }

    #[test]
    fn the_log_of_the_run_before_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.log");
        ConsoleLog::open(&path).unwrap().write(b"one");
        ConsoleLog::open(&path).unwrap().write(b"two");
        assert_eq!(fs::read(before(&path)).unwrap(), b"one");
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
