//! The socket on which the payload notifies, read no faster than is good for the host.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::notify::{self, Field};
use crate::sys::{credentials, readiness};

/// Longer datagrams are ignored, as by systemd (PIPE_BUF).
const LONGEST: usize = 4096;
/// How many datagrams are read in a row: a boot sends fewer.
const BURST: u32 = 256;
/// How often one more may come after that. A payload that sends faster is held back by the full queue.
const EVERY: Duration = Duration::from_millis(50);
/// The kernel queues fewer for one socket (net.unix.max_dgram_qlen).
const QUEUED: u32 = 1024;

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Inbox {
    socket: AsyncFd<OwnedFd>,
    leader: i32,
    allowance: Allowance,
    buffer: Box<[u8; LONGEST]>,
}

impl Inbox {
    /// Reads from `socket` what the process `leader` sends.
    pub(crate) fn new(socket: OwnedFd, leader: i32, now: Instant) -> io::Result<Self> {
        rustix::net::sockopt::set_socket_passcred(&socket, true)?;
        Ok(Self {
            socket: readiness::watch(socket, Interest::READABLE)?,
            leader,
            allowance: Allowance::new(now),
            buffer: Box::new([0; LONGEST]),
        })
    }

    /// The next notification of the leader. What others send is thrown away.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Vec<Field>> {
        while self.allowance.may(now) {
            // Only a runtime that shuts down fails here.
            let Ok(mut guard) = ready!(self.socket.poll_read_ready(cx)) else {
                return Poll::Pending;
            };
            let Ok(received) =
                guard.try_io(|socket| credentials::receive(socket.as_fd(), &mut self.buffer[..]))
            else {
                continue;
            };
            self.allowance.take(now);
            let fields = self.accept(&received);
            if !fields.is_empty() {
                return Poll::Ready(fields);
            }
        }
        Poll::Pending
    }

    /// When there is allowance again for what waits in the queue.
    pub(crate) fn resumes_at(&self) -> Option<Instant> {
        self.allowance.resumes_at()
    }

    /// Everything the leader had sent before it ended, to be read before it is reaped.
    pub(crate) fn last(&mut self) -> Vec<Field> {
        let mut all = Vec::new();
        for _ in 0..QUEUED {
            let received =
                credentials::receive(self.socket.get_ref().as_fd(), &mut self.buffer[..]);
            if received.is_err() {
                break;
            }
            all.extend(self.accept(&received));
        }
        all
    }

    fn accept(&self, received: &io::Result<credentials::Received>) -> Vec<Field> {
        let Ok(received) = received else {
            return Vec::new();
        };
        if received.cut || received.pid != Some(self.leader) {
            return Vec::new();
        }
        notify::parse(self.buffer.get(..received.length).unwrap_or_default())
    }
}

/// A bucket of tokens, one per datagram.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// Up to when tokens have been refilled.
    counted: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            counted: now,
        }
    }

    fn may(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted);
        let earned = u32::try_from(passed.as_millis() / EVERY.as_millis()).unwrap_or(u32::MAX);
        if earned >= BURST - self.left {
            self.left = BURST;
            self.counted = now;
        } else {
            self.left += earned;
            self.counted += EVERY * earned;
        }
        self.left > 0
    }

    fn take(&mut self, now: Instant) {
        if self.left == BURST {
            self.counted = now;
        }
        self.left = self.left.saturating_sub(1);
    }

    fn resumes_at(&self) -> Option<Instant> {
        (self.left == 0).then(|| self.counted + EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_passes_then_one_per_interval() {
        let t0 = Instant::now();
        let mut allowance = Allowance::new(t0);
        for _ in 0..BURST {
            assert!(allowance.may(t0));
            allowance.take(t0);
        }
        assert!(!allowance.may(t0));
        assert_eq!(allowance.resumes_at(), Some(t0 + EVERY));
        assert!(allowance.may(t0 + EVERY));
        allowance.take(t0 + EVERY);
        assert!(!allowance.may(t0 + EVERY));
    }

    #[test]
    fn a_long_silence_earns_no_more_than_a_burst() {
        let t0 = Instant::now();
        let mut allowance = Allowance::new(t0);
        allowance.take(t0);
        assert!(allowance.may(t0 + Duration::from_secs(1 << 40)));
        assert_eq!(allowance.left, BURST);
    }

    proptest! {
        #[test]
        fn the_rate_is_bounded(steps in prop::collection::vec(0_u64..200, 1..400)) {
            let t0 = Instant::now();
            let (mut allowance, mut now, mut taken) = (Allowance::new(t0), t0, 0_u128);
            for step in steps {
                now += Duration::from_millis(step);
                for _ in 0..10 {
                    if allowance.may(now) {
                        allowance.take(now);
                        taken += 1;
                    }
                }
            }
            let bound = u128::from(BURST) + (now - t0).as_millis() / EVERY.as_millis() + 1;
            prop_assert!(taken <= bound);
        }
    }
}
