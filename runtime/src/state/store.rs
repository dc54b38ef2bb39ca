//! The directory of all machines: claiming one, looking at them, clearing them away.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::OFlags;

use super::cleanup::{self, Remover};
use super::dir::Dir;
use super::host::Host;
use super::journal::Journal;
use super::moment::{Incarnation, boot_id};
use super::{Claim, DEAD, LOCK, MACHINES, Machine, RECORD, RESIDUE, TAG, Turn, record};
use crate::dirs::Dirs;
use crate::error::{Context, Error, Kind, Result};
use crate::name::MachineName;
use crate::suggest::nearest;
use crate::sys::ofd::{Mode, OfdLock, is_held};

/// The lock's file is readable for its owner only: whoever can open it can lock it.
const LOCK_MODE: u32 = 0o600;

/// Each round means that somebody removed the machine's directory at the same time.
const ROUNDS: usize = 100;

/// How long a command may hold the lock of a directory that it finds empty and removes.
const MOMENT: Duration = Duration::from_millis(2);

/// The machines of one state root.
#[derive(Clone, Debug)]
pub struct Store {
    run: PathBuf,
    host: Arc<dyn Host>,
}

/// What became of a machine that was to be cleared away if it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is none of that name.
    Absent,
    /// Its lock is held.
    Alive,
    /// It was dead or orphaned; what was left of it is gone.
    Cleared,
}

/// One entry that [`Store::sweep_all`] came by.
#[derive(Debug)]
pub struct Swept {
    /// The entry's name.
    pub name: String,
    /// What became of it.
    pub result: Result<Outcome>,
}

/// The result of trying for a lock once.
enum Attempt {
    /// The directory went away meanwhile.
    Vanished,
    Busy,
    Held(OfdLock),
}

impl Store {
    /// The machines below the run directory; nothing is opened or made yet.
    #[must_use]
    pub fn new(dirs: &Dirs, host: Arc<dyn Host>) -> Self {
        Self {
            run: dirs.run().to_owned(),
            host,
        }
    }

    /// Waits, but not for long, for the turn to choose addresses and set them; whoever
    /// has it sees all addresses that others have chosen. See [`Turn`].
    ///
    /// # Errors
    /// If the run directory cannot be used.
    pub fn turn(&self) -> Result<Turn> {
        Turn::wait(&Dir::create_at(&self.run)?)
    }

    /// Claims a name without waiting, after clearing away what an earlier machine of that
    /// name left. Must not be called from an asynchronous task.
    ///
    /// # Errors
    /// Of kind [`Kind::Busy`] if somebody else has the name; if leftovers cannot be
    /// cleared, or the directory cannot be used.
    pub fn claim(&self, name: &MachineName) -> Result<Claim> {
        let run = Dir::create_at(&self.run)?;
        for _ in 0..ROUNDS {
            let Some(machines) = run.create(MACHINES)? else {
                continue;
            };
            let Some(dir) = machines.create(name.as_str())? else {
                continue;
            };
            let attempt = self.try_lock(name, &dir);
            // Without room for the lock's file, the directory may just have been made.
            let attempt = attempt.inspect_err(|_| machines.remove_if_empty(name.as_str()));
            match attempt? {
                Attempt::Held(lock) if is_new(&dir)? => return self.begin(name, dir, lock),
                Attempt::Held(lock) => self.clear(name, &dir, &lock)?,
                Attempt::Busy if is_new(&dir)? => std::thread::sleep(MOMENT),
                Attempt::Busy => return Err(self.busy(name)),
                Attempt::Vanished => {}
            }
        }
        Err(self.busy(name))
    }

    /// Begins a claim on a new directory, or removes that again.
    fn begin(&self, name: &MachineName, dir: Dir, lock: OfdLock) -> Result<Claim> {
        let journal = boot_id().and_then(|boot_id| Journal::create(&dir, boot_id));
        match journal {
            Ok(journal) => Ok(Claim::new(self.clone(), name.clone(), dir, lock, journal)),
            Err(e) => {
                let _ = self.remove(name, &dir);
                Err(e)
            }
        }
    }

    /// Looks at the machine of that name; `None` if there is none.
    ///
    /// # Errors
    /// If its directory cannot be used.
    pub fn machine(&self, name: &MachineName) -> Result<Option<Machine>> {
        let machines = self.machines()?;
        machines.map_or(Ok(None), |machines| self.look(&machines, name))
    }

    /// The error that no machine `name` runs, with the one that was probably meant.
    #[must_use]
    pub fn absent(&self, name: &MachineName) -> Error {
        let machines = self.list().unwrap_or_default();
        let names: Vec<MachineName> = machines
            .iter()
            .filter_map(|machine| Some(machine.as_ref().ok()?.name().clone()))
            .collect();
        let hint = match nearest(name.as_str(), names.iter().map(MachineName::as_str)) {
            Some(other) if other != name.as_str() => format!("did you mean {other}?"),
            _ => "`nsrun list` shows those that are".to_owned(),
        };
        Error::new(Kind::NotFound, format!("no machine {name} is running")).hint(hint)
    }

    fn look(&self, machines: &Dir, name: &MachineName) -> Result<Option<Machine>> {
        let Some(dir) = machines.open(name.as_str())? else {
            return Ok(None);
        };
        let held = match dir.open_file(LOCK, OFlags::RDONLY, 0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.and_then(|file| is_held(file.as_fd())),
        };
        Ok(Some(Machine {
            host: Arc::clone(&self.host),
            held: held.cannot(|| format!("examine the lock of machine {name}"))?,
            reading: record::read(&dir, name),
            name: name.clone(),
            boot_id: boot_id()?,
        }))
    }

    /// Looks at all machines, in the order of their names. A machine whose directory
    /// cannot be used takes the place of its error.
    ///
    /// # Errors
    /// If the directory of all machines cannot be used.
    pub fn list(&self) -> Result<Vec<Result<Machine>>> {
        let Some(machines) = self.machines()? else {
            return Ok(Vec::new());
        };
        let entries = machines.names()?;
        let mut names: Vec<MachineName> = entries.iter().filter_map(|e| e.parse().ok()).collect();
        names.sort();
        Ok(names
            .iter()
            .filter_map(|name| self.look(&machines, name).transpose())
            .collect())
    }

    /// Clears away the machine of that name unless its lock is held: ends what is left of
    /// it, takes away what it had noted, removes its directory. Must not be called from an
    /// asynchronous task.
    ///
    /// # Errors
    /// The first step's that failed, after all others were tried.
    pub fn reconcile(&self, name: &MachineName) -> Result<Outcome> {
        let Some(dir) = self.machine_dir(name)? else {
            return Ok(Outcome::Absent);
        };
        match self.try_lock(name, &dir)? {
            Attempt::Vanished => Ok(Outcome::Absent),
            Attempt::Busy => Ok(Outcome::Alive),
            Attempt::Held(lock) => self.clear(name, &dir, &lock).map(|()| Outcome::Cleared),
        }
    }

    /// Clears away every machine whose lock is not held, directories that were being
    /// removed when their remover was killed, and retired links that have not died. One
    /// failure keeps no other entry from being tried.
    ///
    /// # Errors
    /// If the machines cannot be listed, or a retired link cannot be deleted.
    pub fn sweep_all(&self) -> Result<Vec<Swept>> {
        let swept = self.sweep_machines()?;
        self.host.delete_retired_links(TAG)?;
        Ok(swept)
    }

    /// The same without the links, which cost a round through the kernel's list of them.
    ///
    /// # Errors
    /// If the machines cannot be listed.
    pub fn sweep_machines(&self) -> Result<Vec<Swept>> {
        let mut names = self.entries()?;
        names.sort();
        let sweep = |name: String| Swept {
            result: self.sweep(&name),
            name,
        };
        let swept = names.into_iter().map(sweep).collect();
        if let Some(run) = Dir::open_at(&self.run)? {
            Turn::sweep(&run)?;
        }
        Ok(swept)
    }

    fn sweep(&self, name: &str) -> Result<Outcome> {
        if name.starts_with(DEAD) {
            return self.bury(name);
        }
        match name.parse() {
            Ok(name) => self.reconcile(&name),
            Err(_) => {
                let path = self.run.join(MACHINES).join(name);
                let what = format!("cannot tell what {} is for", path.display());
                Err(Error::new(Kind::Failed, what).hint("nsrun has not made it; remove it"))
            }
        }
    }

    /// Removes a directory whose remover was killed, unless that still lives.
    fn bury(&self, dead: &str) -> Result<Outcome> {
        let Some(machines) = self.machines()? else {
            return Ok(Outcome::Absent);
        };
        let Some(dir) = machines.open(dead)? else {
            return Ok(Outcome::Absent);
        };
        let lock = dir.open_file(LOCK, OFlags::RDONLY, 0);
        if lock.and_then(|lock| is_held(lock.as_fd())).unwrap_or(false) {
            return Ok(Outcome::Alive);
        }
        machines.remove_tree(dead, LOCK).map(|()| Outcome::Cleared)
    }

    fn clear(&self, name: &MachineName, dir: &Dir, _held: &OfdLock) -> Result<()> {
        self.take_away(name, dir, Remover::Stranger)?;
        self.remove(name, dir)
    }

    /// Takes away what the machine has outside of its directory. Its lock is held.
    pub(super) fn take_away(&self, name: &MachineName, dir: &Dir, remover: Remover) -> Result<()> {
        cleanup::run(&*self.host, name, dir, &boot_id()?, remover)
    }

    /// Removes the machine's directory while its lock is held. It gets another name
    /// first, so that nobody meets it half removed.
    pub(super) fn remove(&self, name: &MachineName, dir: &Dir) -> Result<()> {
        let Some(machines) = self.machines()? else {
            return Ok(());
        };
        // Somebody who removed the directory by hand may have made room for another.
        if !machines.holds(name.as_str(), dir.as_fd())? {
            return Ok(());
        }
        let dead = format!("{DEAD}{name}-{}", Incarnation::new()?);
        machines.rename(name.as_str(), &dead)?;
        machines.remove_tree(&dead, LOCK)
    }

    /// Where the machine of that name has its files.
    pub(crate) fn directory(&self, name: &MachineName) -> PathBuf {
        self.run.join(MACHINES).join(name.as_str())
    }

    /// The same, opened; `None` if there is none.
    pub(super) fn machine_dir(&self, name: &MachineName) -> Result<Option<Dir>> {
        self.machines()?
            .map_or(Ok(None), |machines| machines.open(name.as_str()))
    }

    fn machines(&self) -> Result<Option<Dir>> {
        let run = Dir::open_at(&self.run)?;
        run.map_or(Ok(None), |run| run.open(MACHINES))
    }

    fn entries(&self) -> Result<Vec<String>> {
        self.machines()?
            .map_or(Ok(Vec::new()), |machines| machines.names())
    }

    /// Tries for the lock in a machine's directory. A lock in a directory that is not, or
    /// no longer, the one that others find by the name excludes nobody.
    fn try_lock(&self, name: &MachineName, dir: &Dir) -> Result<Attempt> {
        let what = || format!("lock machine {name}");
        let file = match dir.open_file(LOCK, OFlags::RDWR | OFlags::CREATE, LOCK_MODE) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Attempt::Vanished),
            other => other.cannot(what)?,
        };
        let Some(lock) = OfdLock::try_take(file.into(), Mode::Exclusive).cannot(what)? else {
            return Ok(Attempt::Busy);
        };
        let found = self
            .machines()?
            .map_or(Ok(false), |m| m.holds(name.as_str(), dir.as_fd()))?;
        if found && dir.holds(LOCK, lock.as_fd())? {
            Ok(Attempt::Held(lock))
        } else {
            Ok(Attempt::Vanished)
        }
    }

    /// Somebody else has the name; says who, if that can be proven.
    fn busy(&self, name: &MachineName) -> Error {
        let machine = self.machine(name).ok().flatten();
        let supervisor = machine.and_then(|machine| machine.supervisor().ok().flatten());
        let what = match supervisor {
            Some(process) => format!("machine {name} is in use by process {}", process.pid()),
            None => format!("machine {name} is in use by another command"),
        };
        Error::new(Kind::Busy, what).hint(format!("see nsrun status {name}"))
    }
}

/// Whether nothing was put into the directory yet.
fn is_new(dir: &Dir) -> Result<bool> {
    let names = dir.names()?;
    Ok(!names.iter().any(|name| name == RESIDUE || name == RECORD))
}
