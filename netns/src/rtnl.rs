//! One conversation with the routing netlink of one network namespace.

use std::future::Future;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::resume_unwind;
use std::pin::pin;
use std::thread;

use futures_util::future::{Either, select};
use nix::sched::{CloneFlags, setns};
use rtnetlink::Handle;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::proto::Connection;
use rtnetlink::sys::AsyncSocket;
use tokio::runtime::Runtime;

use crate::error::{Error, Result};

/// Enough for `setns` and a socket; the default of 2 MiB is mapped and unmapped each time.
const OPENER_STACK: usize = 128 * 1024;

/// An open socket, not yet spoken on. It pins the namespace that it belongs to, and is
/// therefore never handed to a task that could outlive the conversation.
pub(crate) struct Socket {
    connection: Connection<RouteNetlinkMessage>,
    handle: Handle,
}

impl Socket {
    /// A socket in the calling thread's namespace.
    pub(crate) fn here(runtime: &Runtime) -> Result<Self> {
        open(runtime).map_err(|e| Error::io("open a netlink socket", &e))
    }

    /// A socket in `target`, opened by a thread that joins it and ends: a socket belongs
    /// to the namespace it was made in, whoever uses it, and so this process stays put.
    pub(crate) fn within(runtime: &Runtime, target: BorrowedFd<'_>) -> Result<Self> {
        let enter_and_open = || {
            setns(target, CloneFlags::CLONE_NEWNET)?;
            open(runtime)
        };
        let opened = thread::scope(|scope| {
            let opener = thread::Builder::new()
                .stack_size(OPENER_STACK)
                .spawn_scoped(scope, enter_and_open)?;
            opener.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        opened.map_err(|e| Error::io("open a netlink socket in the network namespace", &e))
    }

    /// Holds the conversation `talk`, then closes the socket.
    pub(crate) fn run<T, F>(self, runtime: &Runtime, talk: impl FnOnce(Handle) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let Self { connection, handle } = self;
        let talk = pin!(talk(handle));
        match runtime.block_on(select(talk, connection)) {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(Error::other(
                "talk to the kernel's routing netlink",
                "the socket was closed",
            )),
        }
    }
}

fn open(runtime: &Runtime) -> io::Result<Socket> {
    let _context = runtime.enter();
    let (mut connection, handle, _) = rtnetlink::new_connection()?;
    let socket = connection.socket_mut().socket_mut();
    socket.set_ext_ack(true)?;
    socket.set_cap_ack(true)?;
    Ok(Socket { connection, handle })
}
