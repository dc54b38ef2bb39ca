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
