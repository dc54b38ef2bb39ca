//! Files in directories that only the test uses.

use std::fs::read_dir;
use std::path::{Path, PathBuf};

/// Every file, socket and link below `dirs`. Empty directories do not count: some of them
/// are made once and kept.
pub(super) fn in_dirs(dirs: &[PathBuf]) -> Vec<String> {
    let mut found = Vec::new();
    for dir in dirs {
        descend(dir, &mut found);
    }
    found
}

fn descend(dir: &Path, found: &mut Vec<String>) {
    for entry in read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            descend(&path, found);
        } else {
            found.push(format!("file {}", path.display()));
        }
    }
}

/// Directories that machines of the test have outside of it.
pub(super) fn scratch(mark: &str) -> Vec<String> {
    let entries = read_dir("/var/tmp").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with(".#nsrun-") && name.contains(mark))
        .map(|name| format!("file /var/tmp/{name}"))
        .collect()
}

pub(super) fn hidden_at_top(roots: &[PathBuf]) -> Vec<String> {
    roots
        .iter()
        .flat_map(|root| read_dir(root).into_iter().flatten().flatten())
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| format!("file {}", entry.path().display()))
        .collect()
}
