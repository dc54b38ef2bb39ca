//! One machine of a client's: how it is started, and what becomes of it.

use std::cell::Cell;
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;

use nsrun_runtime::attach::Units;
use nsrun_runtime::machine::{ConsoleTail, News, Tied, forget_console};
use nsrun_runtime::{Dirs, MachineName, Result};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::hosts::Hosts;
use super::protocol::{Bytes, Failure};
use super::server::Out;

/// How often it is tried whether a manager answers that says nothing by itself.
const GLANCE: Duration = Duration::from_millis(50);

/// How far a machine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// It does not run.
    Down,
    /// It is being made, or its init has not said anything.
    Starting,
    /// Its service manager works: commands can be run.
    Up,
    /// The system says that it has started.
    Ready,
    /// It is on its way down.
    Stopping,
}

/// A machine's life so far.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Life {
    pub(super) phase: Phase,
    /// How often its init was started.
    pub(super) boots: u32,
    /// How often it was started.
    #[serde(skip)]
    pub(super) starts: u32,
    /// How it ended last.
    pub(super) status: Option<u8>,
    /// What was said when it could not be started.
    #[serde(skip)]
    pub(super) complaints: String,
}

/// A machine, which may run or not.
#[derive(Debug)]
pub(super) struct Machine {
    /// What the client calls it.
    pub(super) name: String,
    /// What it is called on the host.
    pub(super) real: MachineName,
    pub(super) dirs: Dirs,
    words: Vec<OsString>,
    /// More of /etc/hosts, and the boot that has it.
    pub(super) hosts: Mutex<Hosts>,
    life: watch::Sender<Life>,
    supervisor: Cell<Option<u32>>,
}

impl Machine {
    /// A machine that is started by these words.
    pub(super) fn new(
        name: &str,
        real: MachineName,
        dirs: &Dirs,
        words: Vec<OsString>,
        hosts: Hosts,
    ) -> Self {
        let life = Life {
            phase: Phase::Down,
            boots: 0,
            starts: 0,
            status: None,
            complaints: String::new(),
        };
        Self {
            name: name.to_owned(),
            real,
            dirs: dirs.clone(),
            words,
            hosts: Mutex::new(hosts),
            life: watch::channel(life).0,
            supervisor: Cell::new(None),
        }
    }

    pub(super) fn life(&self) -> Life {
        self.life.borrow().clone()
    }

    pub(super) fn supervisor(&self) -> Option<u32> {
        self.supervisor.get()
    }

    /// Starts it, if it does not run; what becomes of it is told.
    pub(super) fn start(self: &Rc<Self>, out: &Rc<Out>) -> Result<()> {
        if self.life().phase != Phase::Down {
            return Ok(());
        }
        let tied = Tied::start(&self.words)?;
        self.supervisor.set(Some(tied.pid()));
        self.turn(out, |life| {
            life.phase = Phase::Starting;
            life.boots = 0;
            life.starts += 1;
            life.status = None;
        });
        let (machine, out) = (Rc::clone(self), Rc::clone(out));
        tokio::task::spawn_local(async move { machine.follow(tied, &out).await });
        Ok(())
    }

    /// Listens to the supervisor until it has ended, and passes the console on.
    async fn follow(self: Rc<Self>, mut tied: Tied, out: &Out) {
        let mut console: Option<ConsoleTail> = None;
        loop {
            let news = tokio::select! {
                biased;
                piece = more(&mut console) => {
                    told(&self.name, piece, out);
                    continue;
                }
                news = tied.next() => news,
            };
            let lines = match news {
                Ok(News::Lines(lines)) => lines,
                Ok(News::Ended { status, complaints }) => {
                    return self.ended(status, complaints, console, out);
                }
                Err(error) => return self.ended(1, error.to_string(), console, out),
            };
            for line in lines {
                self.hear(&line, out);
            }
            if console.is_none() && self.life().boots > 0 {
                console = ConsoleTail::open(&self.dirs, &self.real).ok();
            }
        }
    }

    /// One line of what its supervisor says of it.
    fn hear(&self, line: &str, out: &Out) {
        let phase = self.life().phase;
        match line {
            "READY=1" => self.turn(out, |life| life.phase = Phase::Ready),
            "STOPPING=1" => self.turn(out, |life| life.phase = Phase::Stopping),
            "STATUS=Container reboots." => self.turn(out, |life| life.phase = Phase::Starting),
            _ if line.starts_with("X_NSRUN_LEADER_PID=") => self.turn(out, |life| {
                life.phase = Phase::Starting;
                life.boots += 1;
            }),
            // systemd says something when it begins to start units, and not before.
            _ if line.starts_with("STATUS=Container running: ") && phase == Phase::Starting => {
                self.turn(out, |life| life.phase = Phase::Up);
            }
            _ => {}
        }
    }

    fn ended(&self, status: u8, complaints: String, console: Option<ConsoleTail>, out: &Out) {
        if let Some(mut console) = console {
            while let Ok(piece @ [_, ..]) = console.rest().as_deref() {
                told(&self.name, piece.to_vec(), out);
            }
        }
        self.supervisor.set(None);
        // Nobody will ask for the log of a name that is never used again.
        if let Err(error) = forget_console(&self.dirs, &self.real) {
            out.event(&json!({ "event": "warning", "message": error.to_string() }));
        }
        self.turn(out, |life| {
            life.phase = Phase::Down;
            life.status = Some(status);
            life.complaints = complaints;
        });
    }

    fn turn(&self, out: &Out, change: impl FnOnce(&mut Life)) {
        self.life.send_modify(change);
        out.event(&json!({ "event": "life", "machine": self.name, "life": self.life() }));
    }

    /// Waits until its life is so.
    pub(super) async fn wait(
        &self,
        what: &str,
        patience: Option<Duration>,
        mut is_so: impl FnMut(&Life) -> bool,
    ) -> std::result::Result<Life, Failure> {
        let mut life = self.life.subscribe();
        let comes = life.wait_for(|life| is_so(life) || life.phase == Phase::Down);
        let come = within(patience, comes).await;
        let Some(Ok(life)) = come.map(|come| come.map(|life| life.clone())) else {
            let name = &self.name;
            return Err(Failure::timeout(format!(
                "machine {name} is not {what} in time"
            )));
        };
        if is_so(&life) {
            return Ok(life);
        }
        Err(self.is_down(&life))
    }

    /// Why nothing can be done with a machine that does not run.
    pub(super) fn is_down(&self, life: &Life) -> Failure {
        let name = &self.name;
        let complaints = life.complaints.trim();
        match life.status {
            None => Failure::down(format!("machine {name} does not run")),
            Some(status) if complaints.is_empty() => {
                Failure::down(format!("machine {name} has ended with status {status}"))
            }
            Some(_) => refused(name, complaints),
        }
    }

    /// Waits until commands can be run in it.
    pub(super) async fn wait_up(
        &self,
        patience: Option<Duration>,
    ) -> std::result::Result<Life, Failure> {
        let says = self.wait("up", patience, |life| {
            matches!(life.phase, Phase::Up | Phase::Ready)
        });
        // Older versions of systemd say nothing before they are ready.
        tokio::select! {
            biased;
            life = says => life,
            () = self.answers() => Ok(self.life()),
        }
    }

    /// Waits until its service manager answers.
    async fn answers(&self) {
        loop {
            tokio::time::sleep(GLANCE).await;
            let starting = self.life().phase == Phase::Starting && self.life().boots > 0;
            if starting && let Ok(Some(_)) = Units::connect(&self.dirs, &self.real).await {
                return;
            }
        }
    }
}

/// More of the console; never, if there is none, or it cannot be read.
async fn more(console: &mut Option<ConsoleTail>) -> Vec<u8> {
    if let Some(tail) = console {
        match tail.more().await {
            Ok(piece) => return piece,
            Err(_) => *console = None,
        }
    }
    std::future::pending().await
}

fn told(machine: &str, piece: Vec<u8>, out: &Out) {
    let data = Bytes(piece);
    out.event(&json!({ "event": "console", "machine": machine, "data": data }));
}

/// What `nsrun start` says: the failure, and a hint perhaps.
fn refused(name: &str, complaints: &str) -> Failure {
    let mut lines = complaints.lines();
    let said = lines.find_map(|line| {
        line.strip_prefix("nsrun: ")
            .filter(|l| !l.starts_with("warning:"))
    });
    let hint = lines.find_map(|line| line.strip_prefix("hint: "));
    Failure {
        hint: hint.map(str::to_owned),
        ..Failure::new(
            "failed",
            format!(
                "machine {name} cannot be started: {}",
                said.unwrap_or(complaints)
            ),
        )
    }
}

/// Waits for `future`, but no longer than `patience`.
pub(super) async fn within<T>(
    patience: Option<Duration>,
    future: impl Future<Output = T>,
) -> Option<T> {
    match patience {
        None => Some(future.await),
        Some(patience) => timeout(patience, future).await.ok(),
    }
}
