//! Machines that start when the host boots.
//!
//! A mark below the state root is the record, on every host. What starts the machines is the host's:
//! with systemd a link to an instance of `nsrun@.service`, with OpenRC one service for all, elsewhere
//! whatever runs `nsrun start --all-enabled`. With systemd a mark counts if the link is there too, so
//! that `systemctl disable` is believed, and so that a killed command has either happened or not.

mod file;
mod host;
mod mark;
mod openrc;
mod systemd;

pub use self::host::Starter;
pub use self::mark::Enabled;

use self::host::Host;
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::image::lookup;
use crate::name::MachineName;

/// Has the image of that name started as a machine when the host boots, with these options of `nsrun
/// start`. Once more changes nothing but the options.
///
/// # Errors
/// [`crate::Kind::NotFound`] without an image of that name; [`crate::Kind::Busy`] if a unit of that name
/// belongs to another state root; [`crate::Kind::Usage`] for an option that no unit can hold; if the
/// host's files cannot be written.
pub fn enable(dirs: &Dirs, name: &MachineName, options: &[String]) -> Result<Starter> {
    let what = || format!("enable machine {name}");
    lookup::find(dirs, name).cannot(what)?;
    enable_on(&Host::probe(), dirs, name, options).cannot(what)
}

fn enable_on(host: &Host, dirs: &Dirs, name: &MachineName, options: &[String]) -> Result<Starter> {
    expect_plain(options)?;
    host.expect_ours(dirs, name)?;
    mark::write(dirs, name, options)?;
    host.begin_to_start(dirs, name, options)
}

/// Options are words of a unit's environment, which is split at blanks.
fn expect_plain(options: &[String]) -> Result<()> {
    let special = |c: char| c.is_whitespace() || c.is_control() || "\"'\\$%".contains(c);
    let Some(option) = options.iter().find(|option| option.contains(special)) else {
        return Ok(());
    };
    let option = option.escape_debug();
    let what = format!("option '{option}' has a blank or another character that units cannot hold");
    Err(Error::new(Kind::Usage, what).hint("put it into the settings file: nsrun edit NAME"))
}

/// Takes that back; tells whether there was something to take back. The image need not exist.
///
/// # Errors
/// If files cannot be removed.
pub fn disable(dirs: &Dirs, name: &MachineName) -> Result<bool> {
    remove_on(&Host::probe(), dirs, name.as_str()).cannot(|| format!("disable machine {name}"))
}

/// For a name that is no image's any more.
pub(crate) fn remove(dirs: &Dirs, name: &str) -> Result<()> {
    remove_on(&Host::probe(), dirs, name).map(drop)
}

fn remove_on(host: &Host, dirs: &Dirs, name: &str) -> Result<bool> {
    let unlinked = host.cease_to_start(dirs, name)?;
    Ok(mark::remove(dirs, name)? || unlinked)
}

/// What holds for `old` holds for `new` from now on. May be repeated after it was interrupted.
pub(crate) fn rename(dirs: &Dirs, old: &str, new: &MachineName) -> Result<()> {
    rename_on(&Host::probe(), dirs, old, new)
}

fn rename_on(host: &Host, dirs: &Dirs, old: &str, new: &MachineName) -> Result<()> {
    if let Ok(machine) = old.parse()
        && host.starts(dirs, old)
        && let Some(options) = mark::options(dirs, [&machine, new])?
    {
        host.begin_to_start(dirs, new, &options)?;
    }
    mark::rename(dirs, old, new.as_str())?;
    host.cease_to_start(dirs, old).map(drop)
}

/// Whether the machine starts when the host boots.
#[must_use]
pub fn is_enabled(dirs: &Dirs, name: &MachineName) -> bool {
    is_enabled_on(&Host::probe(), dirs, name)
}

fn is_enabled_on(host: &Host, dirs: &Dirs, name: &MachineName) -> bool {
    mark::exists(dirs, name.as_str()) && host.starts(dirs, name.as_str())
}

/// All that start when the host boots, in the order of their names.
///
/// # Errors
/// If a mark cannot be read.
pub fn all(dirs: &Dirs) -> Result<Vec<Enabled>> {
    let host = Host::probe();
    let mut marks = mark::all(dirs)?;
    marks.retain(|mark| host.starts(dirs, mark.name.as_str()));
    Ok(marks)
}

/// The names of all that start when the host boots, found at once: for a look at many machines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Vec<MachineName>);

impl Names {
    /// None, if the marks cannot be read.
    pub(crate) fn look(dirs: &Dirs) -> Self {
        let mut names = mark::names(dirs).unwrap_or_default();
        if !names.is_empty() {
            let host = Host::probe();
            names.retain(|name| host.starts(dirs, name.as_str()));
        }
        Self(names)
    }

    /// Whether that machine is among them.
    pub(crate) fn has(&self, name: &MachineName) -> bool {
        self.0.binary_search(name).is_ok()
    }
}

/// What starts enabled machines on this host.
#[must_use]
pub fn starter(dirs: &Dirs, name: &MachineName) -> Starter {
    Host::probe().starter(dirs, name)
}

#[cfg(test)]
mod tests;
