use super::*;
use proptest::prelude::*;

fn boot() -> Policy {
    Policy::new(Config::boot(), true)
}

fn run() -> Policy {
    Policy::new(Config::run(), false)
}

fn tells(effects: &[Effect], key: &str) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::Tell(lines) => lines.iter().any(|(k, _)| *k == key),
        _ => false,
    })
}

/// Handles an event and answers looks until there are none: the signal has a handler, or is lost.
fn settle(policy: &mut Policy, event: Event, handled: bool) -> Vec<Effect> {
    let reception = if handled {
        Reception::Handled
    } else {
        Reception::Lost
    };
    let now = Instant::now();
    let mut effects = policy.handle(event, now);
    while let Some(at) = effects.iter().position(|e| matches!(e, Effect::Look(_))) {
        effects.remove(at);
        effects.extend(policy.handle(Event::Seen(reception), now));
    }
    effects
}

#[test]
fn a_stop_asks_pid_1_and_kills_who_joined() {
    let mut policy = boot();
    let effects = settle(&mut policy, Event::Signal(Signal::TERM), true);
    assert!(effects.contains(&Effect::Send(Signal::HALT)));
    assert!(effects.contains(&Effect::KillEntered));
    assert!(effects.contains(&Effect::Hurry));
    assert!(tells(&effects, "STOPPING"));
    assert_eq!(policy.status().phase, Phase::Stopping);
    assert_eq!(policy.outcome(End::PoweredOff).cause, Cause::Asked);
}

#[test]
fn a_stop_that_would_be_lost_sends_nothing_yet() {
    let mut policy = boot();
    let effects = settle(&mut policy, Event::Signal(Signal::TERM), false);
    assert_eq!(effects, []);
    assert!(policy.wake_at().is_some());
}

#[test]
fn any_second_request_but_a_hangup_kills() {
    for second in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut policy = boot();
        settle(&mut policy, Event::Signal(Signal::HUP), true);
        let effects = settle(&mut policy, Event::Signal(second), true);
        assert!(effects.contains(&Effect::KillAll), "{second}");
        let outcome = policy.outcome(End::Killed(Signal::KILL));
        assert_eq!(outcome.cause, Cause::AskedAgain);
    }
    let mut policy = boot();
    settle(&mut policy, Event::Signal(Signal::HUP), true);
    let again = settle(&mut policy, Event::Signal(Signal::HUP), true);
    assert_eq!(again, []);
}

#[test]
fn leaving_the_console_kills() {
    let mut policy = boot();
    let effects = settle(&mut policy, Event::Key(HotKey::Leave), true);
    assert!(effects.contains(&Effect::KillAll));
    assert_eq!(policy.outcome(End::Killed(Signal::KILL)).cause, Cause::Left);
}

#[test]
fn the_reboot_key_does_not_count_as_a_request_to_stop() {
    let mut policy = boot();
    let effects = settle(&mut policy, Event::Key(HotKey::Reboot), true);
    assert_eq!(effects, [Effect::Offer(Signal::REBOOT)]);
    assert!(policy.outcome(End::Rebooted).wants_reboot());
}

#[test]
fn a_reboot_after_a_request_to_stop_is_an_end() {
    let mut policy = boot();
    settle(&mut policy, Event::Signal(Signal::TERM), true);
    assert!(!policy.outcome(End::Rebooted).wants_reboot());
}

#[test]
fn signals_to_a_booted_machine_are_not_its_signals() {
    let usr1 = Signal::new(libc::SIGUSR1).unwrap();
    assert_eq!(settle(&mut boot(), Event::Signal(usr1), true), []);
}

#[test]
fn signals_to_a_command_are_its_own() {
    let mut policy = run();
    let usr1 = Signal::new(libc::SIGUSR1).unwrap();
    for signal in [
        Signal::INT,
        Signal::INT,
        Signal::TERM,
        Signal::HUP,
        usr1,
        Signal::WINCH,
    ] {
        let effects = settle(&mut policy, Event::Signal(signal), true);
        assert_eq!(effects, [Effect::Send(signal)]);
    }
    assert_eq!(policy.outcome(End::Exited(0)).cause, Cause::Payload);
}

#[test]
fn a_new_window_size_goes_to_the_console() {
    let effects = settle(&mut boot(), Event::Signal(Signal::WINCH), true);
    assert_eq!(effects, [Effect::Resize]);
}

#[test]
fn ready_is_told_once_and_when_it_was_asked_for() {
    let ready = || Event::Notice(vec![Field::Ready]);
    let mut at_start = run();
    let started = settle(&mut at_start, Event::Started { leader: 7 }, true);
    assert!(tells(&started, "READY") && tells(&started, "X_NSRUN_LEADER_PID"));
    assert!(!tells(&settle(&mut at_start, ready(), true), "READY"));
    assert_eq!(at_start.status().phase, Phase::Running);

    let mut announced = boot();
    let started = settle(&mut announced, Event::Started { leader: 7 }, true);
    assert!(!tells(&started, "READY"));
    assert!(tells(&settle(&mut announced, ready(), true), "READY"));
    assert!(!tells(&settle(&mut announced, ready(), true), "READY"));
}

#[test]
fn the_manager_hears_of_an_end_but_not_of_a_reboot() {
    for (kind, told) in [
        (Shutdown::Poweroff, true),
        (Shutdown::Exit, true),
        (Shutdown::Reboot, false),
        (Shutdown::Kexec, false),
        (Shutdown::SoftReboot, false),
    ] {
        let fields = vec![Field::Stopping, Field::Shutdown(kind)];
        let effects = settle(&mut boot(), Event::Notice(fields), true);
        assert_eq!(tells(&effects, "STOPPING"), told, "{kind:?}");
        assert!(effects.contains(&Effect::KillEntered));
    }
}

#[test]
fn a_machine_runs_again_after_a_soft_reboot() {
    let mut policy = boot();
    let fields = vec![Field::Stopping, Field::Shutdown(Shutdown::SoftReboot)];
    settle(&mut policy, Event::Notice(fields), true);
    assert_eq!(policy.status().phase, Phase::Stopping);
    settle(&mut policy, Event::Notice(vec![Field::Ready]), true);
    assert_eq!(policy.status().phase, Phase::Running);
    assert_eq!(policy.outcome(End::PoweredOff).shutdown, None);
}

#[test]
fn ready_does_not_undo_a_request_to_stop() {
    let mut policy = boot();
    settle(&mut policy, Event::Signal(Signal::TERM), true);
    settle(&mut policy, Event::Notice(vec![Field::Ready]), true);
    assert_eq!(policy.status().phase, Phase::Stopping);
}

#[test]
fn only_news_are_recorded() {
    let mut policy = boot();
    let status = || Event::Notice(vec![Field::Status("up".to_owned())]);
    assert!(settle(&mut policy, status(), true).contains(&Effect::Record));
    assert!(!settle(&mut policy, status(), true).contains(&Effect::Record));
}

#[test]
fn an_announced_exit_status_is_kept() {
    let mut policy = boot();
    settle(&mut policy, Event::Notice(vec![Field::ExitStatus(3)]), true);
    assert_eq!(policy.outcome(End::PoweredOff).exit_status(), 3);
}

#[test]
fn at_the_end_nothing_is_left_alive() {
    let mut policy = boot();
    let effects = settle(&mut policy, Event::Ended(End::Exited(1)), true);
    assert!(effects.contains(&Effect::KillAll) && tells(&effects, "STOPPING"));
    let rebooted = settle(&mut boot(), Event::Ended(End::Rebooted), true);
    assert!(!tells(&rebooted, "STOPPING"));
    assert_eq!(policy.outcome(End::Exited(1)).cause, Cause::Payload);
}

proptest! {
    /// After two requests that count, in whatever company, the machine has been killed.
    #[test]
    fn two_requests_always_end_a_booted_machine(
        noise in prop::collection::vec(0_usize..5, 0..20),
        handled in any::<bool>(),
    ) {
        let mut policy = boot();
        let mut killed = false;
        let other = |n: usize| match n {
            0 => Event::Signal(Signal::HUP),
            1 => Event::Signal(Signal::WINCH),
            2 => Event::Notice(vec![Field::Ready]),
            3 => Event::Notice(vec![Field::Stopping]),
            _ => Event::Tick,
        };
        let events = noise.into_iter().map(other);
        let stops = [Event::Signal(Signal::TERM), Event::Signal(Signal::INT)];
        for event in events.chain(stops) {
            killed |= settle(&mut policy, event, handled).contains(&Effect::KillAll);
        }
        prop_assert!(killed);
    }
}
