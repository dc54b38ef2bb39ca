//! Following the log of a machine's console as it is written.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::dirs::Dirs;
use crate::error::{Context, Result};
use crate::name::MachineName;
use crate::supervise::{before, times_of};
use crate::sys::readiness::watch;

/// How long a log that was put aside may take to have a successor.
const SUCCESSION: Duration = Duration::from_millis(10);

/// At most so much is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// The log, from its begin on.
#[derive(Debug)]
pub struct ConsoleTail {
    path: PathBuf,
    file: File,
    changes: AsyncFd<OwnedFd>,
}

impl ConsoleTail {
    /// The log of a machine whose supervisor runs. To be called from a tokio runtime.
    ///
    /// # Errors
    /// If there is none, or it cannot be watched.
    pub fn open(dirs: &Dirs, name: &MachineName) -> Result<Self> {
        let path = dirs.console_log(name);
        let what = || format!("follow {}", path.display());
        let (file, changes) = begin(&path).cannot(what)?;
        Ok(Self {
            path,
            file,
            changes,
        })
    }

    /// Waits for more, and returns it.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn more(&mut self) -> Result<Vec<u8>> {
        loop {
            let piece = self.rest()?;
            if !piece.is_empty() {
                return Ok(piece);
            }
            if self.was_put_aside() {
                self.go_on_with_successor().await?;
                continue;
            }
            let what = || format!("watch {}", self.path.display());
            let mut guard = self.changes.readable().await.cannot(what)?;
            let taken = guard.try_io(|watcher| discard(watcher.get_ref()));
            if let Ok(failed @ Err(_)) = taken {
                failed.cannot(what)?;
            }
        }
    }

    /// What was written and not returned yet, a piece of it if it is long.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn rest(&mut self) -> Result<Vec<u8>> {
        let mut piece = vec![0; PIECE];
        let length = self.file.read(&mut piece);
        let length = length.cannot(|| format!("read {}", self.path.display()))?;
        piece.truncate(length);
        Ok(piece)
    }

    fn was_put_aside(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let identity = |data: io::Result<std::fs::Metadata>| data.map(|d| (d.dev(), d.ino())).ok();
        let now = identity(std::fs::metadata(&self.path));
        now != identity(self.file.metadata())
    }

    async fn go_on_with_successor(&mut self) -> Result<()> {
        match begin(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tokio::time::sleep(SUCCESSION).await;
                Ok(())
            }
            begun => {
                let what = || format!("follow {}", self.path.display());
                (self.file, self.changes) = begun.cannot(what)?;
                Ok(())
            }
        }
    }
}

fn begin(path: &PathBuf) -> io::Result<(File, AsyncFd<OwnedFd>)> {
    let watcher = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let wanted = WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
    inotify::add_watch(&watcher, path, wanted)?;
    let file = File::open(path)?;
    Ok((file, watch(watcher, Interest::READABLE)?))
}

/// What happened is seen by looking at the file.
fn discard(watcher: &OwnedFd) -> io::Result<()> {
    let mut events = [0; 4096];
    rustix::io::read(watcher.as_fd(), &mut events)?;
    Ok(())
}

/// Removes the logs of a machine that nobody will ask for any more.
///
/// # Errors
/// If one cannot be removed. That there is none is no failure.
pub fn forget_console(dirs: &Dirs, name: &MachineName) -> Result<()> {
    let log = dirs.console_log(name);
    let older = before(&log);
    for path in [times_of(&older), older, times_of(&log), log] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.cannot(|| format!("remove {}", path.display()))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, rename};

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    }

    #[test]
    fn it_is_followed_past_the_moment_when_it_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs::new(None, Some(dir.path()));
        let name: MachineName = "web".parse().unwrap();
        let log = dirs.console_log(&name);
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        fs::write(&log, "one").unwrap();
        runtime().block_on(async {
            let mut tail = ConsoleTail::open(&dirs, &name).unwrap();
            assert_eq!(tail.more().await.unwrap(), b"one");
            fs::write(&log, "onetwo").unwrap();
            rename(&log, before(&log)).unwrap();
            fs::write(&log, "three").unwrap();
            let mut all = Vec::new();
            while !all.ends_with(b"three") {
                all.extend(tail.more().await.unwrap());
            }
            assert_eq!(all, b"twothree");
        });
        forget_console(&dirs, &name).unwrap();
        assert_eq!(fs::read_dir(log.parent().unwrap()).unwrap().count(), 0);
    }
}
