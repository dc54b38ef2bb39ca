//! Messages about elements of sets.

use std::io;

use super::comment::{comment, comment_in};
use super::rules::{Element, Tag};
use super::set::{Set, TABLE};
use super::socket::Socket;
use super::step::value;
use super::wire::{Attributes, Messages, NLM_F_CREATE, Writer};

const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_GETSETELEM: u16 = 13;
const NFT_MSG_DELSETELEM: u16 = 14;

const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_DATA_VALUE: u16 = 1;

/// An element that is in a table.
#[derive(Debug)]
pub(super) struct Owned {
    /// Empty if it has none.
    pub(super) tag: String,
    pub(super) element: Element,
}

/// Adds the message that adds the element; one that is there with the same data is kept.
pub(super) fn add(batch: &mut Messages, element: &Element, tag: &Tag) -> u32 {
    let flags = NLM_F_CREATE;
    batch.add(NFT_MSG_NEWSETELEM, flags, element.set.family(), |out| {
        single(out, element, |out| {
            if !element.data.is_empty() {
                value(out, NFTA_SET_ELEM_DATA, &element.data);
            }
            out.bytes(NFTA_SET_ELEM_USERDATA, &comment(tag.as_str()));
        });
    })
}

/// Adds the message that removes the element.
pub(super) fn delete(batch: &mut Messages, element: &Element) -> u32 {
    batch.add(NFT_MSG_DELSETELEM, 0, element.set.family(), |out| {
        single(out, element, |_| {});
    })
}

/// The set's elements; none if there is no such set.
pub(super) fn list(socket: &Socket, set: Set) -> io::Result<Vec<Owned>> {
    let listed = socket.list(
        NFT_MSG_GETSETELEM,
        set.family(),
        |out| name_set(out, set),
        |message| {
            let elements = message.attributes().nested(NFTA_SET_ELEM_LIST_ELEMENTS);
            Some(read(set, elements))
        },
    );
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => Ok(other?.into_iter().flatten().collect()),
    }
}

fn read(set: Set, elements: Attributes<'_>) -> Vec<Owned> {
    let one = |element: Attributes<'_>| {
        let key = element.nested(NFTA_SET_ELEM_KEY).get(NFTA_DATA_VALUE)?;
        let data = element.nested(NFTA_SET_ELEM_DATA).get(NFTA_DATA_VALUE);
        let tag = element.get(NFTA_SET_ELEM_USERDATA).and_then(comment_in);
        Some(Owned {
            tag: tag.unwrap_or_default().to_owned(),
            element: Element::read(set, key, data.unwrap_or_default()),
        })
    };
    elements.each(NFTA_LIST_ELEM).filter_map(one).collect()
}

fn single(out: &mut Writer<'_>, element: &Element, more: impl FnOnce(&mut Writer<'_>)) {
    name_set(out, element.set);
    out.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
        list.nest(NFTA_LIST_ELEM, |out| {
            value(out, NFTA_SET_ELEM_KEY, &element.key);
            more(out);
        });
    });
}

fn name_set(out: &mut Writer<'_>, set: Set) {
    out.text(NFTA_SET_ELEM_LIST_TABLE, TABLE);
    out.text(NFTA_SET_ELEM_LIST_SET, set.name());
}
