//! The service manager that started nsrun, told by sd_notify(3) how the machine fares.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

/// When a message is tried again for which the manager's queue had no room.
const RETRY: Duration = Duration::from_millis(100);

/// Messages upwards. Without `$NOTIFY_SOCKET` it does nothing.
#[derive(Debug, Default)]
pub struct Manager {
    line: Option<Line>,
    /// What has not been sent: one value per key, the newest.
    unsent: Vec<(&'static str, String)>,
    retry_at: Option<Instant>,
    watchdog: Option<Watchdog>,
}

#[derive(Debug)]
struct Line {
    socket: OwnedFd,
    /// `None` if the socket is connected.
    address: Option<SocketAddrUnix>,
}

#[derive(Debug)]
struct Watchdog {
    every: Duration,
    next: Instant,
}

impl Manager {
    /// The manager that the environment names: `$NOTIFY_SOCKET`, `$WATCHDOG_USEC` and `$WATCHDOG_PID`.
    ///
    /// A socket that nsrun cannot use is ignored, as sd_notify(3) advises: the service works without.
    #[must_use]
    pub fn from_environment() -> Self {
        let number = |key| std::env::var(key).ok()?.parse::<u64>().ok();
        let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let timeout = number("WATCHDOG_USEC").filter(|usec| for_us && *usec > 0);
        let socket = std::env::var_os("NOTIFY_SOCKET");
        Self::new(socket.as_deref(), timeout.map(Duration::from_micros))
    }

    /// A manager at the other end of `socket`.
    #[must_use]
    pub fn over(socket: OwnedFd) -> Self {
        Self {
            line: Some(Line {
                socket,
                address: None,
            }),
            ..Self::default()
        }
    }

    /// A manager at `socket`, a path or an abstract name after `@`, that wants to hear within `watchdog`.
    fn new(socket: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let line = socket.and_then(|name| Line::to(name.as_bytes()).ok());
        let watchdog = watchdog.filter(|_| line.is_some());
        Self {
            line,
            watchdog: watchdog.map(|timeout| Watchdog {
                every: timeout / 2,
                next: Instant::now(),
            }),
            ..Self::default()
        }
    }

    /// Sends `key=value`, at once if the manager has room.
    pub(crate) fn tell(&mut self, messages: &[(&'static str, String)], now: Instant) {
        for (key, value) in messages {
            self.unsent.retain(|(old, _)| old != key);
            self.unsent.push((key, value.clone()));
        }
        self.flush(now);
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        if let Some(watchdog) = self.watchdog.as_mut().filter(|w| now >= w.next) {
            watchdog.next = now + watchdog.every;
            self.tell(&[("WATCHDOG", "1".to_owned())], now);
        } else if self.retry_at.is_some_and(|at| now >= at) {
            self.flush(now);
        }
    }

    /// When [`Manager::tick`] has something to do.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let watchdog = self.watchdog.as_ref().map(|w| w.next);
        self.retry_at.into_iter().chain(watchdog).min()
    }

    fn flush(&mut self, now: Instant) {
        let Some(line) = self.line.as_ref().filter(|_| !self.unsent.is_empty()) else {
            self.unsent.clear();
            return;
        };
        let lines = self
            .unsent
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let message = lines.collect::<Vec<_>>().join("\n");
        self.retry_at = match line.send(message.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(now + RETRY),
            // Sent, or nobody is there any more.
            _ => {
                self.unsent.clear();
                None
            }
        };
    }
}

impl Line {
    fn to(name: &[u8]) -> io::Result<Self> {
        let address = match name {
            [b'@', rest @ ..] => SocketAddrUnix::new_abstract_name(rest)?,
            [b'/', ..] => SocketAddrUnix::new(name)?,
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        Ok(Self {
            socket,
            address: Some(address),
        })
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = match &self.address {
            Some(address) => rustix::net::sendto(&self.socket, message, flags, address),
            None => rustix::net::send(&self.socket, message, flags),
        };
        Ok(sent?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvFlags, bind, recv};

    fn listener(address: &SocketAddrUnix) -> OwnedFd {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        bind(&socket, address).unwrap();
        socket
    }

    fn heard(socket: &OwnedFd) -> Option<String> {
        let mut buffer = [0; 4096];
        let (_, length) = recv(socket, &mut buffer[..], RecvFlags::empty()).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    fn ready() -> [(&'static str, String); 1] {
        [("READY", "1".to_owned())]
    }

    #[test]
    fn speaks_to_a_path_and_to_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("nsrun-test-{}", std::process::id());
        let at_path = listener(&SocketAddrUnix::new(path.as_os_str().as_bytes()).unwrap());
        let at_name = listener(&SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap());

        let abstract_name = format!("@{name}");
        for (socket, place) in [
            (at_path, path.as_os_str()),
            (at_name, abstract_name.as_ref()),
        ] {
            let mut manager = Manager::new(Some(place), None);
            manager.tell(&ready(), Instant::now());
            assert_eq!(heard(&socket).as_deref(), Some("READY=1"));
        }
    }

    #[test]
    fn keeps_what_a_full_queue_refused_and_only_the_newest_of_each() {
        let name = format!("nsrun-test-full-{}", std::process::id());
        let socket = listener(&SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap());
        let place = format!("@{name}");
        let mut manager = Manager::new(Some(place.as_ref()), None);
        let now = Instant::now();
        let mut sent = 0;
        while manager.wake_at().is_none() {
            manager.tell(&[("STATUS", sent.to_string())], now);
            sent += 1;
        }
        manager.tell(&ready(), now);
        manager.tell(&[("STATUS", "last".to_owned())], now);
        while heard(&socket).is_some() {}

        manager.tick(now);
        assert_eq!(heard(&socket), None, "not before its time");
        manager.tick(now + RETRY);
        assert_eq!(heard(&socket).as_deref(), Some("READY=1\nSTATUS=last"));
        assert_eq!(manager.wake_at(), None);
    }

    #[test]
    fn feeds_the_watchdog_twice_per_timeout() {
        let name = format!("nsrun-test-dog-{}", std::process::id());
        let socket = listener(&SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap());
        let place = format!("@{name}");
        let mut manager = Manager::new(Some(place.as_ref()), Some(Duration::from_secs(10)));
        let now = manager.wake_at().unwrap();
        manager.tick(now);
        assert_eq!(heard(&socket).as_deref(), Some("WATCHDOG=1"));
        assert_eq!(manager.wake_at(), Some(now + Duration::from_secs(5)));
    }

    #[test]
    fn without_a_manager_nothing_is_kept() {
        for place in [None, Some("relative"), Some("vsock:2:1234"), Some("")] {
            let mut manager = Manager::new(place.map(OsStr::new), Some(RETRY));
            manager.tell(&ready(), Instant::now());
            assert!(manager.unsent.is_empty() && manager.wake_at().is_none());
        }
    }

    #[test]
    fn a_manager_that_has_gone_is_forgotten() {
        let mut manager = Manager::new(Some("@nsrun-test-nobody".as_ref()), None);
        manager.tell(&ready(), Instant::now());
        assert_eq!((manager.unsent.len(), manager.wake_at()), (0, None));
    }
}
