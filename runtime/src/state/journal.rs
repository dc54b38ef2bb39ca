//! Keeping the list of residue: each thing is on disk before it is made.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use rustix::fs::{OFlags, ftruncate};

use super::RESIDUE;
use super::dir::Dir;
use super::residue::{Item, Line, Residue};
use crate::error::{Context, Result};

const MODE: u32 = 0o600;

/// The list of a machine whose lock is held.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    length: u64,
    boot_id: String,
    items: Vec<Item>,
}

impl Journal {
    /// Begins an empty list in `dir`.
    pub(super) fn create(dir: &Dir, boot_id: String) -> Result<Self> {
        Self::write(dir, boot_id, Vec::new())
    }

    /// The list is put in place at once, so that no crash leaves a shorter one.
    fn write(dir: &Dir, boot_id: String, items: Vec<Item>) -> Result<Self> {
        let path = dir.path().join(RESIDUE);
        let first = Line::Boot {
            id: boot_id.clone(),
        };
        let mut bytes = line(&first).cannot(|| format!("write {}", path.display()))?;
        for item in &items {
            bytes.extend(
                line(&Line::Item(item.clone())).cannot(|| format!("write {}", path.display()))?,
            );
        }
        dir.replace(RESIDUE, &bytes, MODE)?;
        let file = dir.open_file(RESIDUE, OFlags::WRONLY | OFlags::APPEND, 0);
        Ok(Self {
            file: file.cannot(|| format!("open {}", path.display()))?,
            path,
            length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            boot_id,
            items,
        })
    }

    /// What is on the list.
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Adds a thing that is about to be made. What is on the list already stays there
    /// once.
    pub(super) fn add(&mut self, item: Item) -> Result<()> {
        if self.items.contains(&item) {
            return Ok(());
        }
        let line = line(&Line::Item(item.clone()));
        let written = line.and_then(|line| self.append(&line));
        written.cannot(|| format!("write {}", self.path.display()))?;
        self.items.push(item);
        Ok(())
    }

    /// A line that did not fit is cut off again, since another could follow it.
    fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        if let Err(e) = self.file.write_all(line) {
            let _ = ftruncate(&self.file, self.length);
            return Err(e);
        }
        self.length += u64::try_from(line.len()).unwrap_or_default();
        Ok(())
    }

    /// Takes a thing off the list that is kept in memory; the one on disk stays as it is.
    pub(super) fn forget(&mut self, item: &Item) {
        self.items.retain(|kept| kept != item);
    }

    /// Takes a thing off the list that has been taken away.
    pub(super) fn strike(&mut self, dir: &Dir, item: &Item) -> Result<()> {
        let mut items = self.items.clone();
        items.retain(|kept| kept != item);
        *self = Self::write(dir, self.boot_id.clone(), items)?;
        Ok(())
    }
}

fn line(line: &Line) -> std::io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads the list in `dir`; `None` if there is none.
pub(super) fn read(dir: &Dir) -> Result<Option<Residue>> {
    let bytes = dir.read(RESIDUE, super::residue::MAX_SIZE);
    let bytes = bytes.cannot(|| format!("read {}", dir.path().join(RESIDUE).display()))?;
    Ok(bytes.map(|bytes| Residue::parse(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock_file(number: u32) -> Item {
        Item::LockFile {
            path: format!("/run/systemd/nspawn-uid/{number}").into(),
        }
    }

    #[test]
    fn things_are_added_once_and_struck() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::create_at(root.path()).unwrap();
        assert_eq!(read(&dir).unwrap(), None);
        let mut journal = Journal::create(&dir, "b".into()).unwrap();
        for number in [1, 2, 1, 3] {
            journal.add(lock_file(number)).unwrap();
        }
        let on_disk = || read(&dir).unwrap().unwrap();
        assert_eq!(on_disk().items, [1, 2, 3].map(lock_file));
        journal.strike(&dir, &lock_file(2)).unwrap();
        journal.add(lock_file(4)).unwrap();
        assert_eq!(on_disk().items, [1, 3, 4].map(lock_file));
        assert_eq!(on_disk().items, journal.items());
        assert_eq!(on_disk().boot_id.as_deref(), Some("b"));
    }

    #[test]
    fn a_full_file_system_is_told_and_leaves_whole_lines() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::create_at(root.path()).unwrap();
        let mut journal = Journal::create(&dir, "b".into()).unwrap();
        journal.add(lock_file(1)).unwrap();
        // /dev/full takes no byte, which the list cannot tell from a full disk.
        let list = std::mem::replace(
            &mut journal.file,
            File::options().write(true).open("/dev/full").unwrap(),
        );
        let error = journal.add(lock_file(2)).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("residue: no space left on device"),
            "{error}"
        );
        journal.file = list;
        journal.add(lock_file(3)).unwrap();
        assert_eq!(read(&dir).unwrap().unwrap().items, [1, 3].map(lock_file));
    }
}
