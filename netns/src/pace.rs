//! How many frames from a peer are looked at in a given time.

use std::time::{Duration, Instant};

/// Enough for several clients at once that start, ask and ask again.
const FRAMES: u32 = 32;

/// As long as nobody notices that an answer was late.
const WINDOW: Duration = Duration::from_millis(200);

/// A limit on the work that a peer can cause: so many frames in each window of time. The
/// rest waits in the socket's buffer, which the kernel bounds.
#[derive(Debug)]
pub(crate) struct Pace {
    since: Instant,
    admitted: u32,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: now,
            admitted: 0,
        }
    }

    /// Counts one frame, unless there were too many: then how long to leave it.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            *self = Self::new(now);
        }
        if self.admitted == FRAMES {
            return Err(WINDOW.saturating_sub(elapsed));
        }
        self.admitted += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_is_waited_out() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..FRAMES {
            assert_eq!(pace.admit(start), Ok(()));
        }
        let soon = start + Duration::from_millis(50);
        let wait = pace.admit(soon).unwrap_err();
        assert_eq!(wait, WINDOW - Duration::from_millis(50));
        assert_eq!(pace.admit(soon + wait), Ok(()));
    }

    #[test]
    fn a_quiet_peer_never_waits() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..1000 {
            now += WINDOW / FRAMES;
            assert_eq!(pace.admit(now), Ok(()));
        }
    }
}
