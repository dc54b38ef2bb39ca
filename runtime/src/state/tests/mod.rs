//! Machines of a state root in a temporary directory, on a host that only takes notes.

mod claims;
mod clearing;
mod full;
mod links;
mod looking;
mod processes;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nsrun_netns::Owner;

use super::record::tests::record;
use super::*;
use crate::dirs::Dirs;
use crate::error::{Error, Kind, Result};
use crate::name::MachineName;

#[derive(Debug, Default)]
struct NotingHost {
    populated: AtomicBool,
    failing: AtomicBool,
    calls: Mutex<Vec<String>>,
}

impl NotingHost {
    fn note(&self, call: String) -> Result<()> {
        self.calls.lock().unwrap().push(call);
        if self.failing.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Failed, "it is stuck"));
        }
        Ok(())
    }
}

impl Host for NotingHost {
    fn is_populated(&self, _cgroup: &Path) -> Result<bool> {
        Ok(self.populated.load(Ordering::SeqCst))
    }

    fn end_cgroup(&self, cgroup: &Path) -> Result<()> {
        self.note(format!("end {}", cgroup.display()))
    }

    fn end_own_cgroup(&self, cgroup: &Path) -> Result<()> {
        self.note(format!("end own {}", cgroup.display()))
    }

    fn retire_link(&self, owner: &Owner) -> Result<()> {
        self.note(format!("retire {} {}", owner.name, owner.tag))
    }

    fn delete_retired_links(&self, tag_prefix: &str) -> Result<()> {
        self.note(format!("delete retired {tag_prefix}"))
    }
}

struct Place {
    root: tempfile::TempDir,
    host: Arc<NotingHost>,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let host = Arc::new(NotingHost::default());
        let store = store(root.path(), Arc::clone(&host));
        Self { root, host, store }
    }

    fn claim(&self) -> Claim {
        self.store.claim(&web()).unwrap()
    }

    /// The directory of the machine `web`.
    fn dir(&self) -> PathBuf {
        self.machines().join("web")
    }

    fn machines(&self) -> PathBuf {
        self.root.path().join("run/machines")
    }

    fn state(&self) -> State {
        self.store
            .machine(&web())
            .unwrap()
            .unwrap()
            .state()
            .unwrap()
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.host.calls.lock().unwrap())
    }

    /// What a holder leaves that is killed: all but the lock.
    fn dead(&self, record: Option<&Record>, items: &[Item]) {
        let mut claim = self.claim();
        for item in items {
            claim.note(item.clone()).unwrap();
        }
        if let Some(record) = record {
            claim.publish(record).unwrap();
        }
        claim.abandon();
    }
}

fn store(root: &Path, host: Arc<NotingHost>) -> Store {
    Store::new(&Dirs::new(None, Some(root)), host)
}

fn web() -> MachineName {
    "web".parse().unwrap()
}

fn cgroup() -> Item {
    Item::Cgroup {
        path: "machine.slice/nsrun-web.scope".to_owned(),
    }
}

fn link() -> Item {
    Item::Link {
        name: "ve-web".to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        tag: "nsrun:web:00000000000000ff".to_owned(),
    }
}

/// A process that ends when its standard input is closed.
fn cat() -> Child {
    let mut command = Command::new("cat");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn identity(child: &Child) -> Identity {
    let process = PidFd::open(i32::try_from(child.id()).unwrap()).unwrap();
    process.unwrap().identity().unwrap().unwrap()
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
