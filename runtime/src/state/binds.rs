//! What was mounted into a running machine, one file for each mount beside the machine's record:
//! two commands at once write different files.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::dir::Dir;
use super::{Identity, Store};
use crate::error::{Error, Kind, Result};
use crate::mountinfo::mounts_of;
use crate::name::MachineName;

/// What the names of the files begin with; the number of the mount follows.
const PREFIX: &str = "bind-";

const MODE: u32 = 0o644;

/// Longest file that is read, in bytes: two paths.
const MAX_SIZE: usize = 64 << 10;

/// One mount. Paths are for people to read: what is not UTF-8 in them is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// What the host has.
    pub source: String,
    /// Where it is in the machine.
    pub target: String,
    /// Whether nothing can be changed through it.
    pub read_only: bool,
    /// The kernel's number of the mount, unique while it exists.
    #[serde(rename = "mount_id")]
    pub mount: u64,
    /// The machine's PID 1 in whose mount namespace it is: a reboot makes another.
    pub leader: Identity,
}

impl Store {
    /// Notes a mount. It may be noted before it exists.
    pub(crate) fn note_bind(&self, name: &MachineName, bind: &Bind) -> Result<()> {
        let what = || format!("note what is mounted into {name}");
        let bytes = serde_json::to_vec_pretty(bind)
            .map_err(|e| Error::new(Kind::Failed, format!("cannot {}", what())).because(e))?;
        let dir = self.machine_dir(name)?.ok_or_else(|| {
            let what = format!("cannot {}", what());
            Error::new(Kind::NotFound, what).because("the machine is gone")
        })?;
        dir.replace(&format!("{PREFIX}{}", bind.mount), &bytes, MODE)
    }

    /// Takes a note back; that there is none is no failure.
    pub(crate) fn forget_bind(&self, name: &MachineName, mount: u64) {
        if let Ok(Some(dir)) = self.machine_dir(name) {
            // A note of a mount that does not exist is passed over by whoever reads it.
            let _ = dir.remove_file(&format!("{PREFIX}{mount}"));
        }
    }

    /// What is mounted in the machine whose PID 1 that is, by the order of the targets. Notes of
    /// what is not there any more are passed over.
    pub(crate) fn binds(&self, name: &MachineName, leader: &Identity) -> Result<Vec<Bind>> {
        let Some(dir) = self.machine_dir(name)? else {
            return Ok(Vec::new());
        };
        let noted = noted(&dir)?;
        if noted.is_empty() {
            return Ok(Vec::new());
        }
        let mounts: BTreeSet<u64> = mounts_of(leader.pid).iter().map(|m| m.id).collect();
        let exists = |bind: &Bind| bind.leader.matches(leader) && mounts.contains(&bind.mount);
        let mut binds: Vec<Bind> = noted.into_iter().filter(exists).collect();
        binds.sort_by(|a, b| (&a.target, a.mount).cmp(&(&b.target, b.mount)));
        Ok(binds)
    }
}

fn noted(dir: &Dir) -> Result<Vec<Bind>> {
    let names = dir.names()?;
    let notes = names.iter().filter(|name| name.starts_with(PREFIX));
    // A damaged note is worth no more than none: the mount itself is the truth.
    let read = |name: &String| {
        let bytes = dir.read(name, MAX_SIZE).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    };
    Ok(notes.filter_map(read).collect())
}
