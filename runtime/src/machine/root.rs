//! Whether a root directory is safe to start.
//!
//! A set-user-ID program that the payload's root makes is root's on the host's disk, since the
//! tree is not shifted there. Nobody but root may reach it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Context, Error, Kind, Result};
use crate::range::owner_base;

/// Refuses a tree that is not root's, and says how others can reach one that is.
pub(super) fn check(root: &Path, allow_unsafe: bool) -> Result<Option<String>> {
    let metadata = std::fs::metadata(root).cannot(|| format!("look at {}", root.display()))?;
    let owner = metadata.uid();
    let shifted = owner_base(owner, metadata.gid()).is_some();
    if owner != 0 && !shifted && !allow_unsafe {
        let what = format!("{} belongs to user {owner}, not to root", root.display());
        return Err(
            Error::new(Kind::BadInput, format!("cannot start a machine: {what}")).hint(
                "who owns the tree can change what root runs in it; if that is you, use \
             --allow-unsafe-root",
            ),
        );
    }
    Ok(reachable(root).then(|| {
        let parent = root.parent().unwrap_or(root).display();
        format!(
            "other users can reach {}, and run as root what has the set-user-ID bit there: \
             chmod 700 {parent}",
            root.display()
        )
    }))
}

/// Whether every directory on the way, and the last one, lets others search it.
fn reachable(root: &Path) -> bool {
    root.ancestors().all(|dir| {
        let mode = std::fs::metadata(dir).map(|m| m.mode());
        mode.is_ok_and(|mode| mode & 0o001 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, create_dir, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_closed_parent_keeps_others_out() {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let root = dir.path().join("root");
        create_dir(&root).unwrap();
        set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(check(&root, true).unwrap(), None);
        set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
        let warning = check(&root, true).unwrap().unwrap();
        assert!(warning.contains("chmod 700"), "{warning}");
    }
}
