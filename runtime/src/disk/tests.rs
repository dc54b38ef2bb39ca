use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A file that has ext4's signature and nothing else.
fn looks_like_ext4(dir: &Path) -> PathBuf {
    let path = dir.join("disk.raw");
    let mut content = vec![0; 4096];
    content[1080..1082].copy_from_slice(b"\x53\xef");
    write(&path, content).unwrap();
    set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    path
}

fn place(mode: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
    dir
}

#[test]
fn what_the_kernel_would_parse_and_change_needs_trust() {
    let content = Trust {
        content: true,
        ..Trust::default()
    };
    let open = place(0o755);
    let path = looks_like_ext4(open.path());
    let error = Disk::look(&path, Trust::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.advice().unwrap().contains("--trust-image"), "{error}");
    assert!(Disk::look(&path, content).unwrap().is_some());
    let closed = place(0o700);
    let path = looks_like_ext4(closed.path());
    let disk = Disk::look(&path, Trust::default()).unwrap().unwrap();
    assert_eq!(disk.file_system, FileSystem::Ext4);
    assert_eq!(disk.read_only(), None);
}

#[test]
fn who_else_may_write_to_it_is_told() {
    let dir = place(0o700);
    let path = looks_like_ext4(dir.path());
    set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    let error = Disk::look(&path, Trust::default()).unwrap_err();
    assert!(error.to_string().contains("others than root"), "{error}");
    let owner = Trust {
        owner: true,
        ..Trust::default()
    };
    assert!(Disk::look(&path, owner).unwrap().is_some());
}

#[test]
fn a_file_without_permission_to_write_is_read_only() {
    let dir = place(0o700);
    let path = looks_like_ext4(dir.path());
    set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let disk = Disk::look(&path, Trust::default()).unwrap().unwrap();
    assert!(disk.read_only().unwrap().contains("marked"));
}

#[test]
fn directories_are_none_of_its_business() {
    let dir = place(0o700);
    assert!(Disk::look(dir.path(), Trust::default()).unwrap().is_none());
    let error = check_named(dir.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    let error = check_named(&dir.path().join("none")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}
