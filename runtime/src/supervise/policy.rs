//! What follows from an event: the supervisor without its input and output.

use std::time::{Duration, Instant};

use super::flow::Stalled;
use super::keys::HotKey;
use super::notify::{Field, Shutdown};
use super::outcome::{Cause, End, Outcome};
use super::reception::Reception;
use super::signal::Signal;
use super::stop::{Reason, Repeat, Rung, StopLadder};

/// What SIGTERM, SIGINT, SIGHUP and SIGQUIT to nsrun mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBy {
    /// A request to stop: the payload gets this signal. A further request kills the machine, except
    /// that a repeated SIGHUP is none: the kernel and the shell each send one as a terminal closes.
    Signal(Signal),
    /// The payload gets the same signal, as often as it comes; others pass on as well.
    Forward,
    /// The same, but a signal that asks to end is replaced by this one.
    ForwardAs(Signal),
}

/// When the service manager is told that the machine is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyWhen {
    /// As soon as the payload runs.
    Started,
    /// When the payload's PID 1 says so itself.
    Announced,
}

/// How to supervise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How the payload is asked to stop.
    pub stop: StopBy,
    /// How long it may then take before it is killed; `None`: as long as it likes.
    pub patience: Option<Duration>,
    /// When `READY=1` goes to the service manager.
    pub ready: ReadyWhen,
    /// What happens to console output that nobody takes.
    pub stalled: Stalled,
    /// The payload is PID 1 of a PID namespace of its own, so that it can power off and reboot.
    pub namespaced: bool,
}

impl Config {
    /// For a payload that boots an operating system with systemd's container interface.
    #[must_use]
    pub fn boot() -> Self {
        Self {
            stop: StopBy::Signal(Signal::HALT),
            patience: None,
            ready: ReadyWhen::Announced,
            stalled: Stalled::DropAfter(Duration::from_secs(1)),
            namespaced: true,
        }
    }

    /// For one command, whose output is not to be lost.
    #[must_use]
    pub fn run() -> Self {
        Self {
            stop: StopBy::Forward,
            ready: ReadyWhen::Started,
            stalled: Stalled::HoldBack,
            ..Self::boot()
        }
    }
}

/// How far a machine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// PID 1 runs and has not announced that it is ready.
    Starting,
    /// It has.
    Running,
    /// It was asked to stop, or says that it does.
    Stopping,
    /// PID 1 has ended.
    Ended,
}

/// What is known of a running machine, for others to see. All text is printable.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// How far it has come.
    pub phase: Phase,
    /// PID 1's own words.
    pub text: Option<String>,
    /// The host name it gave itself.
    pub hostname: Option<String>,
    /// Its machine ID.
    pub machine_id: Option<String>,
    /// From level 2 on systemd takes all its control signals.
    pub signals_level: Option<u32>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Started {
        leader: i32,
    },
    /// A signal to nsrun.
    Signal(Signal),
    Key(HotKey),
    Notice(Vec<Field>),
    /// The answer to [`Effect::Look`].
    Seen(Reception),
    Tick,
    Ended(End),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// See whether PID 1 would take the signal; answer by [`Event::Seen`].
    Look(Signal),
    /// Send it to PID 1.
    Send(Signal),
    /// Send it if PID 1 takes it.
    Offer(Signal),
    KillAll,
    KillEntered,
    Record,
    Tell(Vec<(&'static str, String)>),
    /// Give the console the terminal's size.
    Resize,
    /// Take the terminal again after a stop by job control.
    Resume,
    /// The console must no longer hold the payload back.
    Hurry,
}

/// Decides. It makes no system calls and is told the time.
#[derive(Debug)]
pub(crate) struct Policy {
    config: Config,
    has_console: bool,
    ladder: StopLadder,
    status: Status,
    cause: Cause,
    announced: Option<u8>,
    shutdown: Option<Shutdown>,
    told_ready: bool,
}

impl Policy {
    pub(crate) fn new(config: Config, has_console: bool) -> Self {
        Self {
            config,
            has_console,
            ladder: StopLadder::new(config.patience),
            status: Status {
                phase: Phase::Starting,
                text: None,
                hostname: None,
                machine_id: None,
                signals_level: None,
            },
            cause: Cause::Payload,
            announced: None,
            shutdown: None,
            told_ready: false,
        }
    }

    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.ladder.wake_at()
    }

    pub(crate) fn outcome(&self, end: End) -> Outcome {
        Outcome {
            end,
            cause: self.cause,
            announced: self.announced,
            shutdown: self.shutdown,
        }
    }

    /// What follows from `event` at `now`.
    pub(crate) fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        match event {
            Event::Started { leader } => self.started(leader),
            Event::Signal(signal) => self.signal(signal, now),
            Event::Key(key) => self.key(key, now),
            Event::Notice(fields) => self.notice(fields),
            Event::Seen(reception) => {
                let rung = self.ladder.seen(reception, now);
                self.climb(rung)
            }
            Event::Tick => {
                let rung = self.ladder.tick(now);
                self.climb(rung)
            }
            Event::Ended(end) => self.ended(end),
        }
    }

    fn started(&mut self, leader: i32) -> Vec<Effect> {
        let mut lines = vec![
            ("X_NSRUN_LEADER_PID", leader.to_string()),
            ("STATUS", "Container started.".to_owned()),
        ];
        if self.config.ready == ReadyWhen::Started {
            lines.extend(self.ready_line());
        }
        vec![Effect::Resize, Effect::Record, Effect::Tell(lines)]
    }

    fn ready_line(&mut self) -> Option<(&'static str, String)> {
        let first = !std::mem::replace(&mut self.told_ready, true);
        first.then(|| ("READY", "1".to_owned()))
    }

    fn signal(&mut self, signal: Signal, now: Instant) -> Vec<Effect> {
        match (signal, self.config.stop) {
            (Signal::WINCH, StopBy::Forward | StopBy::ForwardAs(_)) if !self.has_console => {
                vec![Effect::Send(signal)]
            }
            (Signal::WINCH, _) => vec![Effect::Resize],
            (Signal::CONT, _) => vec![Effect::Resume, Effect::Resize],
            (Signal::HUP, StopBy::Signal(by)) => self.request(by, Repeat::SameAgain, now),
            (signal, StopBy::Signal(by)) if signal.asks_to_end() => {
                self.request(by, Repeat::Kills, now)
            }
            (signal, StopBy::Forward) if signal.asks_to_end() => {
                self.request(signal, Repeat::SentToo, now)
            }
            (signal, StopBy::ForwardAs(by)) if signal.asks_to_end() => {
                self.request(by, Repeat::SentToo, now)
            }
            (signal, StopBy::Forward | StopBy::ForwardAs(_)) => vec![Effect::Send(signal)],
            (_, StopBy::Signal(_)) => Vec::new(),
        }
    }

    fn key(&mut self, key: HotKey, now: Instant) -> Vec<Effect> {
        match key {
            HotKey::Leave => self.kill(Cause::Left),
            HotKey::PowerOff => self.request(Signal::POWER_OFF, Repeat::SentToo, now),
            HotKey::Reboot => vec![Effect::Offer(Signal::REBOOT)],
        }
    }

    fn request(&mut self, signal: Signal, repeat: Repeat, now: Instant) -> Vec<Effect> {
        let rung = self.ladder.request(signal, repeat, now);
        self.climb(rung)
    }

    fn climb(&mut self, rung: Rung) -> Vec<Effect> {
        match rung {
            Rung::Wait => Vec::new(),
            Rung::Look(signal) => vec![Effect::Look(signal)],
            Rung::Ask(signal) if self.ends(signal) => {
                self.cause = Cause::Asked;
                let mut effects = vec![Effect::Send(signal), Effect::Hurry, Effect::KillEntered];
                effects.extend(self.stopping(true));
                effects
            }
            Rung::Ask(signal) => vec![Effect::Send(signal)],
            Rung::Kill(Reason::Repeated) => self.kill(Cause::AskedAgain),
            Rung::Kill(Reason::WouldBeLost) => self.kill(Cause::NotReady),
            Rung::Kill(Reason::TooSlow) => self.kill(Cause::TooSlow),
        }
    }

    /// Whether the payload is expected to end of `signal`. What is merely forwarded need not end it.
    fn ends(&self, signal: Signal) -> bool {
        matches!(self.config.stop, StopBy::Signal(_)) || signal == Signal::POWER_OFF
    }

    fn kill(&mut self, cause: Cause) -> Vec<Effect> {
        self.cause = cause;
        let mut effects = vec![Effect::KillAll, Effect::Hurry];
        effects.extend(self.stopping(true));
        effects
    }

    /// Notes that the machine stops. For good, the manager has to know: until it does, it takes the
    /// end for a failure. It must not for a reboot, as it would end the service.
    fn stopping(&mut self, for_good: bool) -> Vec<Effect> {
        self.status.phase = Phase::Stopping;
        let mut effects = vec![Effect::Record];
        if for_good {
            effects.push(Effect::Tell(vec![("STOPPING", "1".to_owned())]));
        }
        effects
    }

    fn notice(&mut self, fields: Vec<Field>) -> Vec<Effect> {
        let before = self.status.clone();
        let mut effects = Vec::new();
        for field in fields {
            effects.extend(self.field(field));
        }
        if self.status != before && !effects.contains(&Effect::Record) {
            effects.push(Effect::Record);
        }
        effects
    }

    fn field(&mut self, field: Field) -> Vec<Effect> {
        match field {
            Field::Ready => return self.ready(),
            Field::Status(text) => {
                let line = format!("Container running: {text}");
                self.status.text = Some(text);
                return vec![Effect::Tell(vec![("STATUS", line)])];
            }
            Field::ExitStatus(status) => {
                self.announced = Some(status);
                return vec![Effect::Tell(vec![("EXIT_STATUS", status.to_string())])];
            }
            Field::Stopping => return self.announces_end(None),
            Field::Shutdown(kind) => return self.announces_end(Some(kind)),
            Field::SignalsLevel(level) => self.status.signals_level = Some(level),
            Field::Hostname(name) => self.status.hostname = Some(name),
            Field::MachineId(id) => self.status.machine_id = Some(id),
        }
        Vec::new()
    }

    fn ready(&mut self) -> Vec<Effect> {
        // systemd says so again after a soft reboot; not when it is asked to stop before.
        if !self.ladder.asked() {
            self.status.phase = Phase::Running;
            self.shutdown = None;
        }
        let lines = match self.config.ready {
            ReadyWhen::Announced => self.ready_line(),
            ReadyWhen::Started => None,
        };
        lines
            .map(|line| Effect::Tell(vec![line]))
            .into_iter()
            .collect()
    }

    /// PID 1 is about to end the machine. A process that joined from outside would be stopped by its
    /// shutdown like any other and then keep the PID namespace from ending.
    fn announces_end(&mut self, kind: Option<Shutdown>) -> Vec<Effect> {
        self.shutdown = kind.or(self.shutdown);
        let for_good = kind.is_some_and(|kind| !kind.comes_back());
        let mut effects = vec![Effect::KillEntered];
        effects.extend(self.stopping(for_good));
        effects
    }

    fn ended(&mut self, end: End) -> Vec<Effect> {
        self.status.phase = Phase::Ended;
        let outcome = self.outcome(end);
        let lines = if outcome.wants_reboot() {
            vec![("STATUS", "Container reboots.".to_owned())]
        } else {
            vec![
                ("STOPPING", "1".to_owned()),
                ("STATUS", "Container has ended.".to_owned()),
            ]
        };
        // What joined from outside may live on without PID 1.
        vec![Effect::KillAll, Effect::Record, Effect::Tell(lines)]
    }
}

#[cfg(test)]
mod tests;
