//! Being the one who runs a machine.

use std::path::Path;

use super::cleanup::Remover;
use super::dir::Dir;
use super::journal::Journal;
use super::residue::Item;
use super::{Record, Store, record};
use crate::error::Result;
use crate::lock::{ImageLock, ImageLocks, Mode};
use crate::name::MachineName;
use crate::range::{Range, RangeLease, Ranges};
use crate::sys::ofd::OfdLock;

/// A machine's lock, held, and all that the machine has outside of its directory.
///
/// The order in which a machine takes locks is: its name, its image, its id range. None
/// of them is ever waited for, only the host's accounts are while a range is picked.
///
/// Dropping a claim that was not ended ends it, without telling what failed. Killing its
/// holder leaves everything to the next command that meets the machine. A forked child
/// inherits the descriptors of the locks, closed on exec, and must never drop a claim.
#[derive(Debug)]
pub struct Claim {
    store: Store,
    name: MachineName,
    dir: Dir,
    journal: Journal,
    images: Vec<ImageLock>,
    range: Option<RangeLease>,
    /// `None` once the claim has ended.
    lock: Option<OfdLock>,
    tried_to_end: bool,
}

impl Claim {
    pub(super) fn new(
        store: Store,
        name: MachineName,
        dir: Dir,
        lock: OfdLock,
        journal: Journal,
    ) -> Self {
        Self {
            store,
            name,
            dir,
            journal,
            images: Vec::new(),
            range: None,
            lock: Some(lock),
            tried_to_end: false,
        }
    }

    /// The machine's name.
    #[must_use]
    pub fn name(&self) -> &MachineName {
        &self.name
    }

    /// The machine's directory: for its sockets, which go with it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Notes a thing outside of the directory that is about to be made.
    ///
    /// # Errors
    /// If it cannot be written down; the thing must not be made then.
    pub fn note(&mut self, item: Item) -> Result<()> {
        self.journal.add(item)
    }

    /// Strikes a thing off that the holder has taken away again, as between two starts of
    /// a machine that reboots.
    ///
    /// # Errors
    /// If it cannot be written down, which is harmless.
    pub fn strike(&mut self, item: &Item) -> Result<()> {
        self.journal.strike(&self.dir, item)
    }

    /// The same of a thing whose absence the caller has seen, and that a crash may look for in
    /// vain: nothing is written down.
    pub(crate) fn forget(&mut self, item: &Item) {
        self.journal.forget(item);
    }

    /// The things noted and not struck off.
    #[must_use]
    pub fn noted(&self) -> &[Item] {
        self.journal.items()
    }

    /// Publishes the machine's record in place of the one before.
    ///
    /// # Errors
    /// If it cannot be written; the one before stays.
    pub fn publish(&self, record: &Record) -> Result<()> {
        record::write(&self.dir, record)
    }

    /// Locks an image for as long as the claim lasts.
    ///
    /// # Errors
    /// As [`ImageLocks::take`]; if the lock files cannot be noted.
    pub fn lock_image(&mut self, image: &ImageLocks, mode: Mode) -> Result<()> {
        for file in image.files() {
            note_lock_file(&mut self.journal, file)?;
        }
        self.images.push(image.take(mode)?);
        Ok(())
    }

    /// Picks an id range and holds it for as long as the claim lasts.
    ///
    /// # Errors
    /// As [`Ranges::pick`]; if the lock file cannot be noted.
    pub fn pick_range(&mut self, ranges: &Ranges, shifted_to: Option<u32>) -> Result<Range> {
        let journal = &mut self.journal;
        let lease = ranges.pick(&self.name, shifted_to, |file| note_lock_file(journal, file))?;
        Ok(self.range.insert(lease).range())
    }

    /// Holds the id range that the user chose for as long as the claim lasts.
    ///
    /// # Errors
    /// As [`Ranges::hold`]; if a lock file cannot be noted.
    pub fn hold_range(&mut self, ranges: &Ranges, range: Range) -> Result<()> {
        let journal = &mut self.journal;
        let lease = ranges.hold(range, |file| note_lock_file(journal, file))?;
        self.range = Some(lease);
        Ok(())
    }

    /// Takes away all that was noted, then the locks, then the machine's directory; the
    /// machine's name is free then. Must not be called from an asynchronous task.
    ///
    /// # Errors
    /// The first step's that failed, after all others were tried. Everything is still
    /// claimed then, so that nobody starts the machine beside a process that is stuck.
    pub fn end(&mut self) -> Result<()> {
        self.tried_to_end = true;
        if self.lock.is_some() {
            if !self.journal.items().iter().all(is_own_lock_file) {
                self.store
                    .take_away(&self.name, &self.dir, Remover::Holder)?;
            }
            // Their files are unlinked by their holders, while they are held.
            self.images.clear();
            self.range = None;
            self.store.remove(&self.name, &self.dir)?;
            self.lock = None;
        }
        Ok(())
    }

    /// Lets go of the lock and of nothing else, as a kill does.
    #[cfg(test)]
    pub(super) fn abandon(mut self) {
        self.lock = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.tried_to_end {
            let _ = self.end();
        }
    }
}

/// Such files go with the locks, which are still held.
fn is_own_lock_file(item: &Item) -> bool {
    matches!(item, Item::LockFile { .. })
}

fn note_lock_file(journal: &mut Journal, file: &Path) -> Result<()> {
    journal.add(Item::LockFile {
        path: file.to_owned(),
    })
}
