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
        assert_eq!(ladder.seen(Reception::Handled, t0), Rung::Ask(HALT));
        assert_eq!(ladder.wake_at(), None);
    }

    #[test]
    fn the_second_request_kills() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        ladder.seen(Reception::Handled, t0);
        let second = ladder.request(HALT, Repeat::Kills, t0 + ms(1));
        assert_eq!(second, Rung::Kill(Reason::Repeated));
    }

    #[test]
    fn a_second_request_kills_while_the_first_is_held() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        ladder.seen(Reception::Lost, t0);
        let second = ladder.request(HALT, Repeat::Kills, t0 + ms(1));
        assert_eq!(second, Rung::Kill(Reason::Repeated));
    }

    #[test]
    fn a_request_is_held_until_it_would_be_taken() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        for n in 0..10 {
            assert_eq!(ladder.seen(Reception::Lost, t0 + ms(20 * n)), Rung::Wait);
            let wake = ladder.wake_at().unwrap();
            assert_eq!(wake, t0 + ms(20 * (n + 1)));
            assert_eq!(ladder.tick(wake), Rung::Look(HALT));
        }
        assert_eq!(
            ladder.seen(Reception::Handled, t0 + ms(200)),
            Rung::Ask(HALT)
        );
    }

    #[test]
    fn a_request_nobody_would_take_is_answered_by_kill_after_half_a_second() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        assert_eq!(ladder.seen(Reception::Lost, t0 + ms(499)), Rung::Wait);
        assert_eq!(ladder.wake_at(), Some(t0 + ms(500)));
        let last = ladder.seen(Reception::Lost, t0 + ms(500));
        assert_eq!(last, Rung::Kill(Reason::WouldBeLost));
    }

    #[test]
    fn a_second_hangup_changes_nothing() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(HALT, Repeat::SameAgain, t0);
        ladder.seen(Reception::Handled, t0);
        assert_eq!(ladder.request(HALT, Repeat::SameAgain, t0), Rung::Wait);
    }

    #[test]
    fn forwarded_signals_are_each_sent() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        for signal in [Signal::INT, Signal::INT, Signal::TERM] {
            let look = ladder.request(signal, Repeat::SentToo, t0);
            assert_eq!(look, Rung::Look(signal));
            assert_eq!(ladder.seen(Reception::Handled, t0), Rung::Ask(signal));
        }
    }

    #[test]
    fn resending_does_not_prolong_the_hold() {
        let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
        ladder.request(Signal::INT, Repeat::SentToo, t0);
        ladder.request(Signal::TERM, Repeat::SentToo, t0 + ms(400));
        let last = ladder.seen(Reception::Lost, t0 + ms(500));
        assert_eq!(last, Rung::Kill(Reason::WouldBeLost));
    }

    #[test]
    fn patience_ends_in_a_kill() {
        let (mut ladder, t0) = (StopLadder::new(Some(ms(900))), Instant::now());
        ladder.request(HALT, Repeat::Kills, t0);
        ladder.seen(Reception::Handled, t0);
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
        assert_eq!(ladder.seen(Reception::Handled, t0), Rung::Wait);
        let again = ladder.request(HALT, Repeat::SameAgain, t0);
        assert_eq!(again, Rung::Kill(Reason::Repeated));
    }

    /// Asks a PID 1 that blocks the signal.
    fn sent(t0: Instant) -> StopLadder {
        let mut ladder = StopLadder::new(Some(ms(10_000)));
        ladder.request(HALT, Repeat::Kills, t0);
        assert_eq!(ladder.seen(Reception::Busy, t0), Rung::Ask(HALT));
        ladder
    }

    #[test]
    fn who_waits_again_with_nothing_pending_has_taken_it() {
        let t0 = Instant::now();
        let mut ladder = sent(t0);
        for reception in [
            Reception::Pending,
            Reception::Busy,
            Reception::Awaited,
            Reception::Awaited,
        ] {
            let now = ladder.wake_at().unwrap();
            assert_eq!(ladder.tick(now), Rung::Look(HALT), "{reception:?}");
            assert_eq!(ladder.seen(reception, now), Rung::Wait);
        }
        assert_eq!(
            ladder.wake_at(),
            Some(t0 + ms(10_000)),
            "only patience is left"
        );
    }

    #[test]
    fn who_blocked_it_for_a_moment_has_lost_it() {
        let t0 = Instant::now();
        let mut ladder = sent(t0);
        assert_eq!(ladder.seen(Reception::Lost, t0 + ms(20)), Rung::Wait);
        let second = ladder.seen(Reception::Handled, t0 + ms(40));
        assert_eq!(second, Rung::Ask(HALT));
    }

    #[test]
    fn who_only_now_handles_it_is_sent_it_again() {
        let t0 = Instant::now();
        let mut ladder = sent(t0);
        assert_eq!(ladder.seen(Reception::Pending, t0 + ms(7)), Rung::Wait);
        let again = ladder.seen(Reception::Handled, t0 + ms(14));
        assert_eq!(again, Rung::Ask(HALT));
        assert_eq!(ladder.wake_at(), Some(t0 + ms(10_000)));
    }

    #[test]
    fn a_loss_does_not_prolong_the_hold() {
        let t0 = Instant::now();
        let mut ladder = sent(t0);
        ladder.seen(Reception::Lost, t0 + ms(510));
        assert_eq!(ladder.tick(t0 + ms(510)), Rung::Look(HALT));
        let last = ladder.seen(Reception::Lost, t0 + ms(510));
        assert_eq!(last, Rung::Kill(Reason::WouldBeLost));
    }

    #[test]
    fn a_signal_that_stays_pending_ends_in_patience() {
        let t0 = Instant::now();
        let mut ladder = sent(t0);
        while ladder.tick(ladder.wake_at().unwrap()) == Rung::Look(HALT) {
            let now = ladder.wake_at().unwrap();
            assert!(now < t0 + ms(10_000));
            ladder.seen(Reception::Pending, now);
        }
        assert!(matches!(ladder.state, State::Killed));
    }

    fn any_reception() -> impl Strategy<Value = Reception> {
        prop::sample::select(vec![
            Reception::Lost,
            Reception::Busy,
            Reception::Awaited,
            Reception::Pending,
            Reception::Handled,
        ])
    }

    proptest! {
        /// Whatever PID 1 does, a request is answered within the hold by a signal or a kill; and if
        /// that signal is lost, by a kill.
        #[test]
        fn every_request_is_answered(answers in prop::collection::vec(any_reception(), 200)) {
            let (mut ladder, t0) = (StopLadder::new(None), Instant::now());
            ladder.request(HALT, Repeat::Kills, t0);
            let (mut now, mut answered, mut lost) = (t0, false, false);
            for reception in answers {
                let rung = ladder.seen(reception, now);
                if !answered && matches!(rung, Rung::Ask(_) | Rung::Kill(_)) {
                    prop_assert!(now <= t0 + HOLD);
                    answered = true;
                }
                lost = matches!(ladder.state, State::Held { .. });
                match ladder.wake_at() {
                    Some(at) => now = at.max(now),
                    None => return Ok(()),
                }
            }
            prop_assert!(answered && !lost);
        }
    }
}
