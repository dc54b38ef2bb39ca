//! The acting half: what can be done to a namespace's links.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use ipnet::IpNet;
use tokio::runtime::{Builder, Runtime};

use crate::bridge::{self, BridgePlan};
use crate::error::{Error, Result};
use crate::inside;
use crate::link;
use crate::loopback;
use crate::moved::{self, MovePlan, Moved};
use crate::name::IfName;
use crate::owner::{self, Owner};
use crate::query::{self, Link};
use crate::rtnl::Socket;
use crate::stacked::{self, StackedPlan};
use crate::veth::{self, VethPlan};

/// Changes to the links of the calling thread's network namespace, and of others that
/// are handed in as descriptors.
///
/// Everything here blocks until the kernel has answered. A value owns a tokio runtime of
/// the current-thread kind, and each call closes the sockets it opened, so that no
/// namespace is kept alive. A call that works inside another namespace starts one thread
/// and joins it before it returns: between calls the process is as single-threaded as it
/// was before. A launcher that clones must do so outside of any call, and since the
/// runtime's descriptors would be inherited, best before [`Net::new`].
///
/// The methods panic when called from within an asynchronous task, as
/// [`Runtime::block_on`] does.
#[derive(Debug)]
pub struct Net {
    runtime: Runtime,
}

impl Net {
    /// A runtime for network changes; opens no socket yet.
    ///
    /// # Errors
    /// If the process is out of descriptors.
    pub fn new() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build();
        let runtime = runtime.map_err(|e| Error::io("prepare for network changes", &e))?;
        Ok(Self { runtime })
    }

    /// Makes a pair with one end here, up and addressed, and the other created in place
    /// inside the namespace `target`, where loopback is brought up too.
    ///
    /// # Errors
    /// If the kernel refuses any step, such as for a name that is taken. Nothing of the
    /// pair remains then.
    pub fn create_veth(&self, target: BorrowedFd<'_>, plan: &VethPlan) -> Result<()> {
        let inside = Socket::within(&self.runtime, target)?;
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            veth::create(&net, target, plan).await
        })?;
        let done = inside.run(&self.runtime, async |net| {
            inside::set_up(&net, &plan.peer, &plan.inside).await
        });
        match (&done, &plan.bridge) {
            (Err(_), _) => self.undo(&plan.host),
            (Ok(()), Some(bridge)) => {
                let here = Socket::here(&self.runtime)?;
                here.run(&self.runtime, async |net| {
                    veth::settle(&net, [&plan.host.name, bridge]).await
                })?;
            }
            (Ok(()), None) => {}
        }
        done
    }

    /// Makes a link on top of one that is here, inside the namespace `target`, and sets it up
    /// there. It goes with its namespace.
    ///
    /// # Errors
    /// If the kernel refuses any step; `EOPNOTSUPP` if it has no such links.
    pub fn create_stacked(&self, target: BorrowedFd<'_>, plan: &StackedPlan) -> Result<()> {
        let inside = Socket::within(&self.runtime, target)?;
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            stacked::create(&net, target, plan).await
        })?;
        inside.run(&self.runtime, async |net| {
            inside::set_up(&net, &plan.name, &plan.inside).await
        })
    }

    /// Moves a link that is here into the namespace `target`, and sets it up there. Its number
    /// there is what [`Net::take_back`] asks for.
    ///
    /// # Errors
    /// If the kernel refuses any step. The link may be inside then; `take_back` finds it by its tag.
    pub fn lend(&self, target: BorrowedFd<'_>, plan: &MovePlan) -> Result<u32> {
        let inside = Socket::within(&self.runtime, target)?;
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            moved::lend(&net, target, plan).await
        })?;
        inside.run(&self.runtime, async |net| {
            let found = moved::find(&net, &plan.tag).await?;
            inside::set_up(&net, &plan.inside_name, &plan.inside).await?;
            let what = || format!("find link {} inside", plan.inside_name);
            found
                .map(|link| link.index)
                .ok_or_else(|| Error::missing(what()))
        })
    }

    /// Takes a link that was lent to the namespace `target` back, with its old name and alias.
    /// `index` is its number there; without it, it is found by its tag.
    ///
    /// # Errors
    /// If it is neither there nor here, or the kernel refuses.
    pub fn take_back(
        &self,
        target: BorrowedFd<'_>,
        index: Option<u32>,
        moved: &Moved,
    ) -> Result<()> {
        let home = File::open("/proc/thread-self/ns/net")
            .map_err(|e| Error::io("open the own network namespace", &e))?;
        let sent = Socket::within(&self.runtime, target)?.run(&self.runtime, async |net| {
            let index = match index {
                Some(index) => Some(index),
                None => moved::find(&net, &moved.tag).await?.map(|link| link.index),
            };
            match index {
                Some(index) => moved::send_back(&net, index, &moved.name, home.as_fd())
                    .await
                    .map(|()| true),
                None => Ok(false),
            }
        });
        match sent {
            // Whoever had it may have written over the tag.
            Ok(true) => Socket::here(&self.runtime)?
                .run(&self.runtime, async |net| moved::untag(&net, moved).await),
            other => match self.restore(moved)? {
                true => Ok(()),
                false => other.map(drop),
            },
        }
    }

    /// Gives a link that was lent and is back its old name and alias; tells whether it is here.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn restore(&self, moved: &Moved) -> Result<bool> {
        Socket::here(&self.runtime)?
            .run(&self.runtime, async |net| moved::restore(&net, moved).await)
    }

    /// Makes a bridge unless there is one of that name; tells whether it was made.
    ///
    /// # Errors
    /// If there is a link of that name that is no bridge, or the kernel refuses.
    pub fn ensure_bridge(&self, plan: &BridgePlan) -> Result<bool> {
        Socket::here(&self.runtime)?
            .run(&self.runtime, async |net| bridge::ensure(&net, plan).await)
    }

    /// Gives a bridge those of the addresses that it has not.
    ///
    /// # Errors
    /// If there is no such bridge, or the kernel refuses.
    pub fn address_bridge(&self, name: &IfName, addresses: &[IpNet]) -> Result<()> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            bridge::address(&net, name, addresses).await
        })
    }

    /// Deletes a bridge if no link is in it but retired ones; tells whether it did. A bridge that
    /// is gone is no failure.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn delete_unused_bridge(&self, name: &IfName) -> Result<bool> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            bridge::delete_unused(&net, name).await
        })
    }

    /// The links that have a port in a bridge here; none if there is no such bridge.
    ///
    /// # Errors
    /// If the kernel refuses to list them.
    pub fn ports(&self, bridge: &IfName) -> Result<Vec<Link>> {
        Socket::here(&self.runtime)?
            .run(&self.runtime, async |net| bridge::ports(&net, bridge).await)
    }

    /// The link here of that name, or alternative name.
    ///
    /// # Errors
    /// If the kernel refuses to look for it.
    pub fn find(&self, name: &IfName) -> Result<Option<Link>> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| query::link(&net, name).await)
    }

    /// The addresses of the link here of that name; none if it is not there.
    ///
    /// # Errors
    /// If the kernel refuses to list them.
    pub fn addresses(&self, name: &IfName) -> Result<Vec<IpNet>> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            let Some(link) = query::link(&net, name).await? else {
                return Ok(Vec::new());
            };
            let messages = query::addresses(&net, link.index).await?;
            Ok(messages.iter().filter_map(query::address_net).collect())
        })
    }

    /// Best effort: the failure that led here is what gets reported.
    fn undo(&self, owner: &Owner) {
        if let Ok(socket) = Socket::here(&self.runtime) {
            let _ = socket.run(&self.runtime, async |net| {
                owner::undo(&net, owner).await;
                Ok(())
            });
        }
    }

    /// Brings up the loopback of the namespace `target`.
    ///
    /// # Errors
    /// If the namespace cannot be entered or the kernel refuses.
    pub fn loopback_up(&self, target: BorrowedFd<'_>) -> Result<()> {
        Socket::within(&self.runtime, target)?
            .run(&self.runtime, async |net| link::loopback_up(&net).await)
    }

    /// Adds an address to the loopback of the namespace `target`, of the scope of that
    /// host; one that is there already is no failure.
    ///
    /// # Errors
    /// If the namespace cannot be entered or the kernel refuses.
    pub fn add_loopback_address(&self, target: BorrowedFd<'_>, address: IpAddr) -> Result<()> {
        Socket::within(&self.runtime, target)?.run(&self.runtime, async |net| {
            loopback::add_address(&net, address).await
        })
    }

    /// The networks of all addresses and routes here, default routes left out.
    ///
    /// # Errors
    /// If the kernel refuses to list them.
    pub fn used_networks(&self) -> Result<Vec<IpNet>> {
        Socket::here(&self.runtime)?
            .run(&self.runtime, async |net| query::used_networks(&net).await)
    }

    /// The links here whose tag begins with `tag_prefix`.
    ///
    /// # Errors
    /// If the kernel refuses to list links.
    pub fn find_tagged(&self, tag_prefix: &str) -> Result<Vec<Link>> {
        let mut links = Socket::here(&self.runtime)?
            .run(&self.runtime, async |net| query::links(&net).await)?;
        links.retain(|link| {
            link.alias
                .as_ref()
                .is_some_and(|a| a.starts_with(tag_prefix))
        });
        Ok(links)
    }

    /// Frees name and addresses of the owner's links at once and leaves the links to die
    /// with the peer's namespace, under a name of the form `nsrun-x<number>`. Returns
    /// how many links were found; none is no failure.
    ///
    /// # Errors
    /// If the kernel refuses for any other reason than that the link is gone.
    pub fn retire(&self, owner: &Owner) -> Result<usize> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            owner::retire_all(&net, owner).await
        })
    }

    /// Deletes retired links whose tag begins with `tag_prefix`, those of namespaces that
    /// a leaked descriptor keeps alive among them; returns how many.
    ///
    /// # Errors
    /// If the kernel refuses for any other reason than that the link is gone.
    pub fn delete_retired(&self, tag_prefix: &str) -> Result<usize> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            owner::delete_retired(&net, tag_prefix).await
        })
    }

    /// Takes the link with that index up or down; one that is gone is no failure.
    ///
    /// # Errors
    /// If the kernel refuses for any other reason.
    pub fn set_up(&self, index: u32, up: bool) -> Result<()> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            link::set_up(&net, index, up).await
        })
    }

    /// Deletes the link with that index and waits until it is gone (tens of
    /// milliseconds); one that is gone already is no failure.
    ///
    /// # Errors
    /// If the kernel refuses for any other reason.
    pub fn delete(&self, index: u32) -> Result<()> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| link::delete(&net, index).await)
    }
}
