//! The acting half: what can be done to a namespace's links.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use ipnet::IpNet;
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};
use crate::loopback;
use crate::query::{self, Link};
use crate::rtnl::Socket;
use crate::veth::{self, Owner, VethPlan};

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
            veth::set_up_peer(&net, plan).await
        });
        if done.is_err() {
            self.undo(&plan.host);
        }
        done
    }

    /// Best effort: the failure that led here is what gets reported.
    fn undo(&self, owner: &Owner) {
        if let Ok(socket) = Socket::here(&self.runtime) {
            let _ = socket.run(&self.runtime, async |net| {
                veth::undo(&net, owner).await;
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
            .run(&self.runtime, async |net| veth::loopback_up(&net).await)
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
            veth::retire_all(&net, owner).await
        })
    }

    /// Deletes retired links whose tag begins with `tag_prefix`, those of namespaces that
    /// a leaked descriptor keeps alive among them; returns how many.
    ///
    /// # Errors
    /// If the kernel refuses for any other reason than that the link is gone.
    pub fn delete_retired(&self, tag_prefix: &str) -> Result<usize> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| {
            veth::delete_retired(&net, tag_prefix).await
        })
    }

    /// Deletes the link with that index and waits until it is gone (tens of
    /// milliseconds); one that is gone already is no failure.
    ///
    /// # Errors
    /// If the kernel refuses for any other reason.
    pub fn delete(&self, index: u32) -> Result<()> {
        Socket::here(&self.runtime)?.run(&self.runtime, async |net| veth::delete(&net, index).await)
    }
}
