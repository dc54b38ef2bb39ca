//! The host's packet filter: one table `nsrun` for IP and one for bridges, in which every
//! owner has elements of sets. The tables come with the first owner and go with the last;
//! nothing outside them is touched. Spoken over netlink, so that no program is needed.

mod comment;
mod conntrack;
mod element;
mod firewall;
mod hook;
mod layout;
mod rule;
mod rules;
mod set;
mod socket;
mod step;
mod wire;

use nix::errno::Errno;

pub use firewall::{Obstacle, Program};
pub use rules::{Guard, InvalidTag, LinkRules, Port, Protocol, Rules, Tag};

use crate::error::{Error, Result};
use crate::name::IfName;
use element::Owned;
use rules::{Element, elements, ports};
use set::Set;
use socket::{Refusal, Socket};
use wire::{Family, Messages};

/// How often a change is tried again that others' changes have overtaken.
const ATTEMPTS: u32 = 8;

/// The tables of one network namespace.
#[derive(Debug)]
pub struct Table(Socket);

impl Table {
    /// The tables of the calling thread's namespace, there or not.
    ///
    /// # Errors
    /// If no socket can be opened.
    pub fn open() -> Result<Self> {
        Socket::open().map(Self)
    }

    /// Adds all of those rules in one transaction, and the tables if they are not there.
    ///
    /// # Errors
    /// If a port is published already, or the kernel lacks what is needed. Then nothing
    /// was added.
    pub fn install(&self, rules: &[Rules]) -> Result<()> {
        let wanted: Vec<(&Tag, Element)> = rules
            .iter()
            .flat_map(|rules| elements(rules).into_iter().map(|e| (&rules.tag, e)))
            .collect();
        self.add(&wanted)?;
        for rules in rules {
            conntrack::forget(&self.0, &rules.ports);
        }
        Ok(())
    }

    /// Publishes further ports of an owner who is there.
    ///
    /// # Errors
    /// If one of them is published already. Then none was added.
    pub fn add_ports(&self, tag: &Tag, added: &[Port]) -> Result<()> {
        let wanted: Vec<(&Tag, Element)> = ports(added).map(|e| (tag, e)).collect();
        self.add(&wanted)?;
        conntrack::forget(&self.0, added);
        Ok(())
    }

    /// Closes published ports, those of them that are open.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn remove_ports(&self, removed: &[Port]) -> Result<()> {
        self.delete(ports(removed).collect())?;
        conntrack::forget(&self.0, removed);
        Ok(())
    }

    /// Has other firewalls let those links' packets pass where they offer a place for
    /// such rules, and tells which ones do not and will drop them: an `accept` here does
    /// not overrule a `drop` there.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn pass_firewalls(&self, tag: &Tag, links: &[IfName]) -> Result<Vec<Obstacle>> {
        firewall::pass(&self.0, tag, links)
    }

    /// Removes what [`install`](Self::install) added for those rules, what their owners
    /// have in other firewalls, and the tables with the last owner. What is gone already is no failure.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn remove(&self, rules: &[Rules]) -> Result<()> {
        let dead = |tag: &str| rules.iter().any(|rules| rules.tag.as_str() == tag);
        hook::remove(&self.0, dead)?;
        if !self.remove_tables(dead)? {
            self.delete(rules.iter().flat_map(elements).collect())?;
            self.remove_tables(|_| false)?;
        }
        Ok(())
    }

    /// Removes everything whose tag begins with `prefix` and is not in `live`; returns
    /// the tags of what was removed.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn sweep(&self, prefix: &str, live: &[Tag]) -> Result<Vec<String>> {
        let dead = |tag: &str| tag.starts_with(prefix) && !live.iter().any(|t| t.as_str() == tag);
        self.remove_all_of(dead)
    }

    /// Removes everything of that owner, when what it has is not known; tells whether it
    /// had anything.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn remove_owner(&self, owner: &Tag) -> Result<bool> {
        let removed = self.remove_all_of(|tag| tag == owner.as_str())?;
        Ok(!removed.is_empty())
    }

    /// The tags of all owners.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn owners(&self) -> Result<Vec<String>> {
        let owners = self.owned(Set::Owners)?;
        Ok(owners.into_iter().map(|owned| owned.tag).collect())
    }

    /// Removes everything of the owners that `dead` says yes to; returns their tags.
    fn remove_all_of(&self, dead: impl Fn(&str) -> bool + Copy) -> Result<Vec<String>> {
        hook::remove(&self.0, dead)?;
        let mut tags = self.owners()?;
        tags.retain(|tag| dead(tag));
        if !self.remove_tables(dead)? && !tags.is_empty() {
            let mut found = Vec::new();
            for set in Set::ALL {
                found.extend(
                    self.owned(set)?
                        .into_iter()
                        .filter(|owned| dead(&owned.tag)),
                );
            }
            self.delete(found.into_iter().map(|owned| owned.element).collect())?;
            self.remove_tables(|_| false)?;
        }
        Ok(tags)
    }

    fn add(&self, wanted: &[(&Tag, Element)]) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let absent = self.absent(wanted)?;
            let Err(refusal) = self.try_add(&absent, wanted) else {
                return Ok(());
            };
            match refusal.first() {
                // Others have made the table meanwhile, or taken it away.
                Some((None, Errno::EEXIST) | (Some(_), Errno::ENOENT)) => {}
                // An element that is there with other data: the one number in older
                // kernels, the other in newer ones.
                Some((Some(element), Errno::EBUSY | Errno::EEXIST)) => {
                    let owner = self.owner_of(element)?;
                    let mine = wanted.iter().find(|(_, e)| std::ptr::eq(e, element));
                    // What a run that was killed has left may lead elsewhere.
                    if mine.is_none_or(|(tag, _)| owner.as_deref() != Some(tag.as_str())) {
                        return Err(taken(element, owner.as_deref()));
                    }
                    self.delete(vec![element.clone()])?;
                }
                _ => return Err(refusal.into_error("add rules to nftables' table nsrun")),
            }
        }
        Err(Error::other(
            "add rules to nftables' table nsrun",
            "it is not as this release makes it, or others keep changing it",
        ))
    }

    /// The families of the elements whose table is not there. Looked up beforehand, since
    /// the kernel takes some 10 ms to undo a transaction that it refuses.
    fn absent(&self, wanted: &[(&Tag, Element)]) -> Result<Vec<Family>> {
        let needed = |family: &Family| wanted.iter().any(|(_, e)| e.set.family() == *family);
        let present = self.present()?;
        let mut families = layout::FAMILIES.to_vec();
        families.retain(|family| needed(family) && !present.contains(family));
        Ok(families)
    }

    /// The families whose table is there.
    fn present(&self) -> Result<Vec<Family>> {
        layout::present(&self.0).map_err(|e| Error::io("list nftables' tables", &e))
    }

    /// One transaction: the tables of the families `absent`, then the elements.
    fn try_add<'a>(
        &self,
        absent: &[Family],
        wanted: &'a [(&Tag, Element)],
    ) -> std::result::Result<(), Refused<'a>> {
        let mut batch = Messages::begin(None);
        for family in absent {
            layout::create(&mut batch, *family);
        }
        let sent =
            |(tag, element): &'a (&Tag, Element)| (element::add(&mut batch, element, tag), element);
        let sent: Vec<(u32, &Element)> = wanted.iter().map(sent).collect();
        self.0
            .commit(batch)
            .map_err(|refusal| Refused { refusal, sent })
    }

    /// Removes the elements, without those that are not there.
    fn delete(&self, mut elements: Vec<Element>) -> Result<()> {
        while !elements.is_empty() {
            let mut batch = Messages::begin(None);
            let sent = |element| (element::delete(&mut batch, element), element);
            let sent: Vec<(u32, &Element)> = elements.iter().map(sent).collect();
            let Err(refusal) = self.0.commit(batch) else {
                return Ok(());
            };
            let refused = Refused { refusal, sent };
            let Some((Some(_), Errno::ENOENT)) = refused.first() else {
                return Err(refused.into_error("remove rules from nftables' table nsrun"));
            };
            let present = refused.without(Errno::ENOENT);
            elements = present.into_iter().cloned().collect();
        }
        Ok(())
    }

    /// Removes the tables if all owners are gone, and tells whether they are no more. The
    /// generation makes sure that nobody adds anything between the look and the deed.
    fn remove_tables(&self, gone: impl Fn(&str) -> bool) -> Result<bool> {
        let action = "remove nftables' table nsrun";
        for _ in 0..ATTEMPTS {
            let generation = self.0.generation().map_err(|e| Error::io(action, &e))?;
            let families = self.present()?;
            if families.is_empty() {
                return Ok(true);
            }
            if !self.owners()?.iter().all(|tag| gone(tag)) {
                return Ok(false);
            }
            let mut batch = Messages::begin(Some(generation));
            for family in families {
                layout::delete(&mut batch, family);
            }
            match self.0.commit(batch) {
                Ok(()) => return Ok(true),
                Err(refusal) if refusal.is_overtaken() => {}
                Err(refusal) => return Err(refusal.into_error(action)),
            }
        }
        // Whoever changes the rules so often is an owner, or leaves it to the next sweep.
        Ok(false)
    }

    fn owned(&self, set: Set) -> Result<Vec<Owned>> {
        element::list(&self.0, set).map_err(|e| {
            let name = set.name();
            Error::io(format!("list {name} of nftables' table nsrun"), &e)
        })
    }

    /// The tag of whoever has an element with that key.
    fn owner_of(&self, wanted: &Element) -> Result<Option<String>> {
        let mut there = self.owned(wanted.set)?.into_iter();
        let found = there.find(|owned| owned.element.key == wanted.key);
        Ok(found.map(|owned| owned.tag))
    }
}

/// Tells who has the port that the element is.
fn taken(wanted: &Element, owner: Option<&str>) -> Error {
    let what = match wanted.port {
        Some(port) => port.to_string(),
        None => wanted.set.name().to_owned(),
    };
    let whose = owner
        .map(|owner| format!(" by {owner}"))
        .unwrap_or_default();
    let cause = format!("it is published{whose} already");
    Error::other(format!("publish {what}"), cause)
}

/// A refused transaction, with the messages that were about elements.
struct Refused<'a> {
    refusal: Refusal,
    sent: Vec<(u32, &'a Element)>,
}

impl<'a> Refused<'a> {
    /// What was refused first, if it was an element, and why.
    fn first(&self) -> Option<(Option<&'a Element>, Errno)> {
        let (number, errno) = self.refusal.first()?;
        Some((self.element(number), errno))
    }

    fn element(&self, number: u32) -> Option<&'a Element> {
        let index = self.sent.binary_search_by_key(&number, |(n, _)| *n).ok()?;
        self.sent.get(index).map(|(_, element)| *element)
    }

    /// The elements that were not refused for that reason.
    fn without(&self, reason: Errno) -> Vec<&'a Element> {
        let refused = |number: u32| {
            let messages = self.refusal.messages();
            let found = messages.binary_search_by_key(&number, |(n, _)| *n);
            found.is_ok_and(|index| messages[index].1 == reason)
        };
        let kept = self.sent.iter().filter(|(number, _)| !refused(*number));
        kept.map(|(_, element)| *element).collect()
    }

    fn into_error(self, action: &str) -> Error {
        self.refusal.into_error(action)
    }
}
