//! Whether, and when, a machine that has ended is started again.

use std::fmt;
use std::time::Duration;

use crate::supervise::Outcome;

/// The wait before the first restart in a row; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// A machine that ran for that long has not failed at its start: the next wait is short again.
const SETTLED: Duration = Duration::from_secs(10);

/// When a machine is started again that nobody has asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Only when it reboots.
    #[default]
    No,
    /// If its exit status is not 0.
    OnFailure,
    /// However it ends.
    Always,
}

impl Restart {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::No, Self::OnFailure, Self::Always];

    /// The word that names it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
        }
    }

    fn wanted(self, outcome: &Outcome) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure => outcome.exit_status() != 0,
            Self::Always => true,
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The waits of one machine.
#[derive(Debug)]
pub(super) struct Waits {
    policy: Restart,
    next: Duration,
}

impl Waits {
    pub(super) fn new(policy: Restart) -> Self {
        Self {
            policy,
            next: FIRST,
        }
    }

    /// How long to wait before the machine is started again that ended so after it `ran` that long;
    /// `None` if it is not.
    pub(super) fn after(&mut self, outcome: &Outcome, ran: Duration) -> Option<Duration> {
        if outcome.wants_reboot() {
            return Some(Duration::ZERO);
        }
        if !self.policy.wanted(outcome) {
            return None;
        }
        if ran >= SETTLED {
            self.next = FIRST;
        }
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::{Cause, End};

    fn ended(end: End) -> Outcome {
        Outcome {
            end,
            cause: Cause::Payload,
            announced: None,
            shutdown: None,
        }
    }

    #[test]
    fn the_policy_decides_and_a_reboot_is_no_failure() {
        let table = [
            (Restart::No, [false, false]),
            (Restart::OnFailure, [false, true]),
            (Restart::Always, [true, true]),
        ];
        for (policy, wanted) in table {
            let again = [End::PoweredOff, End::Exited(1)].map(|end| {
                let wait = Waits::new(policy).after(&ended(end), Duration::ZERO);
                wait.is_some()
            });
            assert_eq!(again, wanted, "{policy}");
            let reboot = Waits::new(policy).after(&ended(End::Rebooted), Duration::ZERO);
            assert_eq!(reboot, Some(Duration::ZERO));
        }
    }

    #[test]
    fn waits_grow_until_a_run_lasts() {
        let mut waits = Waits::new(Restart::Always);
        let failure = ended(End::Exited(1));
        let mut after = |ran| waits.after(&failure, ran).unwrap();
        assert_eq!(after(Duration::ZERO), FIRST);
        assert_eq!(after(Duration::ZERO), FIRST * 2);
        for _ in 0..20 {
            assert!(after(Duration::ZERO) <= LONGEST);
        }
        assert_eq!(after(Duration::ZERO), LONGEST);
        assert_eq!(after(SETTLED), FIRST);
    }
}
