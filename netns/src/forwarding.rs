//! Whether the host passes packets on from link to link: sysctls of the calling thread's
//! network namespace. What was changed is told, so that it can be put back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::name::IfName;

const SYSCTLS: &str = "/proc/sys/net";
const IPV4: &str = "ipv4/ip_forward";
const IPV6: &str = "ipv6/conf/all/forwarding";
/// Passes packets on without making the host a router where it is none (Linux 6.17),
/// for the links that are there and for those that come.
const IPV6_FORCED: [&str; 2] = [
    "ipv6/conf/default/force_forwarding",
    "ipv6/conf/all/force_forwarding",
];

/// Which packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A sysctl that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path below `/proc/sys/net`.
    pub key: String,
    /// What it was.
    pub before: String,
    /// What it was changed to.
    pub after: String,
}

/// Has the host pass on packets of that family, and tells what had to be changed for it,
/// in order; nothing if it did already.
///
/// All links are concerned, those too that come later: the way out may be another one
/// tomorrow. Where the kernel can, the host stays a mere host in its own networks; else
/// links that learn routes from IPv6 routers are told to go on with it.
///
/// # Errors
/// If a sysctl cannot be read or written. What was changed until then is put back.
pub fn enable(family: Family) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let done = match family {
        Family::V4 => change(IPV4, "0", "1", &mut changes),
        Family::V6 => enable_ipv6(&mut changes),
    };
    if done.is_err() {
        let _ = restore(&changes);
    }
    done.map(|()| changes)
}

/// Has the host say of itself, on that link, that it is a router: IPv6 peers drop a default
/// route by a neighbour that says it is none. Goes with the link.
///
/// The kernel forgets the default routes that the host has learnt itself whenever a link is
/// told this, but for those by links that are to learn routes in spite of it: all are, for
/// that moment.
///
/// # Errors
/// If a sysctl cannot be read or written.
pub fn announce_router(link: &IfName) -> Result<()> {
    let key = format!("ipv6/conf/{link}/forwarding");
    if read(&key)? == "1" {
        return Ok(());
    }
    let mut kept = Vec::new();
    let done = keep_learning(&mut kept).and_then(|()| write(&key, "1"));
    done.and(restore(&kept))
}

/// Puts back what [`enable`] changed, the last change first. What somebody has changed
/// since stays, and a link that is gone needs nothing.
///
/// # Errors
/// If a sysctl cannot be read or written; the others were put back.
pub fn restore(changes: &[Change]) -> Result<()> {
    let mut result = Ok(());
    for change in changes.iter().rev() {
        let done = match fs::read_to_string(path(&change.key)) {
            Ok(now) if now.trim() == change.after => write(&change.key, &change.before),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io(format!("read sysctl {}", change.key), &error)),
        };
        result = result.and(done);
    }
    result
}

fn enable_ipv6(changes: &mut Vec<Change>) -> Result<()> {
    // A kernel without IPv6 passes nothing on, and nobody can ask it to.
    if !path(IPV6).exists() || read(IPV6)? == "1" {
        return Ok(());
    }
    if IPV6_FORCED.iter().all(|key| path(key).exists()) {
        let mut forced = IPV6_FORCED.iter();
        return forced.try_for_each(|key| change(key, "0", "1", changes));
    }
    keep_learning(changes)?;
    change(IPV6, "0", "1", changes)
}

/// A link that forwards heeds routers no longer, unless told to with a 2. Those that come
/// later take what `default` has.
fn keep_learning(changes: &mut Vec<Change>) -> Result<()> {
    for link in links()? {
        change(&format!("ipv6/conf/{link}/accept_ra"), "1", "2", changes)?;
    }
    Ok(())
}

/// What has settings for IPv6: the links, and `default`. A link that goes meanwhile is
/// left out by [`change`].
fn links() -> Result<Vec<String>> {
    let directory = path("ipv6/conf");
    let told = |e: io::Error| Error::io("list the links with IPv6", &e);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(told)? {
        let name = entry.map_err(told)?.file_name();
        names.extend(name.into_string().ok().filter(|name| name != "all"));
    }
    Ok(names)
}

/// Sets `key` to `to` if it is `from`, and notes that.
fn change(key: &str, from: &str, to: &str, changes: &mut Vec<Change>) -> Result<()> {
    let before = match read(key) {
        Err(error) if error.errno() == Some(nix::errno::Errno::ENOENT) => return Ok(()),
        other => other?,
    };
    if before != from {
        return Ok(());
    }
    write(key, to)?;
    changes.push(Change {
        key: key.to_owned(),
        before,
        after: to.to_owned(),
    });
    Ok(())
}

fn read(key: &str) -> Result<String> {
    let text = fs::read_to_string(path(key));
    let text = text.map_err(|e| Error::io(format!("read sysctl {key}"), &e))?;
    Ok(text.trim().to_owned())
}

fn write(key: &str, value: &str) -> Result<()> {
    let written = fs::write(path(key), value);
    written.map_err(|e| Error::io(format!("set sysctl {key} to {value}"), &e))
}

fn path(key: &str) -> PathBuf {
    Path::new(SYSCTLS).join(key)
}
