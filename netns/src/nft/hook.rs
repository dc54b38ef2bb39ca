//! Rules in the chain that Docker leaves to others. They are as `iptables` would write
//! them: it refuses to touch a table that has anything else.

use std::io;

use super::comment::{comment, comment_in};
use super::rule::Rule;
use super::rules::Tag;
use super::socket::Socket;
use super::wire::{Family, Message, Messages, NLM_F_CREATE};
use crate::error::{Error, Result};
use crate::name::IfName;

pub(super) const TABLE: &str = "filter";
pub(super) const CHAIN: &str = "DOCKER-USER";

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_DELRULE: u16 = 8;

const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_USERDATA: u16 = 7;

/// What comments of ours begin with here, where others' rules are too.
const MARK: &str = "nsrun ";

/// A rule of ours that is there.
struct Present {
    family: Family,
    handle: Vec<u8>,
    tag: String,
}

/// Lets everything from and to those links pass in that family's table: what may pass is
/// for our own table to say. What the owner has there already is replaced.
pub(super) fn insert(socket: &Socket, family: Family, tag: &Tag, links: &[IfName]) -> Result<()> {
    let mut batch = Messages::begin(None);
    for old in present_in(socket, family)? {
        if old.tag == tag.as_str() {
            delete(&mut batch, &old);
        }
    }
    let rule = || Rule::of(CHAIN);
    for link in links {
        for rule in [rule().input_is(link), rule().output_is(link)] {
            batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE, family, |out| {
                rule.count().accept().write(TABLE, out);
                out.bytes(NFTA_RULE_USERDATA, &comment(&format!("{MARK}{tag}")));
            });
        }
    }
    let done = socket.commit(batch);
    done.map_err(|refusal| refusal.into_error(format!("add rules to nftables' chain {CHAIN}")))
}

/// Removes the rules whose tag `dead` says yes to. Rules that others have removed
/// meanwhile are no failure.
pub(super) fn remove(socket: &Socket, dead: impl Fn(&str) -> bool) -> Result<()> {
    loop {
        let mut rules = present(socket)?;
        rules.retain(|rule| dead(&rule.tag));
        if rules.is_empty() {
            return Ok(());
        }
        let mut batch = Messages::begin(None);
        for rule in &rules {
            delete(&mut batch, rule);
        }
        match socket.commit(batch) {
            Ok(()) => return Ok(()),
            Err(refusal) if refusal.is_gone() => {}
            Err(refusal) => {
                let action = format!("remove rules from nftables' chain {CHAIN}");
                return Err(refusal.into_error(action));
            }
        }
    }
}

/// Of a listing of a chain for all families at once the kernel gives the first only.
fn present(socket: &Socket) -> Result<Vec<Present>> {
    let mut rules = Vec::new();
    for family in FAMILIES {
        rules.extend(present_in(socket, family)?);
    }
    Ok(rules)
}

fn present_in(socket: &Socket, family: Family) -> Result<Vec<Present>> {
    let listed = socket.list(
        NFT_MSG_GETRULE,
        family,
        |out| {
            out.text(NFTA_RULE_TABLE, TABLE);
            out.text(NFTA_RULE_CHAIN, CHAIN);
        },
        |message| read(message, family),
    );
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io(format!("list nftables' chain {CHAIN}"), &error)),
        Ok(rules) => Ok(rules),
    }
}

fn read(message: Message<'_>, family: Family) -> Option<Present> {
    let attributes = message.attributes();
    let stored = attributes.get(NFTA_RULE_USERDATA)?;
    let tag = comment_in(stored)?.strip_prefix(MARK)?;
    Some(Present {
        family,
        handle: attributes.get(NFTA_RULE_HANDLE)?.to_vec(),
        tag: tag.to_owned(),
    })
}

fn delete(batch: &mut Messages, rule: &Present) {
    batch.add(NFT_MSG_DELRULE, 0, rule.family, |out| {
        out.text(NFTA_RULE_TABLE, TABLE);
        out.text(NFTA_RULE_CHAIN, CHAIN);
        out.bytes(NFTA_RULE_HANDLE, &rule.handle);
    });
}
