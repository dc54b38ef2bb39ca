//! Attaching to the console of a machine that runs in the background.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::host::Cgroups;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;
use crate::state::{State, Store};
use crate::supervise::{ConsoleMode, Left, Session, Viewing, connect, type_in, view};

/// Connects the caller's terminal with the machine's console, until the machine ends or the user
/// leaves by `^]` three times. The terminal is as before then.
///
/// # Errors
/// [`Kind::NotFound`] if no machine of that name runs; [`Kind::Failed`] if its console is elsewhere.
pub fn attach(
    dirs: &Dirs,
    name: &MachineName,
    how: Viewing,
    tell: &mut dyn FnMut(&str),
) -> Result<Left> {
    let socket = reach(dirs, name)?;
    tell(&format!(
        "connected to the console of {name}; ^] three times within a second leaves it"
    ));
    let mut session = Session::open(ConsoleMode::detect())?;
    let left = view(&socket, &mut session, how, tell);
    session.leave_terminal();
    left
}

/// Types at the machine's console, as whoever writes there from then on.
///
/// # Errors
/// Those of [`attach`].
pub fn type_at_console(dirs: &Dirs, name: &MachineName, bytes: &[u8]) -> Result<()> {
    type_in(&reach(dirs, name)?, bytes)
}

fn reach(dirs: &Dirs, name: &MachineName) -> Result<OwnedFd> {
    let store = Store::new(dirs, Arc::new(Cgroups::probe()?));
    let machine = store.machine(name)?.ok_or_else(|| store.absent(name))?;
    if matches!(machine.state()?, State::Dead | State::Orphaned) {
        return Err(store.absent(name));
    }
    match connect(&store.directory(name)) {
        Err(rustix::io::Errno::NOENT) => Err(elsewhere(name)),
        other => other
            .map_err(io::Error::from)
            .cannot(|| format!("connect to the console of machine {name}")),
    }
}

fn elsewhere(name: &MachineName) -> Error {
    let what = format!("machine {name} has no console to attach to");
    Error::new(Kind::Failed, what)
        .because("it runs in the foreground of another terminal")
        .hint(format!(
            "its console is there; `nsrun exec {name} -- COMMAND` runs a command in it"
        ))
}
