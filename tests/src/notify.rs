//! The receiving end of the service notification protocol, see sd_notify(3).

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::must::Must;

/// A socket for `NOTIFY_SOCKET`, and what came in so far.
#[derive(Debug)]
pub struct Notify {
    socket: UnixDatagram,
    path: PathBuf,
    lines: Vec<String>,
}

impl Notify {
    /// Binds a socket at `path`.
    ///
    /// # Panics
    /// When it cannot be bound.
    #[track_caller]
    #[must_use]
    pub fn bind(path: &Path) -> Self {
        Self {
            socket: UnixDatagram::bind(path).must("bind a notification socket"),
            path: path.to_owned(),
            lines: Vec::new(),
        }
    }

    /// The value for `NOTIFY_SOCKET`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines received so far, such as `READY=1`.
    #[must_use]
    pub fn lines(&mut self) -> &[String] {
        while self.receive(Duration::from_millis(1)) {}
        &self.lines
    }

    /// Waits until a line equals `wanted` or begins with it, if it ends with `=`. False at
    /// the deadline, or as soon as `given_up` says that it will not come.
    pub fn wait_for(
        &mut self,
        wanted: &str,
        deadline: Duration,
        mut given_up: impl FnMut() -> bool,
    ) -> bool {
        let end = Instant::now() + deadline;
        let fits =
            |line: &String| line == wanted || (wanted.ends_with('=') && line.starts_with(wanted));
        loop {
            if self.lines.iter().any(fits) {
                return true;
            }
            let over = given_up() || Instant::now() >= end;
            if !self.receive(Duration::from_millis(20)) && over {
                return false;
            }
        }
    }

    /// Takes one datagram, if one comes in time.
    #[track_caller]
    fn receive(&mut self, time: Duration) -> bool {
        self.socket
            .set_read_timeout(Some(time))
            .must("set the notification socket's time-out");
        let mut buffer = [0; 64 * 1024];
        match self.socket.recv(&mut buffer) {
            Ok(count) => {
                let text = String::from_utf8_lossy(&buffer[..count]);
                self.lines.extend(text.lines().map(str::to_owned));
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                false
            }
            Err(error) => panic!("cannot receive a notification: {error}"),
        }
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::patience;

    #[test]
    fn waits_for_a_line_of_any_datagram() {
        let dir = tempfile::tempdir().unwrap();
        let mut notify = Notify::bind(&dir.path().join("socket"));
        let sender = UnixDatagram::unbound().unwrap();
        for text in ["STATUS=up\nX=1", "READY=1"] {
            sender.send_to(text.as_bytes(), notify.path()).unwrap();
        }
        assert!(notify.wait_for("READY=1", patience(5), || false));
        assert!(notify.wait_for("STATUS=", patience(5), || false));
        assert!(!notify.wait_for("READY", Duration::ZERO, || false));
        assert!(!notify.wait_for("ERRNO=", patience(60), || true));
    }
}
