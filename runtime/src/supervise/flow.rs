//! One direction of the console: a fixed buffer between a reader and a writer.

use std::time::{Duration, Instant};

/// What happens to bytes for which the writer has had no room for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stalled {
    /// The sender is held back until there is room, as a pipe would do. Nothing is lost.
    HoldBack,
    /// The sender is held back for that long, then what it sends is thrown away until there is
    /// room again. A terminal that stands still must not stop the machine: its PID 1 writes
    /// to the console.
    DropAfter(Duration),
}

/// Bytes on their way, never more than the capacity given at first.
#[derive(Debug)]
pub(crate) struct Flow {
    bytes: Vec<u8>,
    start: usize,
    stalled: Stalled,
    blocked: Option<Instant>,
    lost: u64,
}

impl Flow {
    pub(crate) fn new(capacity: usize, stalled: Stalled) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            start: 0,
            stalled,
            blocked: None,
            lost: 0,
        }
    }

    /// What is to be written next.
    pub(crate) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Whether another `length` bytes fit.
    pub(crate) fn fits(&self, length: usize) -> bool {
        self.pending().len() + length <= self.bytes.capacity()
    }

    /// Whether bytes that do not fit are to be read all the same, and lost.
    pub(crate) fn overdue(&self, now: Instant) -> bool {
        self.gives_up_at().is_some_and(|at| now >= at)
    }

    /// When the writer will have been blocked for too long.
    pub(crate) fn gives_up_at(&self) -> Option<Instant> {
        match self.stalled {
            Stalled::HoldBack => None,
            Stalled::DropAfter(patience) => self.blocked.map(|since| since + patience),
        }
    }

    /// Takes `chunk` as a whole, or loses it as a whole, so that no sequence is torn.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        if !self.fits(chunk.len()) {
            self.lost += chunk.len() as u64;
            return;
        }
        if self.bytes.len() + chunk.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(chunk);
    }

    /// The writer took the first `count` pending bytes.
    pub(crate) fn written(&mut self, count: usize) {
        self.start += count;
        if count > 0 {
            self.blocked = None;
        }
        if self.pending().is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// The writer had no room.
    pub(crate) fn blocked(&mut self, now: Instant) {
        self.blocked.get_or_insert(now);
    }

    /// From now on nobody is held back any longer than `patience`.
    pub(crate) fn hurry(&mut self, patience: Duration) {
        self.stalled = match self.stalled {
            Stalled::DropAfter(before) => Stalled::DropAfter(before.min(patience)),
            Stalled::HoldBack => Stalled::DropAfter(patience),
        };
    }

    /// How many bytes were lost since the last call, once the writer has caught up.
    pub(crate) fn take_lost(&mut self) -> Option<u64> {
        (self.lost > 0 && self.pending().is_empty()).then(|| std::mem::take(&mut self.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn flow() -> Flow {
        Flow::new(8, Stalled::DropAfter(SECOND))
    }

    #[test]
    fn keeps_order_across_the_end_of_the_buffer() {
        let mut flow = flow();
        flow.push(b"abcdef");
        flow.written(4);
        flow.push(b"ghij");
        assert_eq!(flow.pending(), b"efghij");
    }

    #[test]
    fn takes_or_loses_a_chunk_as_a_whole() {
        let mut flow = flow();
        flow.push(b"abcdef");
        flow.push(b"xyz");
        assert_eq!(flow.pending(), b"abcdef");
        assert_eq!(flow.take_lost(), None, "the writer has not caught up");
        flow.written(6);
        assert_eq!(flow.take_lost(), Some(3));
        assert_eq!(flow.take_lost(), None);
    }

    #[test]
    fn is_overdue_after_the_patience_without_progress() {
        let (mut flow, t0) = (flow(), Instant::now());
        flow.push(b"abc");
        flow.blocked(t0);
        flow.blocked(t0 + SECOND / 2);
        assert!(!flow.overdue(t0 + SECOND / 2));
        assert!(flow.overdue(t0 + SECOND));
        flow.written(1);
        assert!(!flow.overdue(t0 + SECOND * 9));
    }

    #[test]
    fn holding_back_never_is_overdue_until_hurried() {
        let (mut flow, t0) = (Flow::new(8, Stalled::HoldBack), Instant::now());
        flow.blocked(t0);
        assert!(!flow.overdue(t0 + SECOND * 3600));
        flow.hurry(Duration::ZERO);
        assert!(flow.overdue(t0));
    }

    proptest! {
        #[test]
        fn never_grows_and_never_reorders(steps in prop::collection::vec((0_usize..12, 0_usize..12), 0..100)) {
            let mut flow = flow();
            let capacity = flow.bytes.capacity();
            let (mut next, mut expected) = (0_u8, Vec::new());
            for (push, take) in steps {
                let chunk: Vec<u8> = (0..push).map(|_| { next = next.wrapping_add(1); next }).collect();
                if flow.fits(push) {
                    expected.extend_from_slice(&chunk);
                }
                flow.push(&chunk);
                prop_assert_eq!(flow.pending(), &expected[..]);
                let take = take.min(expected.len());
                flow.written(take);
                expected.drain(..take);
                prop_assert_eq!(flow.bytes.capacity(), capacity);
            }
        }
    }
}
