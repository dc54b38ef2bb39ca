//! Namespaces of a test's own, and futures that run beside it.

use std::fs::File;
use std::future::Future;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::pin::pin;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::future::select;
use nix::sched::{CloneFlags, setns, unshare};
use nsrun_netns::{Net, Place};

/// How long anything may take before it counts as never.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A network namespace that lives as long as this value, with its loopback up.
pub struct Namespace(OwnedFd);

impl Namespace {
    pub fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            File::open("/proc/thread-self/ns/net").unwrap().into()
        });
        let made = Self(made.join().unwrap());
        Net::new().unwrap().loopback_up(made.0.as_fd()).unwrap();
        made
    }

    #[allow(dead_code, reason = "not every suite needs a further address")]
    pub fn add_address(&self, address: &str) {
        let net = Net::new().unwrap();
        net.add_loopback_address(self.0.as_fd(), address.parse().unwrap())
            .unwrap();
    }

    /// Where `ip` finds it.
    #[allow(dead_code, reason = "not every suite links two")]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    pub fn place(&self) -> Place {
        Place::inside(self.0.try_clone().unwrap())
    }

    /// Runs `f` inside.
    pub fn with<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            f()
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap())
    }

    /// Drives what `make` makes, inside, until the returned value is dropped.
    pub fn drive<F: Future>(&self, make: impl FnOnce() -> F + Send + 'static) -> Driven {
        let namespace = self.0.try_clone().unwrap();
        let (stop, stopped) = UnixDatagram::pair().unwrap();
        let thread = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                stopped.set_nonblocking(true).unwrap();
                let stopped = tokio::net::UnixDatagram::from_std(stopped).unwrap();
                select(pin!(make()), pin!(stopped.recv(&mut [0]))).await;
            });
        });
        Driven {
            stop,
            thread: Some(thread),
        }
    }
}

/// A future that runs in a thread of its own.
pub struct Driven {
    stop: UnixDatagram,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        // If it has ended by itself, nobody hears it.
        let _ = self.stop.send(&[0]);
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
        }
    }
}

#[allow(dead_code, reason = "not every suite has to wait")]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A UDP socket of this namespace that does not wait forever.
pub fn datagrams(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}
