//! What a test left on the host: the difference between two looks at everything that a
//! container runtime could leave behind.

mod cgroups;
mod files;
mod kernel;
mod mounts;
mod processes;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::wait::{patience, poll};

pub use cgroups::{kill_marked as kill_cgroups, v2_root};
pub use processes::kill_descendants;

/// What belongs to the test, where the kernel keeps no separate books for it.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Text that the names of all its cgroups and machines hold, and that no other test's do.
    pub mark: String,
    /// Directories in which every file counts.
    pub dirs: Vec<PathBuf>,
    /// Directories in which hidden entries at the top count: staging trees and lock files.
    pub image_roots: Vec<PathBuf>,
}

/// One look at the host: a line per thing.
#[derive(Debug)]
pub struct Residue {
    scope: Scope,
    before: BTreeSet<String>,
    /// Mounts of the host itself, which may take them down at any time.
    hosts: BTreeSet<String>,
}

impl Residue {
    /// Looks at the host from the calling thread's namespaces.
    #[must_use]
    pub fn snapshot(scope: Scope) -> Self {
        let hosts = mounts::of_init().into_iter().collect();
        let before = look(&scope);
        Self {
            scope,
            before,
            hosts,
        }
    }

    /// What the looks are limited to.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What is there now and was not at the snapshot.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        look(&self.scope)
            .difference(&self.before)
            .cloned()
            .collect()
    }

    /// What was there at the snapshot and is no more: a test must not take the host's own.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let now = look(&self.scope);
        let mut missing: Vec<_> = self.before.difference(&now).cloned().collect();
        if !missing.is_empty() {
            // The kernel takes a mount away everywhere once its mount point is removed.
            let hosts: BTreeSet<_> = mounts::of_init().into_iter().collect();
            missing.retain(|thing| !self.hosts.contains(thing) || hosts.contains(thing));
        }
        missing
    }

    /// What is left when the kernel has had time to take down what it takes down later:
    /// network namespaces with their links, and killed processes.
    #[must_use]
    pub fn left_after_settling(&self) -> Vec<String> {
        let mut left = Vec::new();
        poll(patience(5), || {
            left = self.left();
            left.is_empty().then_some(())
        });
        left
    }

    /// Fails the test if anything is left behind or taken away.
    ///
    /// # Panics
    /// With a line per thing.
    #[track_caller]
    pub fn assert_clean(&self) {
        let left = self.left_after_settling();
        assert!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        let missing = self.missing();
        assert!(
            missing.is_empty(),
            "gone from the host:\n  {}",
            missing.join("\n  ")
        );
    }
}

fn look(scope: &Scope) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    seen.extend(mounts::own());
    seen.extend(mounts::of_the_host(&scope.mark));
    seen.extend(cgroups::marked(&scope.mark));
    seen.extend(processes::descendants());
    seen.extend(kernel::links());
    seen.extend(kernel::abstract_sockets());
    seen.extend(kernel::sysv_ipc());
    seen.extend(kernel::loop_devices(&scope.mark));
    seen.extend(kernel::host_name());
    seen.extend(files::in_dirs(&scope.dirs));
    seen.extend(files::hidden_at_top(&scope.image_roots));
    seen.extend(files::scratch(&scope.mark));
    seen
}
