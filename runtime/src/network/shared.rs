//! Bridges that machines share: zones, and networks of machines alone. The first makes one, the last
//! takes it away. Its ports are the count; systemd-nspawn counts its zones alike, under the same lock.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nsrun_netns::nft::{Rules, Table};
use nsrun_netns::{BridgePlan, End, HostId, IfName, MacAddr, Net};

use super::refusal;
use crate::error::{Context, Error, Kind, Result};
use crate::lock::{LockFile, Mode, make_dir};
use crate::state::Item;

/// The directory of systemd-nspawn's lock, and the lock.
const DIR: &str = "/run/systemd";
const LOCK: &str = "/run/systemd/nspawn-network-zone";

/// Making a bridge takes about a millisecond.
const PATIENCE: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(1);

/// A bridge in which a machine has a port; left when dropped, which takes it away if it was the last.
#[derive(Debug)]
pub(super) struct Shared(pub(super) IfName);

impl Shared {
    pub(super) fn item(&self) -> Item {
        Item::bridge(&self.0)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A failure leaves it to the last of the other machines, or to the next command.
        let _ = release(&self.0);
    }
}

/// While this value lives, no bridge that is shared comes or goes.
#[derive(Debug)]
pub(super) struct Counting {
    _lock: LockFile,
}

impl Counting {
    pub(super) fn begin() -> Result<Self> {
        let what = || format!("lock {LOCK}");
        make_dir(Path::new(DIR), 0o755).cannot(what)?;
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = LockFile::take(Path::new(LOCK), Mode::Exclusive).cannot(what)? {
                return Ok(Self { _lock: lock });
            }
            if Instant::now() > end {
                let error = Error::new(Kind::Busy, format!("cannot lock {LOCK}"));
                return Err(error
                    .because("another program has it")
                    .hint("see who: fuser -v on that file"));
            }
            sleep(PAUSE);
        }
    }
}

/// Makes the bridge unless it is there. Its address is the same on each start, so that neighbours
/// that remember it are right.
pub(super) fn ensure(net: &Net, name: &IfName, host: HostId) -> Result<()> {
    let plan = BridgePlan {
        name: name.clone(),
        mac: mac(name, host),
    };
    net.ensure_bridge(&plan)
        .map(drop)
        .map_err(|error| refusal(&error))
}

/// The Ethernet address of a bridge that nsrun makes.
pub(super) fn mac(name: &IfName, host: HostId) -> MacAddr {
    MacAddr::derive(host, name.as_str(), End::Host, 0)
}

/// The text by which rules of a bridge are found.
pub(super) fn tag(bridge: &IfName) -> String {
    format!("nsrun-bridge:{bridge}")
}

/// Adds the rules of a bridge, unless they are there.
pub(super) fn install(rules: Rules) -> Result<()> {
    let added = Table::open().and_then(|table| table.install(&[rules]));
    added.map_err(|error| refusal(&error))
}

/// Takes a bridge away if nobody has a port in it.
///
/// # Errors
/// If the lock cannot be taken, or the kernel refuses.
pub(crate) fn release(name: &IfName) -> Result<()> {
    let _counting = Counting::begin()?;
    let deleted = Net::new().and_then(|net| net.delete_unused_bridge(name));
    if deleted.map_err(|error| refusal(&error))? {
        super::filter::sweep(&tag(name))?;
    }
    Ok(())
}
