//! A tree with one of everything, and what there is to see of a tree.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use nsrun_tests::{Must, Sandbox};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lgetxattr, lsetxattr, mknodat,
    utimensat,
};

/// `vfs_cap_data` of revision 2 with CAP_NET_BIND_SERVICE permitted.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A list that lets user 1000 read: version, then tag, permissions and id of each entry.
const LIST: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255,
    255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

pub(super) fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).must("set a mode");
}

fn age(path: &Path) {
    let time = Timespec {
        tv_sec: 1_000_000_000,
        tv_nsec: 123_456_789,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).must("set a time");
}

/// A tree with one of everything that can be copied.
pub(super) fn tree(sandbox: &Sandbox, name: &str) -> PathBuf {
    let top = sandbox.dir().join(name);
    let dir = top.join("dir");
    fs::create_dir_all(&dir).must("make directories");
    let path = |name: &str| top.join(name);
    let sparse = File::create(path("sparse")).must("make a file");
    sparse.write_all_at(b"begin", 0).must("write");
    sparse.write_all_at(b"end", 4 << 20).must("write");
    fs::write(path("first"), "one file").must("write a file");
    fs::hard_link(path("first"), dir.join("second")).must("link a file");
    symlink("/etc/passwd", path("absolute")).must("make a link");
    symlink("../../../nowhere", dir.join("dangling")).must("make a link");
    lchown(path("absolute"), Some(1000), Some(1000)).must("give a link away");
    mknodat(CWD, dir.join("fifo"), FileType::Fifo, Mode::RWXU, 0).must("make a fifo");
    fs::write(path("program"), "#!").must("write a file");
    chown(path("program"), Some(1000), Some(100)).must("give a file away");
    mode(&path("program"), 0o6755);
    let none = XattrFlags::empty();
    lsetxattr(path("first"), "user.note", b"kept", none).must("set an attribute");
    lsetxattr(path("first"), "system.posix_acl_access", &LIST, none).must("set a list");
    fs::write(path("capable"), "#!").must("write a file");
    lsetxattr(path("capable"), "security.capability", &CAPABILITY, none).must("set capabilities");
    fs::write(path("closed"), "secret").must("write a file");
    mode(&path("closed"), 0o000);
    mode(&dir, 0o2750);
    chown(&dir, Some(7), Some(65_535)).must("give a directory away");
    for name in [
        "sparse", "first", "absolute", "program", "closed", "dir/fifo", "dir",
    ] {
        age(&path(name));
    }
    top
}

/// Everything below a directory, a line each: path, mode, owner, time, size, links, target,
/// attributes.
pub(super) fn listing(top: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    list(top, top, &mut lines);
    lines.sort();
    lines
}

fn list(top: &Path, dir: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(dir).must("list a directory") {
        let path = entry.must("read an entry").path();
        let found = fs::symlink_metadata(&path).must("look at an entry");
        let size = if found.is_dir() { 0 } else { found.size() };
        let links = if found.is_dir() { 0 } else { found.nlink() };
        let link = fs::read_link(&path).unwrap_or_default();
        let attribute = |name: &str| {
            let mut value = vec![0; 100];
            let got = lgetxattr(&path, name, &mut value[..]).unwrap_or(0);
            value.truncate(got);
            value
        };
        let kept = [
            "user.note",
            "system.posix_acl_access",
            "security.capability",
        ]
        .map(attribute);
        lines.push(format!(
            "{} {:o} {}:{} {} {size} {links} {} {kept:?}",
            path.strip_prefix(top).must("find the path below").display(),
            found.mode(),
            found.uid(),
            found.gid(),
            if found.mtime() == 1_000_000_000 {
                found.mtime_nsec()
            } else {
                0
            },
            link.display(),
        ));
        if found.is_dir() {
            list(top, &path, lines);
        }
    }
}
