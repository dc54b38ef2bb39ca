//! Options for the machine's network, in nspawn's spelling as far as that has them.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueHint;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use nsrun_runtime::plan::network::{
    Addressing, Bridged, Choice, Ipv4Net, Ipv6Net, LinkPair, LinksRequest, MacAddr, Mtu, Publish,
    PublishHost, Vlan, Zone,
};
use nsrun_runtime::plan::{Network, Request};
use nsrun_runtime::{Error, Kind, Result};

/// Where they are in the help: by each option, since a group's heading would hold for what follows.
const HEADING: &str = "Network";

// Whose network it is, and by which links.
#[derive(clap::Args, Debug)]
pub struct NetworkArgs {
    /// Choose the machine's network [default: veth for boot, private for run]
    #[arg(help_heading = HEADING, long, value_name = "MODE", value_parser = networks(),
        conflicts_with_all = ["network_veth", "private_network"])]
    network: Option<Network>,

    /// Link the machine to the host, as --network=veth
    #[arg(help_heading = HEADING, short = 'n', long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        value_parser = BoolishValueParser::new(),
        overrides_with = "no_network_veth"
    )]
    network_veth: Option<bool>,

    /// Do not
    #[arg(long, hide = true, overrides_with = "network_veth")]
    no_network_veth: bool,

    /// Give the machine a network of its own, as --network=private
    #[arg(help_heading = HEADING, long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        value_parser = BoolishValueParser::new(),
        overrides_with = "no_private_network"
    )]
    private_network: Option<bool>,

    /// Do not
    #[arg(long, hide = true, overrides_with = "private_network")]
    no_private_network: bool,

    /// Join the network namespace that PATH stands for, such as /run/netns/NAME
    #[arg(help_heading = HEADING, long, value_name = "PATH", value_hint = ValueHint::FilePath,
        conflicts_with_all = ["network", "network_veth"])]
    network_namespace_path: Option<PathBuf>,

    /// Make the machine's link a port of this bridge of the host
    #[arg(help_heading = HEADING, long, value_name = "BRIDGE")]
    network_bridge: Option<Bridged>,

    /// Put the machine's link into the zone NAME, where machines reach each other
    #[arg(help_heading = HEADING, long, value_name = "NAME")]
    network_zone: Option<Zone>,

    /// Give the machine a macvlan of a link of the host
    #[arg(help_heading = HEADING, long, value_name = "LINK[:NAME]")]
    network_macvlan: Vec<LinkPair>,

    /// Give the machine an ipvlan of a link of the host
    #[arg(help_heading = HEADING, long, value_name = "LINK[:NAME]")]
    network_ipvlan: Vec<LinkPair>,

    /// Give the machine a link of the host for itself, until it ends
    #[arg(help_heading = HEADING, long, value_name = "LINK[:NAME]")]
    network_interface: Vec<LinkPair>,

    /// Make one more link between host and machine, without addresses
    #[arg(help_heading = HEADING, long, value_name = "LINK[:NAME]")]
    network_veth_extra: Vec<LinkPair>,

    /// Put the machine into a network of machines alone, as number N of it
    #[arg(help_heading = HEADING, long, value_name = "VLAN[:N]")]
    vlan: Vec<Vlan>,

    /// Set the first link's Ethernet address [default: nspawn's choice]
    #[arg(help_heading = HEADING, long, value_name = "ADDRESS", value_parser = ethernet)]
    mac: Option<MacAddr>,

    /// Set the longest packet of the first link
    #[arg(help_heading = HEADING, long, value_name = "BYTES")]
    mtu: Option<Mtu>,

    /// Set the first link's IPv4 address, or `none` [default: auto]
    #[arg(help_heading = HEADING, long, value_name = "ADDRESS/PREFIX")]
    ip: Option<Choice<Ipv4Net>>,

    /// Set its IPv6 address, or `none` [default: auto]
    #[arg(help_heading = HEADING, long, value_name = "ADDRESS/PREFIX")]
    ip6: Option<Choice<Ipv6Net>>,

    /// Route by this address in the network of --ip or --ip6 [default: the host, if it is in there]
    #[arg(help_heading = HEADING, long, value_name = "ADDRESS")]
    gateway: Vec<IpAddr>,

    /// Resolve names by this server
    #[arg(help_heading = HEADING, long, value_name = "ADDRESS")]
    dns: Vec<IpAddr>,

    /// Publish a port of the machine at PORT of the host
    #[arg(help_heading = HEADING, short = 'p', long,
        value_name = "[ADDRESS:][tcp:|udp:]PORT[-LAST][:MACHINE]")]
    port: Vec<Publish>,

    /// Let the machine find a port of the host's loopback on its own
    #[arg(help_heading = HEADING, long, value_name = "[tcp:|udp:]PORT")]
    publish_host: Vec<PublishHost>,
}

impl NetworkArgs {
    /// Puts what was said into the request.
    pub fn apply(&self, request: &mut Request) -> Result<()> {
        request.network = self.network();
        request.network_namespace = self.namespace()?;
        request.links = LinksRequest {
            bridge: self.network_bridge.clone(),
            zone: self.network_zone.clone(),
            interfaces: self.network_interface.clone(),
            macvlans: self.network_macvlan.clone(),
            ipvlans: self.network_ipvlan.clone(),
            extra: self.network_veth_extra.clone(),
            vlans: self.vlan.clone(),
            addressing: Addressing {
                mac: self.mac,
                mtu: self.mtu.map(|Mtu(bytes)| bytes),
                ip: self.ip.unwrap_or_default(),
                ip6: self.ip6.unwrap_or_default(),
                gateways: self.gateway.clone(),
                dns: self.dns.clone(),
            },
            ports: self.port.clone(),
            host_ports: self.publish_host.clone(),
        };
        Ok(())
    }

    fn network(&self) -> Option<Network> {
        let said = |yes: Option<bool>, no: bool| if no { Some(false) } else { yes };
        let veth = said(self.network_veth, self.no_network_veth);
        let private = said(self.private_network, self.no_private_network);
        match (self.network, veth, private) {
            (Some(network), _, _) => Some(network),
            (None, Some(true), _) => Some(Network::Veth),
            (None, _, Some(false)) => Some(Network::Host),
            (None, Some(false), _) | (None, None, Some(true)) => Some(Network::Private),
            (None, None, None) => None,
        }
    }

    fn namespace(&self) -> Result<Option<PathBuf>> {
        let path = self.network_namespace_path.as_deref();
        let absolute = path.map(std::path::absolute).transpose();
        absolute.map_err(|error| {
            let what = "cannot use --network-namespace-path";
            Error::new(Kind::Usage, what).because(error)
        })
    }
}

fn networks() -> impl TypedValueParser<Value = Network> {
    const ALL: [Network; 3] = [Network::Host, Network::Private, Network::Veth];
    PossibleValuesParser::new(ALL.map(Network::word)).try_map(|word| {
        let found = ALL.into_iter().find(|network| network.word() == word);
        found.ok_or("no such network")
    })
}

/// An address that a link can have.
fn ethernet(text: &str) -> Result<MacAddr> {
    let wrong = |rule: String| {
        let text = text.escape_debug();
        Error::new(
            Kind::Usage,
            format!("invalid Ethernet address '{text}': {rule}"),
        )
    };
    let mac: MacAddr = text.parse().map_err(|error| wrong(format!("{error}")))?;
    if mac.is_unicast() {
        Ok(mac)
    } else {
        Err(wrong("it is not that of one link".to_owned()))
    }
}
