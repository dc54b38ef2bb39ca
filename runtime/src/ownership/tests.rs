//! Real trees, as root: owners, attributes, and what an interruption leaves.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, XattrFlags, ioctl_getflags, ioctl_setflags, lgetxattr, lsetxattr};

use super::*;

const WEB: u32 = 655_360;
const OTHER: u32 = 720_896;
const ACL: &str = "system.posix_acl_access";
const DEFAULT_ACL: &str = "system.posix_acl_default";
const CAPABILITY: &str = "security.capability";

/// Ends the change after so many questions.
struct Patience(Option<u64>);

impl Watch for Patience {
    fn advanced(&mut self, done: u64, total: u64) {
        assert!(done <= total, "{done} of {total}");
    }

    fn cancelled(&mut self) -> bool {
        match &mut self.0 {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }
}

fn give(top: &Path, to: u32) -> Result<Vec<String>> {
    let root = File::open(top).unwrap();
    change_owners(root.as_fd(), top, to, &mut Patience(None))
}

/// `user::rwx,user:UID:r-x,group::r-x,mask::r-x,other::---`
fn acl(uid: u32) -> Vec<u8> {
    let none = u32::MAX;
    let entries = [
        (1, 7, none),
        (2, 5, uid),
        (4, 5, none),
        (16, 5, none),
        (32, 0, none),
    ];
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend_from_slice(&u16::to_le_bytes(tag));
        value.extend_from_slice(&u16::to_le_bytes(permissions));
        value.extend_from_slice(&id.to_le_bytes());
    }
    value
}

/// `cap_net_raw+ep` of the host's root, or of a namespace's.
fn capability(root: Option<u32>) -> Vec<u8> {
    let revision = if root.is_some() { 3u32 } else { 2 };
    let words = [(revision << 24) | 1, 1 << 13, 0, 0, 0];
    let all = words.into_iter().chain(root);
    all.flat_map(u32::to_le_bytes).collect()
}

fn set(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn get(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut buffer = [0; 1024];
    let length = lgetxattr(path, name, &mut buffer).ok()?;
    Some(buffer[..length].to_vec())
}

fn lock(path: &Path, flag: IFlags) {
    let file = File::open(path).unwrap();
    ioctl_setflags(&file, ioctl_getflags(&file).unwrap() | flag).unwrap();
}

fn unlock(path: &Path) {
    let file = File::open(path).unwrap();
    let flags = ioctl_getflags(&file).unwrap();
    let locks = IFlags::IMMUTABLE | IFlags::APPEND;
    ioctl_setflags(&file, flags.difference(locks)).unwrap();
}

/// A small system tree with one of everything.
struct Sample {
    dir: tempfile::TempDir,
    top: PathBuf,
}

impl Sample {
    fn new() -> Self {
        // A disk file system: it has the flags that memory may lack.
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let top = dir.path().join("image");
        let at = |path: &str| top.join(path);
        for path in ["usr/bin", "home/user", "var/empty", "var/mail", "dev"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for (path, uid, gid, mode) in [
            ("usr/bin/su", 0, 0, 0o4755),
            ("usr/bin/wall", 0, 5, 0o2755),
            ("usr/bin/ping", 0, 0, 0o755),
            ("usr/bin/both", 0, 0, 0o6755),
            ("home/user/notes", 1000, 100, 0o640),
            ("home/user/far", 100_000, 100, 0o600),
            ("var/log", 0, 0, 0o600),
        ] {
            fs::write(at(path), path).unwrap();
            chown(at(path), Some(uid), Some(gid)).unwrap();
            fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
        }
        fs::hard_link(at("usr/bin/su"), at("usr/bin/su2")).unwrap();
        symlink("/etc/passwd", at("home/user/link")).unwrap();
        lchown(at("home/user/link"), Some(1000), Some(100)).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, at("dev/initctl"), fifo, mode, 0).unwrap();
        chown(at("var/mail"), Some(0), Some(8)).unwrap();
        fs::set_permissions(at("var/mail"), Permissions::from_mode(0o2775)).unwrap();
        set(&at("usr/bin/ping"), CAPABILITY, &capability(None));
        set(&at("usr/bin/both"), CAPABILITY, &capability(None));
        set(&at("home/user/notes"), ACL, &acl(1001));
        set(&at("home/user"), DEFAULT_ACL, &acl(1002));
        lock(&at("var/empty"), IFlags::IMMUTABLE);
        lock(&at("var/log"), IFlags::APPEND);
        Self { dir, top }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.top.join(path)
    }

    fn add_files(&self, count: u32) {
        fs::create_dir(self.at("many")).unwrap();
        for number in 0..count {
            let path = self.at(&format!("many/{number}"));
            fs::write(&path, "").unwrap();
            let mode = if number.is_multiple_of(3) {
                0o4711
            } else {
                0o644
            };
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            if number.is_multiple_of(5) {
                set(&path, CAPABILITY, &capability(None));
            }
        }
    }

    /// Everything that must be the same again after a way there and back.
    fn looks(&self) -> BTreeMap<PathBuf, String> {
        let mut looks = BTreeMap::new();
        let mut waiting = vec![self.top.clone()];
        while let Some(path) = waiting.pop() {
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            }
            looks.insert(path.clone(), look(&path, &metadata));
        }
        looks
    }
}

fn look(path: &Path, metadata: &fs::Metadata) -> String {
    let locks = match metadata.is_dir() || metadata.is_file() {
        true => ioctl_getflags(File::open(path).unwrap()).unwrap().bits() & 0x30,
        false => 0,
    };
    let attributes = [ACL, DEFAULT_ACL, CAPABILITY, "trusted.nsrun.owners"];
    let values = attributes.map(|name| get(path, name));
    let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
    format!("{uid}:{gid} {mode:o} {locks:x} {values:?}")
}

impl Drop for Sample {
    fn drop(&mut self) {
        for path in [self.top.clone(), self.at("var/empty"), self.at("var/log")] {
            unlock(&path);
        }
        let _ = &self.dir;
    }
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn everything_in_a_tree_gets_its_owner() {
    let sample = Sample::new();
    let warnings = give(&sample.top, WEB).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("home/user/far"), "{warnings:?}");
    for (path, uid, gid) in [
        ("", WEB, WEB),
        ("usr/bin/su2", WEB, WEB),
        ("usr/bin/wall", WEB, WEB + 5),
        ("home/user/notes", WEB + 1000, WEB + 100),
        ("home/user/link", WEB + 1000, WEB + 100),
        ("home/user/far", 100_000, WEB + 100),
        ("dev/initctl", WEB, WEB),
        ("var/empty", WEB, WEB),
        ("var/log", WEB, WEB),
        ("var/mail", WEB, WEB + 8),
    ] {
        assert_eq!(owner(&sample.at(path)), (uid, gid), "{path}");
    }
    for (path, bits) in [
        ("usr/bin/su", 0o4755),
        ("usr/bin/wall", 0o2755),
        ("usr/bin/both", 0o6755),
        ("var/mail", 0o2775),
    ] {
        assert_eq!(mode(&sample.at(path)), bits, "{path}");
    }
    let ping = get(&sample.at("usr/bin/ping"), CAPABILITY);
    assert_eq!(ping, Some(capability(Some(WEB))));
    assert_eq!(
        get(&sample.at("home/user/notes"), ACL),
        Some(acl(WEB + 1001))
    );
    assert_eq!(
        get(&sample.at("home/user"), DEFAULT_ACL),
        Some(acl(WEB + 1002))
    );
    assert_eq!(
        interrupted_target(File::open(&sample.top).unwrap().as_fd()),
        None
    );
}

#[test]
fn the_way_back_restores_all() {
    let sample = Sample::new();
    let before = sample.looks();
    for to in [WEB, OTHER, 0] {
        give(&sample.top, to).unwrap();
    }
    assert_eq!(sample.looks(), before);
}

#[test]
fn nothing_outside_is_touched() {
    let sample = Sample::new();
    let outside = sample.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "").unwrap();
    symlink("../../outside", sample.at("usr/outside")).unwrap();
    symlink("../outside/file", sample.at("usr/file")).unwrap();
    give(&sample.top, WEB).unwrap();
    assert_eq!(owner(&outside), (0, 0));
    assert_eq!(owner(&outside.join("file")), (0, 0));
    assert_eq!(owner(&sample.at("usr/file")), (WEB, WEB));
}

#[test]
fn a_tree_that_shares_files_is_refused_before_anything_changes() {
    let sample = Sample::new();
    let before = sample.looks();
    fs::hard_link(sample.at("home/user/notes"), sample.dir.path().join("copy")).unwrap();
    let error = give(&sample.top, WEB).unwrap_err();
    assert!(error.to_string().contains("home/user/notes"), "{error}");
    assert_eq!(sample.looks(), before);
}

#[test]
fn an_immutable_top_is_a_read_only_image() {
    let sample = Sample::new();
    lock(&sample.top, IFlags::IMMUTABLE);
    let error = give(&sample.top, WEB).unwrap_err();
    assert!(error.to_string().contains("immutable"), "{error}");
    assert_eq!(owner(&sample.at("usr/bin/su")), (0, 0));
}

#[test]
fn whoever_has_the_top_must_be_an_images_root() {
    let sample = Sample::new();
    chown(&sample.top, Some(100_000), Some(0)).unwrap();
    let error = give(&sample.top, WEB).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert_eq!(owner(&sample.at("usr/bin/su")), (0, 0));
}

#[test]
fn an_interrupted_change_is_seen_and_goes_on_to_either_end() {
    for end in [WEB, OTHER, 0] {
        let sample = Sample::new();
        sample.add_files(1000);
        let before = sample.looks();
        let root = File::open(&sample.top).unwrap();
        // More than the look before the change takes, less than all.
        let watch = &mut Patience(Some(5));
        let error = change_owners(root.as_fd(), &sample.top, WEB, watch).unwrap_err();
        assert!(error.to_string().ends_with("interrupted"), "{error}");
        assert_eq!(TreeIds::of(owner(&sample.top)), TreeIds::Interrupted);
        assert_eq!(interrupted_target(root.as_fd()), Some(WEB));
        give(&sample.top, end).unwrap();
        give(&sample.top, 0).unwrap();
        assert_eq!(sample.looks(), before);
    }
}

type Strip<'a> = &'a dyn Fn(&Path);

/// The states that a kill can leave of a file in work, made by hand.
#[test]
fn the_file_in_work_is_finished() {
    let strip_owner = |path: &Path| chown(path, Some(WEB), Some(WEB)).unwrap();
    let strip_locks = |path: &Path| unlock(path);
    let nothing = |_: &Path| ();
    let cases: [(&str, u32, Strip<'_>); 6] = [
        ("usr/bin/su", 0, &nothing),
        ("usr/bin/su", 0, &strip_owner),
        ("usr/bin/both", 0, &strip_owner),
        ("usr/bin/ping", 0, &strip_owner),
        ("var/empty", IFlags::IMMUTABLE.bits(), &strip_locks),
        ("var/log", IFlags::APPEND.bits(), &strip_locks),
    ];
    for (path, flags, strip) in cases {
        let sample = Sample::new();
        let before = sample.looks();
        let file = sample.at(path);
        let note = Marker {
            rule: Rule::new(TreeIds::Unshifted, None, WEB),
            pending: Some(Pending {
                path: marker::path_hash(Path::new(path).as_os_str().as_bytes()),
                mode: mode(&file),
                flags,
                capability: get(&file, CAPABILITY),
            }),
        };
        let top = File::open(&sample.top).unwrap();
        assert!(note.write(top.as_fd()).unwrap());
        chown(&sample.top, Some(BUSY_BASE), Some(BUSY_BASE)).unwrap();
        strip(&file);
        give(&sample.top, WEB).unwrap();
        assert_eq!(owner(&file), (WEB, WEB), "{path}");
        give(&sample.top, 0).unwrap();
        assert_eq!(sample.looks(), before, "{path}");
    }
}

#[test]
fn what_nspawn_left_half_done_is_finished() {
    let sample = Sample::new();
    let before = sample.looks();
    chown(&sample.top, Some(BUSY_BASE), Some(BUSY_BASE)).unwrap();
    chown(sample.at("usr"), Some(OTHER), Some(OTHER)).unwrap();
    assert_eq!(
        interrupted_target(File::open(&sample.top).unwrap().as_fd()),
        None
    );
    give(&sample.top, 0).unwrap();
    assert_eq!(sample.looks(), before);
}

#[test]
fn depth_exhausts_nothing() {
    let sample = Sample::new();
    let mut at = File::open(&sample.top).unwrap();
    for _ in 0..1500 {
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
        let how = OFlags::RDONLY | OFlags::DIRECTORY;
        at = openat(&at, "d", how, Mode::empty()).unwrap().into();
    }
    give(&sample.top, WEB).unwrap();
    assert_eq!(rustix::fs::fstat(&at).unwrap().st_uid, WEB);
    let top = File::open(sample.dir.path()).unwrap();
    unlock(&sample.at("var/empty"));
    unlock(&sample.at("var/log"));
    crate::image::remove_tree(top.as_fd(), OsStr::new("image")).unwrap();
    fs::create_dir_all(sample.at("var/empty")).unwrap();
    fs::write(sample.at("var/log"), "").unwrap();
}
