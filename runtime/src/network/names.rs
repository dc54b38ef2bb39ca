//! The names of a machine's network: its own, the host's, and those of its zone.

use std::net::IpAddr;

use nsrun_netns::{IpNet, dns};

use crate::name::MachineName;
use crate::state::{Record, Store};

/// What the host is called.
const HOST: &str = "host";

/// Names as the machine may know them. Asked anew for each question, so that whoever joins a zone is
/// found there.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) own: MachineName,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) networks: Vec<IpNet>,
    /// The host's addresses in the network.
    pub(super) host: Vec<IpAddr>,
    pub(super) zone: Option<String>,
    pub(super) store: Store,
}

impl Names {
    /// Another machine's record, if that is in the zone.
    fn neighbour(&self, name: &str) -> Option<Record> {
        let name: MachineName = name.parse().ok()?;
        let machine = self.store.machine(&name).ok()??;
        let record = machine.record()?;
        self.knows(record).then(|| record.clone())
    }

    fn knows(&self, record: &Record) -> bool {
        self.zone.is_some() && record.zone == self.zone
    }
}

impl dns::Names for Names {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        if name.eq_ignore_ascii_case(self.own.as_str()) {
            return Some(self.addresses.clone());
        }
        if name == HOST {
            return Some(self.host.clone());
        }
        self.neighbour(name).map(|record| record.addresses)
    }

    fn name(&self, address: IpAddr) -> Option<String> {
        if self.addresses.contains(&address) {
            return Some(self.own.to_string());
        }
        if self.host.contains(&address) {
            return Some(HOST.to_owned());
        }
        // Only a zone has others; all machines are not looked through for any address.
        if self.zone.is_none() || !self.covers(address) {
            return None;
        }
        let machines = self.store.list().ok()?;
        let mut machines = machines.into_iter().flatten();
        machines.find_map(|machine| {
            let record = machine.record().filter(|record| self.knows(record))?;
            record
                .addresses
                .contains(&address)
                .then(|| record.name.clone())
        })
    }

    fn covers(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(&address))
    }
}
