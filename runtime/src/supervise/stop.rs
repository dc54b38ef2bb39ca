//! The way from "please stop" to a dead machine.

use std::time::{Duration, Instant};

use super::signal::Signal;

/// How often a PID 1 that would lose the signal is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a request waits for a PID 1 that takes the signal: `init` may still be the shell
/// script that starts it.
const HOLD: Duration = Duration::from_millis(500);

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
    Held {
        signal: Signal,
        since: Instant,
        next: Instant,
    },
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
            (State::Held { since, .. }, Repeat::SentToo) => since,
            (State::Asked { .. }, Repeat::SentToo) => now,
        };
        self.state = State::Held {
            signal,
            since,
            next: now + LOOK_AGAIN,
        };
        Rung::Look(signal)
    }

    /// Takes the answer to [`Rung::Look`].
    pub(crate) fn seen(&mut self, takes: bool, now: Instant) -> Rung {
        let State::Held { signal, since, .. } = self.state else {
            return Rung::Wait;
        };
        if takes {
            self.state = State::Asked { since: now };
            return Rung::Ask(signal);
        }
        if now >= since + HOLD {
            return self.kill(Reason::WouldBeLost);
        }
        self.state = State::Held {
            signal,
            since,
            next: (now + LOOK_AGAIN).min(since + HOLD),
        };
        Rung::Wait
    }

    /// Takes the passing of time.
    pub(crate) fn tick(&mut self, now: Instant) -> Rung {
        match self.state {
            State::Held { signal, next, .. } if now >= next => Rung::Look(signal),
            State::Asked { .. } if self.wake_at().is_some_and(|at| now >= at) => {
                self.kill(Reason::TooSlow)
            }
            _ => Rung::Wait,
        }
    }

    /// When [`StopLadder::tick`] has something to do.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        match self.state {
            State::Held { next, .. } => Some(next),
            State::Asked { since } => self.patience.map(|patience| since + patience),
            State::Idle | State::Killed => None,
        }
    }

    fn kill(&mut self, reason: Reason) -> Rung {
        self.state = State::Killed;
        Rung::Kill(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HALT: Signal = Signal::HALT;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_payload_that_takes_the_signal_is_asked_at_once() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        assert_eq!(ladder.request(HALT, Repeat::Kills, t0), Rung::Look(HALT));
        assert_eq!(ladder.seen(true, t0), Rung::Ask(HALT));
        assert_eq!(ladder.wake_at(), None);
    }

    #[test]
    fn the_second_request_kills() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        ladder.seen(true, t0);
        let second = ladder.request(HALT, Repeat::Kills, t0 + ms(1));
        assert_eq!(second, Rung::Kill(Reason::Repeated));
    }

    #[test]
    fn a_second_request_kills_while_the_first_is_held() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        ladder.seen(false, t0);
        let second = ladder.request(HALT, Repeat::Kills, t0 + ms(1));
        assert_eq!(second, Rung::Kill(Reason::Repeated));
    }

    #[test]
    fn a_request_is_held_until_it_would_be_taken() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        for n in 0..10 {
            assert_eq!(ladder.seen(false, t0 + ms(20 * n)), Rung::Wait);
            let wake = ladder.wake_at().unwrap();
            assert_eq!(wake, t0 + ms(20 * (n + 1)));
            assert_eq!(ladder.tick(wake), Rung::Look(HALT));
        }
        assert_eq!(ladder.seen(true, t0 + ms(200)), Rung::Ask(HALT));
    }

    #[test]
    fn a_request_nobody_would_take_is_answered_by_kill_after_half_a_second() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        assert_eq!(ladder.seen(false, t0 + ms(499)), Rung::Wait);
        assert_eq!(ladder.wake_at(), Some(t0 + ms(500)));
        let last = ladder.seen(false, t0 + ms(500));
        assert_eq!(last, Rung::Kill(Reason::WouldBeLost));
    }

    #[test]
    fn a_second_hangup_changes_nothing() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::SameAgain, t0);
        ladder.seen(true, t0);
        assert_eq!(ladder.request(HALT, Repeat::SameAgain, t0), Rung::Wait);
    }

    #[test]
    fn forwarded_signals_are_each_sent() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        for signal in [Signal::INT, Signal::INT, Signal::TERM] {
            let look = ladder.request(signal, Repeat::SentToo, t0);
            assert_eq!(look, Rung::Look(signal));
            assert_eq!(ladder.seen(true, t0), Rung::Ask(signal));
        }
    }

    #[test]
    fn resending_does_not_prolong_the_hold() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(Signal::INT, Repeat::SentToo, t0);
        ladder.request(Signal::TERM, Repeat::SentToo, t0 + ms(400));
        let last = ladder.seen(false, t0 + ms(500));
        assert_eq!(last, Rung::Kill(Reason::WouldBeLost));
    }

    #[test]
    fn patience_ends_in_a_kill() {
        let (mut ladder, t0) = (StopLadder::new(Some(ms(900))), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        ladder.seen(true, t0);
        assert_eq!(ladder.tick(t0 + ms(899)), Rung::Wait);
        assert_eq!(ladder.wake_at(), Some(t0 + ms(900)));
        assert_eq!(ladder.tick(t0 + ms(900)), Rung::Kill(Reason::TooSlow));
    }

    #[test]
    fn after_the_kill_only_requests_matter() {
        let (mut ladder, t0) = (StopLadder::new(Some(ms(1))), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        ladder.request(HALT, Repeat::Kills, t0);
        assert_eq!(ladder.tick(t0 + ms(1000)), Rung::Wait);
        assert_eq!(ladder.seen(true, t0), Rung::Wait);
        let again = ladder.request(HALT, Repeat::SameAgain, t0);
        assert_eq!(again, Rung::Kill(Reason::Repeated));
    }

    proptest! {
        /// Whatever PID 1 does, a request is answered within the hold by a signal or a kill.
        #[test]
        fn every_request_is_answered_in_time(answers in prop::collection::vec(any::<bool>(), 60)) {
            let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
            ladder.request(HALT, Repeat::Kills, t0);
            let mut now = t0;
            for takes in answers {
                match ladder.seen(takes, now) {
                    Rung::Ask(_) | Rung::Kill(_) => {
                        prop_assert!(now <= t0 + HOLD);
                        return Ok(());
                    }
                    _ => now = ladder.wake_at().unwrap(),
                }
            }
            prop_assert!(false, "never answered");
        }
    }
}
