//! Keeping this namespace from believing what comes in by a link to another one.

use std::fs;
use std::io::ErrorKind;

use crate::error::{Error, Result};
use crate::name::IfName;

/// Has the link take no router advertisements: whoever is at its other end could give this
/// namespace addresses and a default route. Must run in the namespace of the link. A kernel
/// without IPv6 needs none of it, and where sysctls cannot be written nothing is lost that the
/// administrator did not give away.
pub(crate) fn ignore_routers(name: &IfName) -> Result<()> {
    let path = format!("/proc/sys/net/ipv6/conf/{name}/accept_ra");
    match fs::write(path, "0") {
        Err(e)
            if !matches!(
                e.kind(),
                ErrorKind::NotFound | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Err(Error::io(
                format!("keep router advertisements out at {name}"),
                &e,
            ))
        }
        _ => Ok(()),
    }
}
