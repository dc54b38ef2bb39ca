//! Links of the host that a machine has for itself, and gives back.

use std::os::fd::{AsFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nsrun_netns::{Moved, Net};

use super::refusal;
use crate::error::Result;
use crate::state::Item;

/// How long the kernel may take to give back a link whose namespace is being taken down: it does so
/// after a grace period of RCU.
const PATIENCE: Duration = Duration::from_millis(500);

const PAUSE: Duration = Duration::from_millis(5);

/// A link in a machine; given back when dropped. Its namespace is kept until then, or it would be
/// taken down with those links that are not of hardware.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) moved: Moved,
    pub(super) index: Option<u32>,
    pub(super) netns: OwnedFd,
}

impl Lent {
    pub(super) fn item(&self) -> Item {
        Item::lent(&self.moved)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A failure leaves it to the kernel, and to the next command, which finds it by its tag.
        let netns = self.netns.as_fd();
        let _ = Net::new().and_then(|net| net.take_back(netns, self.index, &self.moved));
    }
}

/// Gives a link that came back by itself its name again. One that has not come back after a while
/// has died with the machine.
///
/// # Errors
/// If the kernel refuses.
pub(crate) fn restore(moved: &Moved) -> Result<()> {
    let net = Net::new().map_err(|error| refusal(&error))?;
    let end = Instant::now() + PATIENCE;
    while !net.restore(moved).map_err(|error| refusal(&error))? && Instant::now() < end {
        sleep(PAUSE);
    }
    Ok(())
}
