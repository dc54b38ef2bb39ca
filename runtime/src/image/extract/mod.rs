//! Unpacks an archive into a tree, below one directory and nowhere else.

mod directories;
mod place;
mod policy;

use std::os::fd::OwnedFd;

use super::attach::Looks;
use super::limits::Budget;
use super::report::{Counts, Warning, WarningKind, Warnings, shown};
use super::tar::{Entry, EntryKind, Feed, MemberPath, Reader, normalise};
use super::tree::Tree;
use crate::error::{Error, Kind, Result};
use directories::Directories;
use place::refusal;
pub(super) use policy::Policy;

/// Unpacks members one by one.
#[derive(Debug)]
pub(super) struct Unpacker {
    tree: Tree,
    directories: Directories,
    budget: Budget,
    policy: Policy,
    counts: Counts,
    warnings: Warnings,
}

impl Unpacker {
    /// Will unpack into the empty directory `root`. The process's umask must be 0.
    pub(super) fn new(root: OwnedFd, budget: Budget, policy: Policy) -> Self {
        Self {
            policy,
            tree: Tree::new(root),
            directories: Directories::new(),
            budget,
            counts: Counts::default(),
            warnings: Warnings::default(),
        }
    }

    /// Unpacks all members and reads to the end; calls `tick` after each.
    pub(super) fn unpack<F: Feed>(
        &mut self,
        reader: &mut Reader<F>,
        mut tick: impl FnMut(),
    ) -> Result<()> {
        let mut members = 0_u64;
        loop {
            let entry = reader.next().map_err(|error| {
                at(
                    &format!("read the member at byte {}", reader.start()),
                    error,
                )
            })?;
            let Some(mut entry) = entry else { break };
            members += 1;
            self.member(&mut entry, reader).map_err(|error| {
                let (name, offset) = (shown(&entry.name), entry.offset);
                at(&format!("unpack '{name}' at byte {offset}"), error)
            })?;
            tick();
        }
        if members == 0 {
            return Err(Error::new(Kind::BadInput, "the archive is empty"));
        }
        let tail = reader.finish()?;
        self.warnings
            .add(WarningKind::LoneZeroBlock, tail.lone_zero_block.into());
        self.warnings.add(WarningKind::TrailingBytes, tail.other);
        Ok(())
    }

    /// Gives directories their final looks and says what was done.
    pub(super) fn finish(mut self, trailing: u64) -> Result<(Counts, Vec<Warning>)> {
        self.directories.apply(&self.tree, &mut self.warnings)?;
        self.warnings.add(WarningKind::TrailingBytes, trailing);
        Ok((self.counts, self.warnings.into_list()))
    }

    fn member<F: Feed>(&mut self, entry: &mut Entry, reader: &mut Reader<F>) -> Result<()> {
        let path = normalise(&entry.name).map_err(|fault| refusal(fault.text()))?;
        self.budget.inode(path.depth())?;
        self.warn(entry, &path);
        if path.bytes.is_empty() && entry.kind != EntryKind::Directory {
            return Err(refusal("it would replace the root directory"));
        }
        if entry.kind == EntryKind::HardLink {
            return self.hard_link(&path, &entry.link);
        }
        let mut looks = Looks::of(entry, &mut self.warnings);
        self.policy.apply(entry, &mut looks, &mut self.warnings);
        match entry.kind {
            EntryKind::File => self.file(&path, entry, &looks, reader),
            EntryKind::Directory => self.directory(&path, looks),
            EntryKind::Symlink => self.symlink(&path, &entry.link, &looks),
            EntryKind::Fifo => self.fifo(&path, &looks),
            // The machine's /dev is the runtime's, and a node on disk would be the host's.
            EntryKind::Device | EntryKind::HardLink => {
                self.warnings.member(WarningKind::Devices, &entry.name);
                Ok(())
            }
        }
    }

    fn warn(&mut self, entry: &Entry, path: &MemberPath) {
        let cases = [
            (path.was_absolute, WarningKind::AbsoluteNames),
            (entry.time_clamped, WarningKind::Times),
        ];
        for (_, kind) in cases.into_iter().filter(|(applies, _)| *applies) {
            self.warnings.member(kind, &entry.name);
        }
    }
}

/// Adds what was being done.
fn at(what: &str, error: Error) -> Error {
    Error::new(error.kind(), format!("cannot {what}")).because(error)
}
