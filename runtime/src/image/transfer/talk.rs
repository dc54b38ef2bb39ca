//! What the two processes tell the one that waits for them.

use std::os::fd::BorrowedFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};
use crate::image::wire::{Message, Sender, Summary};
use crate::image::worker::Ticker;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Side {
    Reads,
    Writes,
}

/// One message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) by: Side,
    pub(super) message: Message,
}

/// The speaking end of one of them.
#[derive(Debug)]
pub(super) struct Line<'a> {
    side: Side,
    sender: &'a Sender,
    ticker: Ticker<'a>,
}

impl<'a> Line<'a> {
    pub(super) fn new(side: Side, sender: &'a Sender) -> Self {
        Self {
            side,
            sender,
            ticker: Ticker::new(sender),
        }
    }

    /// Tells how far it is, now and then.
    pub(super) fn progress(&mut self, bytes: u64) {
        if self.ticker.is_due() {
            self.tell(Message::Progress(bytes));
        }
    }

    /// Tells how it ended.
    pub(super) fn end(&self, outcome: Result<Summary>) {
        self.tell(match outcome {
            Ok(summary) => Message::Done(summary),
            Err(error) => Message::failed(&error),
        });
    }

    fn tell(&self, message: Message) {
        let by = self.side;
        self.sender.send(&Told { by, message });
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    /// If the one that waits has let go of the line: it wants no more.
    pub(super) fn wait_for(&self, input: BorrowedFd<'_>) -> Result<()> {
        loop {
            let mut fds = [
                PollFd::new(self.sender.as_fd(), PollFlags::empty()),
                PollFd::new(input, PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(nix::Error::EINTR) => continue,
                Err(error) => return Err(error).cannot(|| "wait for the archive"),
            }
            if fds[0].any() == Some(true) {
                return Err(Error::new(Kind::Failed, "interrupted"));
            }
            if fds[1].any() == Some(true) {
                return Ok(());
            }
        }
    }
}
