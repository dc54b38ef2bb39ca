//! The connection: requests in, answers and events out, and the end of everything.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nsrun_runtime::machine::{self, Whom, set_links_up};
use nsrun_runtime::supervise::Signal;
use nsrun_runtime::{Context, Dirs, Error, Kind, Result};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::line::Lines;
use super::machine::{Life, Machine, Phase, within};
use super::protocol::{Create, Failure, Operation, Request, VERSION, Wait, answer, duration};
use super::{copy, execute, forward, source, unit};
use crate::globals::Globals;

/// How long killed machines may take to be cleared up after.
const CLEAR_UP: Duration = Duration::from_secs(20);

/// How long to wait for that before they are killed once more.
const AGAIN: Duration = Duration::from_millis(100);

/// Where answers and events go. A client has to read them: there is no queue.
#[derive(Debug, Default)]
pub(super) struct Out {
    closed: Cell<bool>,
    closing: Notify,
}

impl Out {
    pub(super) fn event(&self, line: &Value) {
        self.write(line);
    }

    fn write(&self, line: &Value) {
        let mut output = std::io::stdout().lock();
        let written = writeln!(output, "{line}").and_then(|()| output.flush());
        if written.is_err() && !self.closed.replace(true) {
            self.closing.notify_one();
        }
    }
}

type Outcome = std::result::Result<Value, Failure>;

/// What all requests share.
#[derive(Debug)]
struct Server {
    dirs: Dirs,
    out: Rc<Out>,
    machines: RefCell<BTreeMap<String, Rc<Machine>>>,
}

/// Serves standard input and output until the client or a signal ends it, and then ends all machines.
pub(super) async fn serve(globals: &Globals) -> Result<()> {
    let server = Rc::new(Server {
        dirs: globals.dirs.clone(),
        out: Rc::default(),
        machines: RefCell::default(),
    });
    let served = tokio::select! {
        served = take_requests(&server) => served,
        signalled = asked_to_end() => signalled,
        () = server.out.closing.notified() => Ok(()),
    };
    let ended = server.end().await;
    served.and(ended)
}

async fn take_requests(server: &Rc<Server>) -> Result<()> {
    let mut lines = Lines::of_stdin()?;
    while let Some(line) = lines.next().await? {
        match Request::read(&line) {
            Err((id, failure)) => server.out.write(&answer(id, Err(failure))),
            Ok(Request { id, operation }) => {
                let server = Rc::clone(server);
                tokio::task::spawn_local(async move {
                    let outcome = server.carry_out(operation).await;
                    server.out.write(&answer(Some(id), outcome));
                });
            }
        }
    }
    Ok(())
}

async fn asked_to_end() -> Result<()> {
    let listen = |kind| signal(kind).cannot(|| "listen to signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

fn done(result: Result<()>) -> Outcome {
    result?;
    Ok(json!({}))
}

impl Server {
    async fn carry_out(&self, operation: Operation) -> Outcome {
        match operation {
            Operation::Hello {} => Ok(json!({
                "protocol": VERSION,
                "version": env!("CARGO_PKG_VERSION"),
            })),
            Operation::Create(create) => self.create(&create).await,
            Operation::Start { machine } => done(self.find(&machine)?.start(&self.out)),
            Operation::WaitUp(wait) => self.wait_up(&wait).await,
            Operation::WaitReady(wait) => {
                self.wait(&wait, "ready", |life| life.phase == Phase::Ready)
                    .await
            }
            Operation::WaitDown(wait) => {
                self.wait(&wait, "down", |life| life.phase == Phase::Down)
                    .await
            }
            Operation::WaitBoot {
                machine,
                boots,
                timeout_usec,
            } => {
                let wait = Wait {
                    machine,
                    timeout_usec,
                };
                let has = |life: &Life| life.boots >= boots;
                self.wait(&wait, "booted so often", has).await
            }
            Operation::Execute(execute) => {
                execute::run(&*self.find(&execute.machine)?, execute).await
            }
            Operation::WaitUnit {
                machine,
                unit,
                timeout_usec,
            } => {
                self.wait_unit(&machine, &unit, duration(timeout_usec))
                    .await
            }
            Operation::CopyTo(copy) => copy::to(&*self.find(&copy.machine)?, &copy).await,
            Operation::CopyFrom(copy) => copy::from(&*self.find(&copy.machine)?, &copy).await,
            Operation::PowerOff { machine } => done(machine::power_off(
                &self.dirs,
                &self.running(&machine)?.real,
            )),
            Operation::Reboot { machine } => {
                done(machine::reboot(&self.dirs, &self.running(&machine)?.real))
            }
            Operation::Crash { machine } => {
                let real = &self.running(&machine)?.real;
                done(machine::kill(&self.dirs, real, Signal::KILL, Whom::All))
            }
            Operation::Links { machine, up } => {
                let count = set_links_up(&self.running(&machine)?.real, up)?;
                Ok(json!({ "links": count }))
            }
            Operation::Forward(wanted) => {
                forward::listen(&self.find(&wanted.machine)?, &wanted).await
            }
            Operation::Type { machine, data } => {
                let real = &self.running(&machine)?.real;
                done(machine::type_at_console(&self.dirs, real, &data.0))
            }
            Operation::Status { machine } => {
                let machine = self.find(&machine)?;
                Ok(json!({
                    "life": machine.life(),
                    "host_name": machine.real.as_str(),
                    "supervisor": machine.supervisor(),
                }))
            }
        }
    }

    async fn wait_up(&self, wait: &Wait) -> Outcome {
        let machine = self.find(&wait.machine)?;
        let up = machine.wait_up(duration(wait.timeout_usec)).await?;
        Ok(json!(up))
    }

    async fn wait_unit(&self, name: &str, unit: &str, patience: Option<Duration>) -> Outcome {
        let machine = self.find(name)?;
        let late = || {
            let what = format!("unit {unit} of machine {name} is not active in time");
            Failure::timeout(what)
        };
        let waited = unit::wait_active(&machine, unit);
        let waited = within(patience, waited).await;
        waited.ok_or_else(late)?
    }

    async fn create(&self, create: &Create) -> Outcome {
        let known = |name: &str| self.machines.borrow().contains_key(name);
        let clash = || Failure::usage(format!("there is a machine {} already", create.machine));
        if known(&create.machine) {
            return Err(clash());
        }
        let machine = source::machine(create, &self.dirs).await?;
        let real = machine.real.to_string();
        if known(&create.machine) {
            return Err(clash());
        }
        let name = create.machine.clone();
        self.machines.borrow_mut().insert(name, Rc::new(machine));
        Ok(json!({ "host_name": real }))
    }

    async fn wait(&self, wait: &Wait, what: &str, is_so: impl FnMut(&Life) -> bool) -> Outcome {
        let machine = self.find(&wait.machine)?;
        let patience = duration(wait.timeout_usec);
        let life = machine.wait(what, patience, is_so).await?;
        Ok(json!(life))
    }

    fn find(&self, name: &str) -> std::result::Result<Rc<Machine>, Failure> {
        let found = self.machines.borrow().get(name).cloned();
        found.ok_or_else(|| Failure::new("not-found", format!("there is no machine {name}")))
    }

    fn running(&self, name: &str) -> std::result::Result<Rc<Machine>, Failure> {
        let machine = self.find(name)?;
        match machine.life() {
            life if life.phase == Phase::Down => Err(machine.is_down(&life)),
            _ => Ok(machine),
        }
    }

    /// Kills all machines and waits until nothing is left of them.
    async fn end(&self) -> Result<()> {
        let machines: Vec<_> = self.machines.borrow().values().cloned().collect();
        let deadline = Instant::now() + CLEAR_UP;
        let mut failure = None;
        loop {
            let is_up = |machine: &&Rc<Machine>| machine.life().phase != Phase::Down;
            let up: Vec<_> = machines.iter().filter(is_up).collect();
            if up.is_empty() {
                return Ok(());
            }
            if let Some(error) = failure.take().filter(|_| Instant::now() > deadline) {
                return Err(error);
            }
            for machine in &up {
                // One that is being made cannot be killed yet.
                let killed = machine::kill(&self.dirs, &machine.real, Signal::KILL, Whom::All);
                failure = killed.err().or(failure);
            }
            let down = |life: &Life| life.phase == Phase::Down;
            for machine in up {
                let _ = machine.wait("down", Some(AGAIN), down).await;
            }
            if Instant::now() > deadline && failure.is_none() {
                let what = "machines were killed, and their supervisors do not clear up";
                return Err(Error::new(Kind::Busy, what));
            }
        }
    }
}
