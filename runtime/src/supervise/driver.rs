//! The loop around [`Policy`]: waits for what happens and does what follows.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

use super::console::Console;
use super::hub::{self, Hub, Wish};
use super::inbox::Inbox;
use super::manager::Manager;
use super::outcome::{End, Outcome};
use super::policy::{Config, Effect, Event, Policy};
use super::reception::{ProcessStatus, Reception};
use super::session::{ConsoleMode, Session, Signals};
use super::signal::Signal;
use super::stream::{Sink, Source};
use super::{Host, Payload};
use crate::error::{Context as _, Result};
use crate::sys;
use crate::terminal::Terminal;

pub(super) struct Driver<'a> {
    leader: AsyncFd<OwnedFd>,
    status: ProcessStatus,
    namespaced: bool,
    inbox: Option<Inbox>,
    console: Option<Console<'a>>,
    viewers: Option<Viewers>,
    user: User<'a>,
    arrived: AsyncFd<OwnedFd>,
    signals: &'a mut Signals,
    manager: &'a mut Manager,
    host: &'a mut dyn Host,
    policy: Policy,
    timer: Pin<Box<Sleep>>,
}

/// The user's side of an interactive console.
struct User<'a> {
    mode: ConsoleMode,
    input: BorrowedFd<'a>,
    terminal: Option<&'a mut Terminal>,
}

impl User<'_> {
    /// Takes the terminal for the machine, if it is there to be taken.
    fn listen(&mut self) -> Option<Source> {
        if self.mode != ConsoleMode::Interactive {
            return None;
        }
        let terminal = self.terminal.as_mut().filter(|t| t.in_foreground())?;
        // A terminal that refuses has hung up: the machine goes on without input.
        terminal.make_raw().ok()?;
        Source::new(self.input).ok()
    }
}

/// Those who look at a served console from elsewhere.
struct Viewers {
    hub: Rc<RefCell<Hub>>,
    arrived: AsyncFd<OwnedFd>,
}

impl Viewers {
    fn new(hub: Rc<RefCell<Hub>>) -> io::Result<Self> {
        let arrived = readable(hub.borrow().file()?)?;
        Ok(Self { hub, arrived })
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Wish> {
        loop {
            if let Some(wish) = self.hub.borrow_mut().next_wish() {
                return Poll::Ready(wish);
            }
            match self.arrived.poll_read_ready(cx) {
                Poll::Ready(Ok(mut guard)) => guard.clear_ready(),
                _ => return Poll::Pending,
            }
        }
    }
}

impl<'a> Driver<'a> {
    /// Sets up everything that is waited for. Takes over the payload's console and socket.
    pub(super) fn new(
        session: &'a mut Session,
        payload: &mut Payload,
        config: Config,
        host: &'a mut dyn Host,
    ) -> Result<Self> {
        let sink = match (&session.hub, session.mode, &payload.console) {
            (_, ConsoleMode::Passive, _) | (_, _, None) => Sink::Gone,
            (Some(hub), _, _) => Sink::Hub(Rc::clone(hub)),
            _ => Sink::new(session.output.as_fd()).cannot(|| "write to standard output")?,
        };
        let viewers = session.hub.clone().map(Viewers::new).transpose();
        let viewers = viewers.cannot(|| "wait for viewers of the console")?;
        let screen = session.screen.as_mut();
        let console = payload
            .console
            .take()
            .map(|master| Console::new(master, sink, screen, config.stalled))
            .transpose()
            .cannot(|| "use the payload's console")?;
        let inbox = payload
            .notify
            .take()
            .map(|socket| Inbox::new(socket, payload.pid, Instant::now()))
            .transpose()
            .cannot(|| "listen for the payload's notifications")?;
        Ok(Self {
            leader: payload
                .pidfd
                .try_clone()
                .and_then(readable)
                .cannot(|| "wait for the payload")?,
            status: ProcessStatus::of(payload.pid).cannot(|| "look at the payload in /proc")?,
            namespaced: config.namespaced,
            inbox,
            user: User {
                mode: session.mode,
                input: session.input.as_fd(),
                terminal: session.terminal.as_mut(),
            },
            arrived: session
                .signals
                .file()
                .and_then(readable)
                .cannot(|| "wait for signals")?,
            signals: &mut session.signals,
            manager: &mut session.manager,
            host,
            policy: Policy::new(config, console.is_some()),
            console,
            viewers,
            timer: Box::pin(tokio::time::sleep_until(Instant::now().into())),
        })
    }

    /// Supervises until PID 1 has ended, everything it said has been heard and shown, and it is reaped.
    pub(super) async fn run(&mut self, leader: i32) -> Result<Outcome> {
        self.resume();
        self.feed(Event::Started { leader })?;
        while let Some(event) = poll_fn(|cx| self.poll(cx)).await? {
            self.feed(event)?;
        }
        // Its PID stands for it until it is reaped.
        if let Some(mut inbox) = self.inbox.take() {
            self.feed(Event::Notice(inbox.last()))?;
        }
        let end = reap(self.leader.get_ref().as_fd(), self.namespaced)?;
        self.feed(Event::Ended(end))?;
        let outcome = self.policy.outcome(end);
        self.drain().await?;
        Ok(outcome)
    }

    /// The next event; `None` when PID 1 has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>>> {
        if let Poll::Ready(ready) = self.leader.poll_read_ready(cx) {
            let ready = ready.map(|_| None);
            return Poll::Ready(ready.cannot(|| "wait for the payload"));
        }
        if let Poll::Ready(signal) = self.poll_signal(cx) {
            let event = signal.map(|signal| Some(Event::Signal(signal)));
            return Poll::Ready(event.cannot(|| "read signals"));
        }
        let now = Instant::now();
        if let Some(Poll::Ready(fields)) = self.inbox.as_mut().map(|inbox| inbox.poll(now, cx)) {
            return Poll::Ready(Ok(Some(Event::Notice(fields))));
        }
        self.poll_viewers(cx);
        if let Some(Poll::Ready(key)) = self.console.as_mut().map(|c| c.poll(now, cx)) {
            return Poll::Ready(Ok(Some(Event::Key(key))));
        }
        self.poll_timer(now, cx).map(|()| Ok(Some(Event::Tick)))
    }

    fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Signal>> {
        loop {
            match self.signals.next() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            match self.arrived.poll_read_ready(cx) {
                // Nothing was there a moment ago: wait for the next one, and look again in case it
                // came in between.
                Poll::Ready(guard) => guard?.clear_ready(),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_viewers(&mut self, cx: &mut Context<'_>) {
        let (Some(viewers), Some(console)) = (&self.viewers, &mut self.console) else {
            return;
        };
        while let Poll::Ready(wish) = viewers.poll(cx) {
            match wish {
                Wish::Typed(bytes) => console.type_in(&bytes),
                Wish::Size(rows, columns) => console.resize(hub::window(rows, columns)),
            }
        }
    }

    fn poll_timer(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let console = self.console.as_ref().and_then(|c| c.wake_at(now));
        let inbox = self.inbox.as_ref().and_then(Inbox::resumes_at);
        let others = [self.policy.wake_at(), self.manager.wake_at()];
        let times = others.into_iter().chain([console, inbox]);
        let Some(at) = times.flatten().min() else {
            return Poll::Pending;
        };
        self.timer.as_mut().reset(at.into());
        self.timer.as_mut().poll(cx)
    }

    fn feed(&mut self, event: Event) -> Result<()> {
        let now = Instant::now();
        if event == Event::Tick {
            self.manager.tick(now);
        }
        for effect in self.policy.handle(event, now) {
            self.perform(effect, now)?;
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect, now: Instant) -> Result<()> {
        match effect {
            Effect::Look(signal) => {
                // Only PID 1 loses signals. Any other process has its default action.
                let reception = if self.namespaced {
                    self.status.reception(signal)
                } else {
                    Reception::Handled
                };
                return self.feed(Event::Seen(reception));
            }
            Effect::Send(signal) => return self.send(signal),
            Effect::Offer(signal) => {
                if self.status.reception(signal) != Reception::Lost {
                    return self.send(signal);
                }
            }
            Effect::KillAll => return kill(self.leader.get_ref().as_fd(), self.host),
            Effect::KillEntered => self.host.kill_entered(),
            Effect::Record => self.host.record(self.policy.status()),
            Effect::Tell(lines) => self.manager.tell(&lines, now),
            Effect::Resize => self.resize(),
            Effect::Resume => self.resume(),
            Effect::Hurry => {
                if let Some(console) = &mut self.console {
                    console.hurry();
                }
            }
        }
        Ok(())
    }

    fn send(&self, signal: Signal) -> Result<()> {
        send(self.leader.get_ref().as_fd(), signal)
    }

    fn resize(&self) {
        let size = self.user.terminal.as_ref().and_then(|t| t.size());
        if let (Some(console), Some(size)) = (&self.console, size) {
            console.resize(size);
        }
    }

    fn resume(&mut self) {
        if let Some(console) = &mut self.console {
            console.listen_to(self.user.listen());
        }
    }

    /// Shows the rest of the output, until all is taken, or nobody takes it, or somebody asks to end.
    async fn drain(&mut self) -> Result<()> {
        if let Some(console) = &mut self.console {
            console.finish();
        }
        while !poll_fn(|cx| self.poll_drained(cx)).await {
            self.feed(Event::Tick)?;
        }
        Ok(())
    }

    /// Whether the output is drained; else it is time for a tick.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let now = Instant::now();
        let Some(console) = &mut self.console else {
            return Poll::Ready(true);
        };
        // The user's keys have no meaning any more.
        let _ = console.poll(now, cx);
        if console.drained(now) {
            return Poll::Ready(true);
        }
        if let Poll::Ready(Ok(signal)) = self.poll_signal(cx) {
            return Poll::Ready(signal.asks_to_end());
        }
        self.poll_timer(now, cx).map(|()| false)
    }
}

fn readable(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    sys::readiness::watch(file, Interest::READABLE)
}

fn send(leader: BorrowedFd<'_>, signal: Signal) -> Result<()> {
    match sys::signal::send(leader, signal.number()) {
        // It has ended already.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result.cannot(|| format!("send {signal} to the payload")),
    }
}

/// Ends every process of the machine: by the cgroup, and by PID 1, with which its PID namespace ends.
pub(super) fn kill(leader: BorrowedFd<'_>, host: &mut dyn Host) -> Result<()> {
    let by_group = host.kill_all();
    send(leader, Signal::KILL).or(by_group)
}

/// Waits for the leader's end and reaps it.
pub(super) fn reap(leader: BorrowedFd<'_>, namespaced: bool) -> Result<End> {
    let wait = || rustix::process::waitid(WaitId::PidFd(leader), WaitIdOptions::EXITED);
    let status = rustix::io::retry_on_intr(wait).cannot(|| "wait for the payload's end")?;
    let status = status
        .ok_or(Errno::CHILD)
        .cannot(|| "wait for the payload's end")?;
    Ok(End::from_wait(&status, namespaced))
}
