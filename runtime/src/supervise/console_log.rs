//! The last of what a machine wrote to its console, on disk, and when it did.

use std::fs::{DirBuilder, File, remove_file, rename};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::console_times::{Writer, times_of};
use crate::error::{Context, Result};
use crate::state::Since;

/// The log and the one before it together have up to twice that.
const LIMIT: u64 = 1 << 20;

/// A file that is put aside when it is full.
#[derive(Debug)]
pub(crate) struct ConsoleLog {
    path: PathBuf,
    file: Option<File>,
    times: Option<Writer>,
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
            times: None,
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
        if let Some(times) = &mut self.times {
            times.note(self.length, Since::now().realtime_us);
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

    /// The times of the older log go first and those of the newer one come last, so that at no
    /// moment a log has another's beside it.
    fn begin(&mut self) -> std::io::Result<()> {
        let older = before(&self.path);
        missing_is_fine(remove_file(times_of(&older)))?;
        missing_is_fine(rename(&self.path, &older))?;
        missing_is_fine(rename(times_of(&self.path), times_of(&older)))?;
        let mut options = File::options();
        options.append(true).create_new(true).mode(0o600);
        self.file = Some(options.open(&self.path)?);
        self.times = options.open(times_of(&self.path)).map(Writer::new).ok();
        self.length = 0;
        Ok(())
    }
}

fn missing_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
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
    fn the_log_of_the_run_before_is_kept_with_its_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.log");
        ConsoleLog::open(&path).unwrap().write(b"one");
        let times = fs::read(times_of(&path)).unwrap();
        assert!(times.starts_with(b"0 "), "{times:?}");
        let mut log = ConsoleLog::open(&path).unwrap();
        assert!(fs::read(times_of(&path)).unwrap().is_empty());
        log.write(b"two");
        assert_eq!(fs::read(before(&path)).unwrap(), b"one");
        assert_eq!(fs::read(times_of(&before(&path))).unwrap(), times);
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
