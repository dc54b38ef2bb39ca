//! One run of a machine, from the launch to the end of its first process.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use futures_util::future::{Either, select};

use super::devices;
use super::register;
use super::scratch::Gathered;
use super::start::Event;
use crate::cgroup::Scope;
use crate::error::{Context, Result};
use crate::facts::ImageRoot;
use crate::host_limits::Share;
use crate::launch::{self, Launched};
use crate::network::{self, Attached};
use crate::ownership::IdMap;
use crate::plan::{Plan, new_id};
use crate::range::Range;
use crate::state::{Claim, Incarnation, Item, PidFd, Record, Store};
use crate::supervise::{self, Config, Outcome, Payload, ReadyWhen, Session, Status, StopBy};

/// What all runs of a machine share. The order is that of the drop after a failed launch: the link
/// before the claim that lists it, and the scope, in which this process is, before the claim that
/// would wait for it to be empty, and the root, which may be a mount, before the claim that has its
/// lock.
pub(super) struct Machine {
    /// The links of the current run.
    pub(super) links: Attached,
    pub(super) scope: Scope,
    pub(super) root: Rc<ImageRoot>,
    /// What the root is in.
    pub(super) image: Rc<ImageRoot>,
    pub(super) claim: Claim,
    pub(super) plan: Plan,
    /// What its mounts are made of.
    pub(super) gathered: Gathered,
    pub(super) range: Option<Range>,
    /// How the image's mount shows owners.
    pub(super) map: IdMap,
    pub(super) store: Store,
    /// Where lasting state is.
    pub(super) lib: PathBuf,
    pub(super) record: Record,
    /// Why the kernel would not have the device list, if so.
    pub(super) unlisted: Option<String>,
    /// Its part in what was raised on the host.
    #[expect(dead_code, reason = "held until the machine has ended")]
    pub(super) share: Option<Share>,
}

impl Machine {
    /// Launches the payload and supervises it.
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<Outcome> {
        let mut launched = self.launch();
        if launched.is_err()
            && let Some(reason) = self.unlisted.take()
            && self.range.is_some()
        {
            tell(Event::Warning(&devices::weaker(&reason)));
            self.plan.rely_on_mounts();
            launched = self.launch();
        }
        let launched = launched?;
        for warning in self.links.take_warnings() {
            tell(Event::Warning(&warning));
        }
        session.speak_to_log();
        self.supervise(launched, session, tell)
    }

    fn launch(&mut self) -> Result<Launched> {
        let script = launch::compile(&self.plan, self.range, self.map, self.claim.path())?;
        let payload = self.scope.payload().try_clone_to_owned();
        let payload = payload.cannot(|| "duplicate the descriptor of the cgroup")?;
        let gathered = std::mem::take(&mut self.gathered);
        let root = Rc::clone(&self.root);
        let launched = launch::launch(&script, gathered.materials(&root), payload, self);
        self.gathered = gathered;
        launched
    }

    /// Takes everything away that the machine has on the host.
    pub(super) fn end(mut self, deadline: Instant) -> Result<()> {
        drop(std::mem::take(&mut self.links));
        let removed = self.scope.remove(deadline);
        if removed.is_ok()
            && let Some(path) = self.record.cgroup.take()
        {
            self.claim.forget(&Item::Cgroup { path });
        }
        drop((self.root, self.image));
        self.claim.end()?;
        removed
    }

    /// What tells this run of the machine from the one before.
    pub(super) fn begin_anew(&mut self) -> Result<()> {
        self.record.incarnation = Incarnation::new()?;
        self.record.leader = None;
        self.plan.boot_id = new_id()?;
        Ok(())
    }

    /// Lets go of the links of a run that has ended, so that the next run has their names.
    pub(super) fn retire_links(&mut self) -> Result<()> {
        let links = std::mem::take(&mut self.links);
        let items = links.items();
        drop(links);
        items.iter().try_for_each(|item| self.claim.strike(item))
    }

    fn supervise(
        &mut self,
        launched: Launched,
        session: &mut Session,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<Outcome> {
        let interface = self.record.interface.as_deref();
        let _registered = register::register(&self.plan, launched.pid, interface)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .cannot(|| "prepare for supervision")?;
        let payload = Payload {
            pid: launched.pid,
            pidfd: launched.pidfd,
            console: launched.console,
            notify: Some(launched.notify),
        };
        let mut config = if self.plan.boots {
            Config::boot()
        } else {
            Config::run()
        };
        config.ready = if self.plan.announces {
            ReadyWhen::Announced
        } else {
            ReadyWhen::Started
        };
        if let Some(signal) = self.plan.tuning.stop_signal {
            config.stop = match config.stop {
                StopBy::Signal(_) => StopBy::Signal(signal),
                StopBy::Forward | StopBy::ForwardAs(_) => StopBy::ForwardAs(signal),
            };
        }
        let services = self.links.take_services();
        runtime.block_on(async {
            let ended = pin!(supervise::supervise(session, payload, config, self));
            let served = services.run(|failure| tell(Event::Warning(&failure)));
            match select(ended, pin!(served)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(((), ended)) => ended.await,
            }
        })
    }
}

impl supervise::Host for Machine {
    fn kill_all(&mut self) -> Result<()> {
        self.scope.kill()
    }

    fn kill_entered(&mut self) {
        // What does not end now ends with the payload, by the same file of its parent.
        let _ = self.scope.kill_leaves();
    }

    fn record(&mut self, status: &Status) {
        if status.phase == supervise::Phase::Ended {
            // The record goes with the machine, or the next run writes its own.
            return;
        }
        let ready = status.phase == supervise::Phase::Running;
        if (self.record.ready, &self.record.status) == (ready, &status.text) {
            return;
        }
        if ready && !self.record.ready && self.plan.announces {
            // What the boot took is not used again; the services of the network are open by now.
            crate::sys::memory::forget_code();
        }
        self.record.ready = ready;
        self.record.status.clone_from(&status.text);
        // A full /run must not end a machine; the lock and the process tell what is true.
        let _ = self.claim.publish(&self.record);
    }
}

impl launch::Host for Machine {
    fn cgroup(&mut self) -> Result<()> {
        let owner = self.range.map_or(0, Range::base);
        self.scope.delegate(owner, owner)?;
        if !self.plan.no_devices {
            let restricted = devices::restrict(&self.scope, &self.plan);
            restricted.inspect_err(|error| self.unlisted = Some(error.to_string()))?;
        }
        if self.plan.boots {
            self.scope.enter_supervisor()?;
        }
        Ok(())
    }

    fn network(&mut self, netns: BorrowedFd<'_>) -> Result<()> {
        let name = &self.plan.machine;
        let machine = network::Machine {
            name,
            incarnation: self.record.incarnation,
            links: &self.plan.links,
            store: &self.store,
            lib: &self.lib,
        };
        network::attach(&machine, &mut self.claim, netns, &mut self.links)
            .cannot(|| format!("link machine {name} to the host"))?;
        self.record.interface = self.links.interface();
        self.record.addresses = self.links.addresses().to_vec();
        Ok(())
    }

    fn record(&mut self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        let what = || "identify the container's first process";
        let pidfd = pidfd.try_clone_to_owned().cannot(what)?;
        self.record.leader = PidFd::from_clone(pidfd, pid).identity().cannot(what)?;
        self.claim.publish(&self.record)?;
        self.links.end_turn();
        Ok(())
    }
}
