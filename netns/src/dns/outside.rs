//! Whose questions are not even read: a forwarder for the inside of a namespace is none for
//! the networks that it is linked to. A host takes packets for any of its addresses from
//! any of its links, and would answer them.

use std::io;

use nix::net::if_::if_nameindex;
use socket2::{SockFilter, SockRef};

use crate::link::LOOPBACK_INDEX;
use crate::place::Place;
use crate::relay::Listener;

// Of linux/bpf_common.h and linux/filter.h.
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// A pseudo field: the number of the link that a packet came by.
const LINK: u32 = 0xffff_f000 + 8;
const REFUSE: u32 = 0;
const TAKE: u32 = u32::MAX;

/// The links of a namespace but for its loopback, as they are now. Those that are made
/// later are the namespace's own, such as to containers in it.
#[derive(Clone, Debug)]
pub(super) struct Outside(Vec<u32>);

impl Outside {
    pub(super) fn of(place: &Place) -> io::Result<Self> {
        let indices = place.open(|| {
            let links = if_nameindex()?;
            Ok(links
                .iter()
                .map(nix::net::if_::Interface::index)
                .collect::<Vec<_>>())
        });
        let mut indices = indices?;
        indices.retain(|index| *index != LOOPBACK_INDEX);
        Ok(Self(indices))
    }

    /// Has the kernel drop what comes to the socket from there, before a connection is made.
    pub(super) fn ignored_by(&self, listener: &Listener) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        SockRef::from(listener).attach_filter(&self.program())
    }

    fn program(&self) -> Vec<SockFilter> {
        let step = |code, operand| SockFilter::new(code, 0, 0, operand);
        let mut program = vec![step(LOAD_WORD, LINK)];
        for index in &self.0 {
            program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, *index));
            program.push(step(RETURN, REFUSE));
        }
        program.push(step(RETURN, TAKE));
        program
    }
}
