//! Other people's rules that drop what is to be forwarded: who they are, and what makes
//! them let a link's packets pass.

use std::collections::BTreeSet;
use std::fmt;

use super::hook;
use super::rules::Tag;
use super::socket::Socket;
use super::wire::{Attributes, Family, Message, text};
use crate::error::{Error, Result};
use crate::name::IfName;

const NFT_MSG_GETCHAIN: u16 = 4;
const NFT_MSG_GETRULE: u16 = 7;

/// Families whose chains see packets that are forwarded, by their numbers.
const ROUTED: [Family; 3] = [Family::Inet, Family::Ipv4, Family::Ipv6];

/// Whose rules they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Docker, without its chain for others' rules.
    Docker,
    /// firewalld.
    Firewalld,
    /// ufw.
    Ufw,
    /// The NixOS module `networking.firewall`.
    NixOs,
    /// Somebody's.
    Other,
}

/// A firewall that drops what is forwarded from or to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Whose it is.
    pub program: Program,
    /// Its table, as `nft list table` takes it.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// The link.
    pub link: IfName,
}

impl Obstacle {
    /// What makes it let the link's packets pass.
    #[must_use]
    pub fn remedy(&self) -> String {
        let Self {
            table, chain, link, ..
        } = self;
        match self.program {
            Program::Firewalld => {
                format!("firewall-cmd --zone=trusted --add-interface={link}")
            }
            Program::Ufw => {
                format!("ufw route allow in on {link} && ufw route allow out on {link}")
            }
            Program::NixOs => format!(
                "networking.firewall.extraForwardRules = ''iifname \"{link}\" accept; oifname \"{link}\" accept;'';"
            ),
            Program::Docker | Program::Other => format!(
                "nft insert rule {table} {chain} iifname {link} accept && nft insert rule {table} {chain} oifname {link} accept"
            ),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table, chain, link, ..
        } = self;
        let whose = match self.program {
            Program::Docker => "Docker's rules",
            Program::Firewalld => "firewalld",
            Program::Ufw => "ufw",
            Program::NixOs => "the NixOS firewall",
            Program::Other => "a firewall",
        };
        write!(
            f,
            "{whose} (table {table}, chain {chain}) drops what is forwarded from and to {link}"
        )
    }
}

/// A chain of somebody's.
struct Chain {
    family: Family,
    table: String,
    name: String,
    /// It is where packets that are forwarded go by, and drops them unless told otherwise.
    drops_forwarded: bool,
}

/// Lets the links' packets pass by the chain that Docker leaves for that, in each table
/// that would drop them and has it; returns what else drops them.
pub(super) fn pass(socket: &Socket, tag: &Tag, links: &[IfName]) -> Result<Vec<Obstacle>> {
    let chains = chains(socket)?;
    let mut obstacles = Vec::new();
    for chain in chains.iter().filter(|chain| chain.drops_forwarded) {
        let of_table = |other: &&Chain| other.family == chain.family && other.table == chain.table;
        let beside: Vec<&Chain> = chains.iter().filter(of_table).collect();
        if chain.table == hook::TABLE && beside.iter().any(|other| other.name == hook::CHAIN) {
            hook::insert(socket, chain.family, tag, links)?;
            continue;
        }
        let named = links_named(socket, chain)?;
        let unknown = links.iter().filter(|link| !mentions(&named, link));
        obstacles.extend(unknown.map(|link| Obstacle {
            program: program(chain, &beside),
            table: format!("{} {}", family_name(chain.family), chain.table),
            chain: chain.name.clone(),
            link: link.clone(),
        }));
    }
    Ok(obstacles)
}

fn program(chain: &Chain, beside: &[&Chain]) -> Program {
    let has = |prefix: &str| beside.iter().any(|other| other.name.starts_with(prefix));
    match chain.table.as_str() {
        "firewalld" => Program::Firewalld,
        "nixos-fw" => Program::NixOs,
        _ if has("ufw-") || has("ufw6-") => Program::Ufw,
        _ if has("DOCKER") => Program::Docker,
        _ => Program::Other,
    }
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip6",
        _ => "inet",
    }
}

fn chains(socket: &Socket) -> Result<Vec<Chain>> {
    let listed = socket.list(NFT_MSG_GETCHAIN, Family::Unspecified, |_| {}, read_chain);
    listed.map_err(|e| Error::io("list nftables' chains", &e))
}

fn read_chain(message: Message<'_>) -> Option<Chain> {
    const NFTA_CHAIN_TABLE: u16 = 1;
    const NFTA_CHAIN_NAME: u16 = 3;
    const NFTA_CHAIN_HOOK: u16 = 4;
    const NFTA_CHAIN_POLICY: u16 = 5;
    const NFTA_HOOK_HOOKNUM: u16 = 1;
    const NF_INET_FORWARD: u32 = 2;
    const NF_DROP: u32 = 0;
    let family = ROUTED
        .into_iter()
        .find(|family| message.family() == Some(*family as u8))?;
    let attributes = message.attributes();
    let table = attributes.text(NFTA_CHAIN_TABLE)?.to_owned();
    let hook = attributes.nested(NFTA_CHAIN_HOOK).number(NFTA_HOOK_HOOKNUM);
    let drops = attributes.number(NFTA_CHAIN_POLICY) == Some(NF_DROP);
    let name = attributes.text(NFTA_CHAIN_NAME)?.to_owned();
    // firewalld's policy is to accept, and its last rule to reject.
    let rejects = table == "firewalld" && name == "filter_FORWARD";
    Some(Chain {
        drops_forwarded: hook == Some(NF_INET_FORWARD) && (drops || rejects),
        family,
        table,
        name,
    })
}

/// What the table's rules compare with: the names of links, whole or up to an asterisk,
/// are among it.
fn links_named(socket: &Socket, chain: &Chain) -> Result<BTreeSet<Vec<u8>>> {
    const NFTA_RULE_TABLE: u16 = 1;
    const NFTA_RULE_EXPRESSIONS: u16 = 4;
    const NFTA_LIST_ELEM: u16 = 1;
    let listed = socket.list(
        NFT_MSG_GETRULE,
        chain.family,
        |out| out.text(NFTA_RULE_TABLE, &chain.table),
        |message| {
            let attributes = message.attributes();
            let of_table = attributes.text(NFTA_RULE_TABLE) == Some(chain.table.as_str());
            let expressions = attributes.nested(NFTA_RULE_EXPRESSIONS);
            let compared = expressions.each(NFTA_LIST_ELEM).filter_map(compared_with);
            of_table.then(|| compared.map(<[u8]>::to_vec).collect::<Vec<_>>())
        },
    );
    let table = &chain.table;
    let listed = listed.map_err(|e| Error::io(format!("list nftables' table {table}"), &e))?;
    Ok(listed.into_iter().flatten().collect())
}

fn compared_with(expression: Attributes<'_>) -> Option<&[u8]> {
    const NFTA_EXPR_NAME: u16 = 1;
    const NFTA_EXPR_DATA: u16 = 2;
    const NFTA_CMP_DATA: u16 = 3;
    const NFTA_DATA_VALUE: u16 = 1;
    let is_compare = expression.text(NFTA_EXPR_NAME) == Some("cmp");
    let data = expression.nested(NFTA_EXPR_DATA).nested(NFTA_CMP_DATA);
    data.get(NFTA_DATA_VALUE).filter(|_| is_compare)
}

/// Whether the link is named, or a beginning of its name that tells more than its kind:
/// bytes of other things that are compared with are never that.
fn mentions(named: &BTreeSet<Vec<u8>>, link: &IfName) -> bool {
    const SHORTEST: usize = 3;
    named.iter().any(|value| match text(value) {
        Some(name) if value.contains(&0) => name == link.as_str(),
        Some(prefix) => prefix.len() >= SHORTEST && link.as_str().starts_with(prefix),
        None => false,
    })
}
