//! The way from "please stop" to a dead machine.

use std::time::{Duration, Instant};

use super::reception::Reception;
use super::signal::Signal;

/// How often a PID 1 that would lose the signal is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a request waits for a PID 1 that takes the signal: `init` may still be the shell
/// script that starts it.
const HOLD: Duration = Duration::from_millis(500);

/// When it is seen whether the signal was taken, once sent to a PID 1 that only blocks it.
const TAKEN_BY: Duration = Duration::from_millis(7);
/// How often one is looked at that has not come to take it for a while.
const BUSY: Duration = Duration::from_millis(100);

/// What a further request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It kills: whoever asks twice does not want to wait.
    Kills,
    /// Nothing: it is the same event once more.
    SameAgain,
    /// Its signal is sent, as the first one's was.
    SentToo,
}

/// Why the ladder ends in a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A further request.
    Repeated,
    /// PID 1 did not get ready to take the signal in time.
    WouldBeLost,
    /// The payload took longer than it was given.
    TooSlow,
}

/// What has to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// Nothing for now.
    Wait,
    /// See whether PID 1 takes the signal, and say so to [`StopLadder::seen`].
    Look(Signal),
    /// Send it.
    Ask(Signal),
    /// End every process of the machine.
    Kill(Reason),
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    /// The signal would be lost.
    Held {
        signal: Signal,
        since: Instant,
        next: Instant,
    },
    /// It was sent to a process that blocks it: whether for long or for a moment remains to be seen.
    Sent {
        signal: Signal,
        since: Instant,
        next: Instant,
        /// It was seen to wait, with nothing pending.
        awaited: bool,
    },
    /// It has been taken.
    Asked {
        since: Instant,
    },
    Killed,
}

/// Requests to stop, over time. Pure: told the time, asks for looks.
#[derive(Debug)]
pub(crate) struct StopLadder {
    state: State,
    patience: Option<Duration>,
}

impl StopLadder {
    /// `patience` bounds the time from the signal to the end; `None` leaves it to the payload.
    pub(crate) fn new(patience: Option<Duration>) -> Self {
        Self {
            state: State::Idle,
            patience,
        }
    }

    /// Whether somebody has asked for the end.
    pub(crate) fn asked(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Takes a request to stop by `signal`.
    pub(crate) fn request(&mut self, signal: Signal, repeat: Repeat, now: Instant) -> Rung {
        let since = match (self.state, repeat) {
            (State::Idle, _) => now,
            (_, Repeat::Kills) | (State::Killed, _) => return self.kill(Reason::Repeated),
            (_, Repeat::SameAgain) => return Rung::Wait,
            (State::Held { since, .. } | State::Sent { since, .. }, Repeat::SentToo) => since,
            (State::Asked { .. }, Repeat::SentToo) => now,
        };
        self.hold(signal, since, now);
        Rung::Look(signal)
    }

    /// Takes the answer to [`Rung::Look`].
    pub(crate) fn seen(&mut self, reception: Reception, now: Instant) -> Rung {
        match self.state {
            State::Held { signal, since, .. } => self.seen_held(signal, since, reception, now),
            State::Sent { signal, .. } => self.seen_sent(signal, reception, now),
            State::Idle | State::Asked { .. } | State::Killed => Rung::Wait,
        }
    }

    fn seen_held(
        &mut self,
        signal: Signal,
        since: Instant,
        reception: Reception,
        now: Instant,
    ) -> Rung {
        match reception {
            Reception::Lost if now >= since + HOLD => return self.kill(Reason::WouldBeLost),
            Reception::Lost => {
                self.hold(signal, since, now);
                return Rung::Wait;
            }
            Reception::Handled => self.state = State::Asked { since },
            Reception::Busy | Reception::Pending | Reception::Awaited => {
                self.state = State::Sent {
                    signal,
                    since,
                    next: now + TAKEN_BY,
                    awaited: false,
                };
            }
        }
        Rung::Ask(signal)
    }

    fn seen_sent(&mut self, signal: Signal, reception: Reception, now: Instant) -> Rung {
        let State::Sent {
            since,
            next,
            awaited,
            ..
        } = &mut self.state
        else {
            return Rung::Wait;
        };
        let since = *since;
        match reception {
            // It was unblocked without anybody waiting for it.
            Reception::Lost => self.hold(signal, since, now),
            // Whether that was in time for the handler cannot be seen. Twice is better than never.
            Reception::Handled => {
                self.state = State::Asked { since };
                return Rung::Ask(signal);
            }
            Reception::Pending if now >= since + HOLD => *next = now + BUSY,
            Reception::Pending => *next = now + TAKEN_BY,
            Reception::Busy => *next = now + LOOK_AGAIN,
            // Once might be chance.
            Reception::Awaited if !*awaited => {
                *awaited = true;
                *next = now + TAKEN_BY;
            }
            Reception::Awaited => self.state = State::Asked { since },
        }
        Rung::Wait
    }

    /// Takes the passing of time.
    pub(crate) fn tick(&mut self, now: Instant) -> Rung {
        if self.gives_up_at().is_some_and(|at| now >= at) {
            return self.kill(Reason::TooSlow);
        }
        match self.state {
            State::Held { signal, next, .. } | State::Sent { signal, next, .. } if now >= next => {
                Rung::Look(signal)
            }
            _ => Rung::Wait,
        }
    }

    /// When [`StopLadder::tick`] has something to do.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let look = match self.state {
            State::Held { next, .. } | State::Sent { next, .. } => Some(next),
            State::Idle | State::Asked { .. } | State::Killed => None,
        };
        look.into_iter().chain(self.gives_up_at()).min()
    }

    fn gives_up_at(&self) -> Option<Instant> {
        match self.state {
            State::Sent { since, .. } | State::Asked { since } => {
                self.patience.map(|patience| since + patience)
            }
            State::Idle | State::Held { .. } | State::Killed => None,
        }
    }

    fn hold(&mut self, signal: Signal, since: Instant, now: Instant) {
        self.state = State::Held {
            signal,
            since,
            next: (now + LOOK_AGAIN).min(since + HOLD),
        };
    }

    fn kill(&mut self, reason: Reason) -> Rung {
        self.state = State::Killed;
        Rung::Kill(reason)
    }
}

#[cfg(test)]
mod tests;
