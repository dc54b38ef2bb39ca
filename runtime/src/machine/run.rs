//! One run of a machine, from the launch to the end of its first process.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::cgroup::Scope;
use crate::error::{Context, Result};
use crate::facts::ImageRoot;
use crate::launch::{self, Launched, Script};
use crate::plan::{Network, Plan};
use crate::state::{Claim, Item, PidFd, Record};
use crate::supervise::{self, Config, Outcome, Payload, Session, Status};

use super::network::Link;

/// What all runs of a machine share.
pub(super) struct Machine<'a> {
    pub(super) plan: &'a Plan,
    pub(super) root: &'a ImageRoot,
    pub(super) claim: Claim,
    pub(super) scope: Scope,
    pub(super) record: Record,
}

impl Machine<'_> {
    /// Launches the payload and supervises it.
    pub(super) fn run(&mut self, script: &Script, session: &mut Session) -> Result<Outcome> {
        let link = match self.plan.network {
            Network::Veth => Some(self.intend_link()?),
            Network::Host | Network::Private => None,
        };
        let mut launching = Launching {
            plan: self.plan,
            claim: &mut self.claim,
            record: &mut self.record,
            link,
        };
        let cgroup = Some(self.scope.payload());
        let launched = launch::launch(script, self.root, cgroup, &mut launching)?;
        let link = launching.link;
        let outcome = self.supervise(launched, session);
        drop(link);
        outcome
    }

    /// Takes everything away that the machine has on the host.
    pub(super) fn end(mut self, deadline: Instant) -> Result<()> {
        let removed = self.scope.remove(deadline);
        self.claim.end()?;
        removed
    }

    fn intend_link(&mut self) -> Result<Link> {
        let tag = self.record.incarnation.link_tag(&self.plan.machine);
        let link = Link::plan(&self.plan.machine, tag)?;
        self.claim.note(Item::link(link.owner()))?;
        Ok(link)
    }

    fn supervise(&mut self, launched: Launched, session: &mut Session) -> Result<Outcome> {
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
        let config = if self.plan.boots {
            Config::boot()
        } else {
            Config::run()
        };
        runtime.block_on(supervise::supervise(session, payload, config, self))
    }
}

impl supervise::Host for Machine<'_> {
    fn kill_all(&mut self) -> Result<()> {
        self.scope.kill()
    }

    fn kill_entered(&mut self) {
        // What does not end now ends with the payload, by the same file of its parent.
        let _ = self.scope.kill_leaves();
    }

    fn record(&mut self, status: &Status) {
        self.record.ready = status.phase == supervise::Phase::Running;
        self.record.status.clone_from(&status.text);
        // A full /run must not end a machine; the lock and the process tell what is true.
        let _ = self.claim.publish(&self.record);
    }
}

/// The launcher's requests to the host.
struct Launching<'a> {
    plan: &'a Plan,
    claim: &'a mut Claim,
    record: &'a mut Record,
    link: Option<Link>,
}

impl launch::Host for Launching<'_> {
    fn network(&mut self, netns: BorrowedFd<'_>) -> Result<()> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        link.make(&self.plan.machine, netns)
            .cannot(|| format!("link machine {} to the host", self.plan.machine))?;
        self.record.interface = Some(link.owner().name.as_str().to_owned());
        self.record.addresses = link.addresses();
        Ok(())
    }

    fn record(&mut self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        let what = || "identify the container's first process";
        let pidfd = pidfd.try_clone_to_owned().cannot(what)?;
        self.record.leader = PidFd::from_clone(pidfd, pid).identity().cannot(what)?;
        self.claim.publish(self.record)
    }
}
