//! Sockets in a machine's network.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::entrance::Entrance;
use super::errand::{Errand, Failure};
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::launch::wire::{self, Kind as Word, Message};
use crate::machine::Cgroups;
use crate::name::MachineName;
use crate::state::Store;

const STEPS: [&str; 4] = [
    "shield the process from the container",
    "enter its network",
    "make a socket",
    "hand it over",
];

/// A socket of TCP over IPv4 in the machine's network, not connected and not blocking.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name is up; if its network cannot be entered.
pub fn socket(dirs: &Dirs, name: &MachineName) -> Result<TcpStream> {
    let store = Store::new(dirs, Arc::new(Cgroups::probe()?));
    let entrance = Entrance::find(&store, name)?;
    let errand = Errand::start(|control| make(&entrance, control))?;
    let socket = errand.ready().map_err(explain);
    socket
        .map(TcpStream::from)
        .cannot(|| format!("make a socket in machine {name}"))
}

/// In the process that enters.
fn make(entrance: &Entrance, control: &std::os::fd::OwnedFd) -> std::result::Result<(), Failure> {
    let step = |step: u32| move |errno: Errno| Failure { step, errno };
    entrance.shield().map_err(step(0))?;
    entrance.enter_network().map_err(step(1))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    let socket = socket_with(family, kind, flags, None).map_err(step(2))?;
    let message = Message::plain(Word::Ready);
    wire::send(control.as_fd(), message, &[socket.as_fd()]).map_err(step(3))
}

fn explain(failure: Failure) -> Error {
    let step = usize::try_from(failure.step).ok();
    let step = step.and_then(|step| STEPS.get(step));
    let what = step.unwrap_or(&"hear of the process that does");
    Error::new(Kind::Failed, format!("cannot {what}")).because(failure.errno)
}
