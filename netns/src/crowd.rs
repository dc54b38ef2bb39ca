//! Futures that run side by side in one task, so many and no more.

use std::future::{Future, pending};
use std::pin::pin;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::yield_now;

/// They end with the value that holds them: nothing is spawned.
#[derive(Debug)]
pub(crate) struct Crowd<F> {
    members: FuturesUnordered<F>,
    limit: usize,
}

impl<F: Future> Crowd<F> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            members: FuturesUnordered::new(),
            limit,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.members.len() >= self.limit
    }

    pub(crate) fn push(&self, member: F) {
        self.members.push(member);
    }

    /// Drives the members until there is room for one more.
    pub(crate) async fn room(&mut self, mut ended: impl FnMut(F::Output)) {
        while self.is_full() {
            ended(self.next().await);
        }
    }

    /// Drives the members until `arrival` is there. They come first, so that no flood of
    /// arrivals keeps them from going on.
    pub(crate) async fn until<T>(
        &mut self,
        arrival: impl Future<Output = T>,
        mut ended: impl FnMut(F::Output),
    ) -> T {
        let mut arrival = pin!(arrival);
        loop {
            match select(pin!(self.next()), arrival.as_mut()).await {
                Either::Left((output, _)) => ended(output),
                Either::Right((arrived, _)) => return arrived,
            }
        }
    }

    /// What the first to end has come to; without members that is never.
    pub(crate) async fn next(&mut self) -> F::Output {
        match self.members.next().await {
            Some(output) => output,
            None => pending().await,
        }
    }
}

/// How many messages of one peer are dealt with at a time.
const AT_A_TIME: u32 = 16;

/// Has the others of the same task have their turn. The runtime's own limit is one for the
/// task as a whole: who comes first and never pauses would use it up each time. What takes
/// turns is therefore run without that.
#[derive(Debug, Default)]
pub(crate) struct Turn(u32);

impl Turn {
    /// To be awaited after each message.
    pub(crate) async fn over(&mut self) {
        self.0 += 1;
        if self.0 == AT_A_TIME {
            self.0 = 0;
            yield_now().await;
        }
    }
}
