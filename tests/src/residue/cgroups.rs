//! Control groups below the version 2 root.

use std::fs::{read_dir, read_to_string, remove_dir, write};
use std::path::{Path, PathBuf};

/// Where the version 2 hierarchy is mounted, on pure and on hybrid hosts. The last mount
/// is the one that no other hides.
#[must_use]
pub fn v2_root() -> Option<PathBuf> {
    let table = read_to_string("/proc/thread-self/mountinfo").ok()?;
    table.lines().rev().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let point = place.split(' ').nth(4)?;
        kind.starts_with("cgroup2 ").then(|| PathBuf::from(point))
    })
}

pub(super) fn marked(mark: &str) -> Vec<String> {
    paths(mark)
        .iter()
        .map(|path| format!("cgroup {}", path.display()))
        .collect()
}

/// Kills what is in the marked cgroups and removes them: for tests that failed.
pub fn kill_marked(mark: &str) {
    let mut paths = paths(mark);
    for path in &paths {
        let _ = write(path.join("cgroup.kill"), "1");
    }
    paths.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    crate::wait::poll(crate::wait::patience(5), || {
        paths.retain(|path| remove_dir(path).is_err() && path.exists());
        paths.is_empty().then_some(())
    });
}

/// All cgroups with a component that holds `mark`.
fn paths(mark: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(root) = v2_root() {
        descend(&root, false, mark, &mut found);
    }
    found
}

fn descend(dir: &Path, inside: bool, mark: &str, found: &mut Vec<PathBuf>) {
    for entry in read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let inside = inside || entry.file_name().to_string_lossy().contains(mark);
        descend(&path, inside, mark, found);
        if inside {
            found.push(path);
        }
    }
}
