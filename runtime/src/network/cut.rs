//! Cutting a running machine off, as if its cables were pulled.

use nsrun_netns::Net;

use super::refusal;
use crate::error::{Error, Kind, Result};
use crate::name::MachineName;
use crate::state::TAG;

/// Takes the host's ends of the machine's links down, or up again; returns how many there are. To be
/// called from an asynchronous task, too.
///
/// # Errors
/// [`Kind::NotFound`] if it has none in this network namespace; if the kernel refuses.
pub fn set_links_up(name: &MachineName, up: bool) -> Result<usize> {
    let tag = format!("{TAG}{name}:");
    // A task must not block on a runtime of another's.
    let worker = std::thread::spawn(move || {
        let net = Net::new()?;
        let links = net.find_tagged(&tag)?;
        for link in &links {
            net.set_up(link.index, up)?;
        }
        Ok(links.len())
    });
    let done = worker
        .join()
        .map_err(|_| Error::new(Kind::Failed, "the thread that sets links up has failed"))?;
    match done {
        Ok(0) => {
            let what = format!("machine {name} has no link that ends on the host");
            Err(Error::new(Kind::NotFound, what).hint("`--vlan` and `--network=veth` give it one"))
        }
        Ok(count) => Ok(count),
        Err(error) => Err(refusal(&error)),
    }
}
