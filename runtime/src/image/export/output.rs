//! Where an archive goes: a file that has no name until it is complete.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fsync, linkat, open};
use rustix::io::Errno;

use super::Sink;
use crate::error::{Context, Error, Kind, Result};

/// An archive holds password hashes and keys of the image: it is root's alone.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A file, named or not, or a stream.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Standard output, a pipe or a device.
    Stream,
    /// To be linked to this path.
    Unnamed(PathBuf),
    /// Has this path already, and loses it unless it is kept.
    Named(PathBuf),
    /// Is kept.
    Done,
}

impl Output {
    /// Opens a file that must not exist, an existing pipe or device, or standard output.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            let file = io::stdout().as_fd().try_clone_to_owned();
            return Ok(Self {
                file: file.cannot(|| "open standard output")?.into(),
                place: Place::Stream,
            });
        };
        let what = || format!("make {}", path.display());
        match fs::metadata(path) {
            Ok(found) if found.file_type().is_fifo() || found.file_type().is_char_device() => {
                let file = File::options().write(true).open(path);
                return Ok(Self {
                    file: file.cannot(|| format!("open {}", path.display()))?,
                    place: Place::Stream,
                });
            }
            Ok(_) => return Err(exists(path)),
            Err(_) => {}
        }
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let how = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        match open(dir, how, MODE) {
            Ok(file) => Ok(Self {
                file: file.into(),
                place: Place::Unnamed(path.to_owned()),
            }),
            // File systems and kernels without files that have no name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => Self::named(path).cannot(what),
            Err(error) => Err(error).cannot(what),
        }
    }

    fn named(path: &Path) -> io::Result<Self> {
        let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(Self {
            file: open(path, how, MODE)?.into(),
            place: Place::Named(path.to_owned()),
        })
    }

    /// What writes to it.
    pub(super) fn writer(&self) -> Result<Sink> {
        let file = self.file.try_clone().cannot(|| "write the archive")?;
        Ok(Box::new(file))
    }

    /// Gives the complete file its name, once it is on the disk.
    pub(super) fn publish(mut self) -> Result<()> {
        if let Place::Unnamed(path) | Place::Named(path) = &self.place {
            let what = || format!("write {}", path.display());
            fsync(&self.file).cannot(what)?;
            if matches!(self.place, Place::Unnamed(_)) {
                let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                match linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW) {
                    Err(Errno::EXIST) => return Err(exists(path)),
                    other => other.cannot(what)?,
                }
            }
        }
        self.place = Place::Done;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Place::Named(path) = &self.place {
            // It is incomplete, and nobody else's: it did not exist before.
            let _ = fs::remove_file(path);
        }
    }
}

fn exists(path: &Path) -> Error {
    Error::new(Kind::Busy, format!("{} exists already", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn outputs(path: &Path) -> [Output; 2] {
        [
            Output::open(Some(path)).unwrap(),
            Output::named(&path.with_extension("named")).unwrap(),
        ]
    }

    #[test]
    fn a_file_has_its_name_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        for output in outputs(&path) {
            output.writer().unwrap().write_all(b"x").unwrap();
            output.publish().unwrap();
        }
        for path in [path.clone(), path.with_extension("named")] {
            assert_eq!(fs::read(&path).unwrap(), b"x");
        }
        assert_eq!(Output::open(Some(&path)).unwrap_err().kind(), Kind::Busy);
    }

    #[test]
    fn what_is_not_published_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(outputs(&dir.path().join("a.tar")));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_that_appeared_meanwhile_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let output = Output::open(Some(&path)).unwrap();
        fs::write(&path, "other").unwrap();
        assert_eq!(output.publish().unwrap_err().kind(), Kind::Busy);
        assert_eq!(fs::read(&path).unwrap(), b"other");
    }
}
