//! The link between host and machine: a pair made in place, with addresses that nobody uses.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use nsrun_netns::{
    Addresses, End, HostId, IfName, MacAddr, Net, Owner, VethPlan, pick_subnet, stable_seed,
    veth_name,
};

use crate::error::{Error, Kind, Result};
use crate::name::MachineName;

/// nspawn's name for the payload's end: images match on it.
const PEER: &str = "host0";

/// Sixteen addresses, as systemd-networkd gives a container.
const PREFIX: u8 = 28;

/// A link to be made, then one that exists; retired when dropped.
#[derive(Debug)]
pub(super) struct Link {
    plan: VethPlan,
    made: bool,
}

impl Link {
    /// Names, hardware addresses and network of the machine's link.
    pub(super) fn plan(machine: &MachineName, tag: String) -> Result<Self> {
        let (name, altname) = veth_name("ve-", machine.as_str()).map_err(wrong)?;
        let host = HostId::of_this_host();
        let mac = |end| MacAddr::derive(host, machine.as_str(), end, 0);
        Ok(Self {
            plan: VethPlan {
                host: Owner {
                    name,
                    mac: mac(End::Host),
                    tag,
                },
                altname,
                peer: PEER.parse::<IfName>().map_err(wrong)?,
                peer_mac: mac(End::Peer),
                addresses: None,
            },
            made: false,
        })
    }

    /// How the host's end is recognised.
    pub(super) fn owner(&self) -> &Owner {
        &self.plan.host
    }

    /// The payload's addresses, once the link is made.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let peer = |addresses: &Addresses| IpAddr::V4(addresses.peer.addr());
        self.plan.addresses.as_ref().map(peer).into_iter().collect()
    }

    /// Makes the pair, with the payload's end inside `netns`.
    pub(super) fn make(&mut self, machine: &MachineName, netns: BorrowedFd<'_>) -> Result<()> {
        let net = Net::new().map_err(wrong)?;
        let used = net.used_networks().map_err(wrong)?;
        let subnet = pick_subnet(&used, stable_seed(machine.as_str()), PREFIX);
        self.plan.addresses = subnet.and_then(Addresses::first_two);
        self.made = true;
        net.create_veth(netns, &self.plan).map_err(|error| {
            let taken = error.errno() == Some(nix::errno::Errno::EEXIST);
            let error = wrong(error);
            if taken {
                error.kinded(Kind::Busy).hint(
                    "a link of that name exists: `ip link show` tells whose; another machine name \
                     gives another link name",
                )
            } else {
                error
            }
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.made {
            // Left to die with the payload's namespace; a failure leaves it under its old name,
            // where the next start finds it by its tag.
            let _ = Net::new().and_then(|net| net.retire(&self.plan.host));
        }
    }
}

fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Failed, error.to_string())
}
