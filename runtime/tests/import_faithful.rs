//! An image is what was packed: owners, modes, times, attributes, links, holes. The
//! reference is what GNU tar unpacks of the same archive.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nsrun_runtime::image::import::Source;
use nsrun_runtime::image::{Limits, metadata};
use support::tree::{assert_same, tree};
use support::{Member, Place, Tar};

/// A tree with something of everything that an image can have.
fn make_tree(root: &Path) {
    let dirs = [
        "bin",
        "store/hash-package/lib",
        "empty",
        "tmp",
        "deep/a/b/c/d/e",
    ];
    for dir in dirs {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::write(root.join("bin/su"), "setuid").unwrap();
    chown(root.join("bin/su"), Some(0), Some(5)).unwrap();
    fs::write(root.join("bin/owned"), vec![b'o'; 100_000]).unwrap();
    chown(root.join("bin/owned"), Some(1000), Some(100)).unwrap();
    fs::write(root.join("store/hash-package/lib/file"), "immutable").unwrap();
    let long = format!("store/{}", "long-name-".repeat(20));
    fs::write(root.join(long), "long").unwrap();
    fs::write(root.join("na\u{ef}ve \"name\"\n"), "odd").unwrap();
    fs::hard_link(root.join("bin/owned"), root.join("tmp/second")).unwrap();
    fs::hard_link(root.join("bin/owned"), root.join("deep/a/third")).unwrap();
    symlink("/nix/store/abs", root.join("absolute")).unwrap();
    symlink("../".repeat(60), root.join("deep/up")).unwrap();
    symlink("x".repeat(300), root.join("deep/far")).unwrap();
    let pipe = root.join("tmp/pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    make_sparse(&root.join("sparse"), 20);
    make_sparse(&root.join("deep/sparse-few"), 2);
    fs::File::create(root.join("holes-only"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let modes = [
        ("bin/su", 0o4755),
        ("store/hash-package/lib/file", 0o444),
        ("store/hash-package/lib", 0o555),
        ("store/hash-package", 0o555),
        ("store", 0o1775),
        ("empty", 0o000),
        ("tmp", 0o1777),
        ("deep/a", 0o2750),
    ];
    for (path, mode) in modes {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Pieces of data with holes between them, and a hole at the end.
fn make_sparse(path: &Path, pieces: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(path).unwrap();
    for piece in 0..pieces {
        file.write_all_at(&[b's'; 5000], piece * 100_000).unwrap();
    }
    file.set_len(pieces * 100_000 + 12_345).unwrap();
}

fn set_times(root: &Path) {
    let paths: Vec<PathBuf> = tree(root).into_keys().collect();
    for (i, path) in paths.iter().enumerate() {
        let time = rustix::fs::Timespec {
            tv_sec: 1 + i64::try_from(i).unwrap() * 1000,
            tv_nsec: 123_456_789,
        };
        let times = rustix::fs::Timestamps {
            last_access: time,
            last_modification: time,
        };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, root.join(path), &times, flags).unwrap();
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
}

struct Packed {
    place: Place,
    tree: PathBuf,
}

impl Packed {
    fn new() -> Self {
        let place = Place::new();
        let tree = place.path().join("tree");
        fs::create_dir(&tree).unwrap();
        make_tree(&tree);
        set_times(&tree);
        Self { place, tree }
    }

    /// Packs with GNU tar, imports, and compares with what GNU tar unpacks.
    fn compare(&self, options: &[&str]) {
        let archive = self.place.path().join("packed.tar");
        let (archive_text, tree) = (archive.to_str().unwrap(), self.tree.to_str().unwrap());
        let pack = [
            &["-cf", archive_text, "--numeric-owner"],
            options,
            &["-C", tree, "."],
        ];
        run("tar", &pack.concat());
        let reference = self.place.path().join("reference");
        fs::create_dir(&reference).unwrap();
        let unpack = [
            "-xpf",
            archive_text,
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            "--acls",
            "-C",
            reference.to_str().unwrap(),
        ];
        run("tar", &unpack);
        let source = Source::Archive(archive.clone());
        let report = self.place.import_source(source, Limits::default()).unwrap();
        assert_eq!(report.warnings, [], "{options:?}");
        assert_same(&self.place.image(), &reference);
        fs::remove_dir_all(&reference).unwrap();
        fs::remove_dir_all(self.place.image()).unwrap();
        fs::remove_file(&archive).unwrap();
    }
}

#[test]
fn all_formats_of_gnu_tar() {
    let packed = Packed::new();
    for options in [
        &["--format=gnu"][..],
        &["--format=oldgnu"],
        &["--format=posix"],
        &["--format=gnu", "--sparse"],
        &["--format=oldgnu", "--sparse"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
        &["--format=posix", "--pax-option=globexthdr.name=g,gid:=7"],
        &["--format=gnu", "--sort=name", "--blocking-factor=1"],
    ] {
        packed.compare(options);
    }
}

#[test]
fn formats_that_cannot_hold_long_names_or_big_numbers() {
    let packed = Packed::new();
    fs::remove_file(
        packed
            .tree
            .join(format!("store/{}", "long-name-".repeat(20))),
    )
    .unwrap();
    fs::remove_file(packed.tree.join("deep/far")).unwrap();
    fs::remove_file(packed.tree.join("deep/up")).unwrap();
    set_times(&packed.tree);
    for format in ["--format=ustar", "--format=v7"] {
        let exclude = if format.ends_with("v7") {
            "--exclude=./tmp/pipe"
        } else {
            "--exclude=-"
        };
        packed.compare(&[format, exclude]);
    }
}

#[test]
fn holes_stay_holes() {
    let packed = Packed::new();
    let archive = packed.place.path().join("packed.tar");
    let (to, from) = (archive.to_str().unwrap(), packed.tree.to_str().unwrap());
    run("tar", &["-cSf", to, "--format=posix", "-C", from, "."]);
    let source = Source::Archive(archive);
    packed
        .place
        .import_source(source, Limits::default())
        .unwrap();
    let file = fs::metadata(packed.place.image().join("sparse")).unwrap();
    assert!(file.blocks() * 512 < 400_000, "{} blocks", file.blocks());
    let file = fs::metadata(packed.place.image().join("holes-only")).unwrap();
    assert_eq!(file.blocks(), 0);
}

#[test]
fn attributes_lists_and_capabilities() {
    let packed = Packed::new();
    let set = |path: &str, name: &str, value: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(packed.tree.join(path), name, value, flags).unwrap();
    };
    set(
        "bin/owned",
        "user.text",
        b"value \0 with everything \xff\n=",
    );
    set("store", "user.dir", b"of a directory");
    set("bin/su", "security.capability", &capability());
    let acl = support::acl(&[
        (0x01, 6, None),
        (0x02, 5, Some(1234)),
        (0x04, 4, None),
        (0x10, 5, None),
        (0x20, 0, None),
    ]);
    set("bin/owned", "system.posix_acl_access", &acl);
    set("deep", "system.posix_acl_default", &acl);
    set_times(&packed.tree);
    // Not against what GNU tar unpacks: it loses lists that name no existing user.
    let archive = packed.place.path().join("packed.tar");
    let (to, from) = (archive.to_str().unwrap(), packed.tree.to_str().unwrap());
    let options = [
        "--xattrs",
        "--xattrs-include=*",
        "--acls",
        "--numeric-owner",
    ];
    run(
        "tar",
        &[
            &["-cf", to, "--format=posix"],
            &options[..],
            &["-C", from, "."],
        ]
        .concat(),
    );
    let source = Source::Archive(archive);
    let report = packed
        .place
        .import_source(source, Limits::default())
        .unwrap();
    assert_eq!(report.warnings, []);
    assert_same(&packed.place.image(), &packed.tree);
}

/// `cap_net_bind_service=ep` in the form without a namespace.
fn capability() -> Vec<u8> {
    let words = [0x0200_0001_u32, 1 << 10, 0, 0, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn capabilities_of_a_namespace_are_stored_without_it() {
    let words = [0x0300_0001_u32, 1 << 10, 0, 0, 0, 100_000];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let archive = Tar::new()
        .pax(&[("SCHILY.xattr.security.capability", &value)])
        .file("a", "x")
        .end();
    let place = Place::new();
    place.import(&archive).unwrap();
    let seen = &tree(&place.image())[Path::new("a")];
    let expected = [(b"security.capability".to_vec(), capability())];
    assert_eq!(seen.xattrs, expected.into());
}

#[test]
fn a_system_in_a_single_directory_is_taken_out_of_it() {
    let place = Place::new();
    let archive = Tar::new()
        .member(&Member::dir("top").mode(0o1777))
        .dir("top/etc")
        .file("top/etc/os-release", "ID=x")
        .end();
    place.import(&archive).unwrap();
    assert!(place.image().join("etc/os-release").exists());
    let mode = fs::metadata(place.image()).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert_eq!(place.left(), ["web"]);
    let data = Place::new();
    data.import(&Tar::new().file("top/data", "x").end())
        .unwrap();
    assert!(data.image().join("top/data").exists());
}

#[test]
fn what_is_known_lies_beside_the_image() {
    use std::os::fd::AsFd;
    let place = Place::new();
    let archive = Tar::new().dir("top").file("top/etc/os-release", "x").end();
    let report = place.import(&archive).unwrap();
    let image = fs::File::open(place.image()).unwrap();
    let name = "web".parse().unwrap();
    let known = metadata::read(&place.dirs(), &name, image.as_fd()).unwrap();
    assert_eq!(known.sha256, report.sha256);
    assert_eq!(known.counts, report.counts);
    assert_eq!(known.source, place.path().join("archive").to_str().unwrap());
    let names: Vec<_> = tree(&place.image()).into_keys().collect();
    assert_eq!(names, ["", "etc", "etc/os-release"].map(PathBuf::from));
}

#[test]
fn a_directory_is_copied_as_it_is() {
    let packed = Packed::new();
    let flags = rustix::fs::XattrFlags::empty();
    let file = packed.tree.join("bin/owned");
    rustix::fs::lsetxattr(&file, "user.text", b"value", flags).unwrap();
    rustix::fs::lsetxattr(&packed.tree, "user.top", b"value", flags).unwrap();
    set_times(&packed.tree);
    let source = Source::Directory(packed.tree.clone());
    let report = packed
        .place
        .import_source(source, Limits::default())
        .unwrap();
    assert_eq!(report.warnings, []);
    assert_eq!(report.sha256, None);
    assert_same(&packed.place.image(), &packed.tree);
    let copy = fs::metadata(packed.place.image().join("sparse")).unwrap();
    assert!(copy.blocks() * 512 < 400_000, "{} blocks", copy.blocks());
}

#[test]
fn a_copy_follows_no_link_and_leaves_sockets_and_devices_out() {
    use nsrun_runtime::image::WarningKind;
    let place = Place::new();
    let tree = place.path().join("tree");
    fs::create_dir(&tree).unwrap();
    symlink(place.victim(), tree.join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    let device = nix::sys::stat::makedev(1, 3);
    let (kind, mode) = (
        nix::sys::stat::SFlag::S_IFCHR,
        nix::sys::stat::Mode::S_IRUSR,
    );
    nix::sys::stat::mknod(&tree.join("null"), kind, mode, device).unwrap();
    let report = place
        .import_source(Source::Directory(tree), Limits::default())
        .unwrap();
    let warnings: Vec<_> = report.warnings.iter().map(|w| (w.kind, w.count)).collect();
    assert_eq!(
        warnings,
        [(WarningKind::Devices, 1), (WarningKind::Sockets, 1)]
    );
    let names: Vec<_> = support::tree::tree(&place.image()).into_keys().collect();
    assert_eq!(names, ["", "link"].map(PathBuf::from));
    place.assert_untouched();
}

#[test]
fn a_copy_of_what_holds_the_image_root_does_not_copy_itself() {
    let place = Place::new();
    let source = Source::Directory(place.path().to_owned());
    let report = place.import_source(source, Limits::default()).unwrap();
    assert!(place.image().join("victim/secret").exists());
    assert!(report.counts.directories < 10, "{:?}", report.counts);
}

#[test]
fn a_copy_keeps_to_the_limits() {
    let place = Place::new();
    let limits = Limits {
        inodes: 1,
        ..Limits::default()
    };
    let error = place
        .import_source(Source::Directory(place.victim()), limits.clone())
        .err();
    assert_eq!(error.map(|e| e.to_string()), None);
    fs::remove_dir_all(place.image()).unwrap();
    fs::write(place.path().join("more"), "").unwrap();
    let source = Source::Directory(place.path().to_owned());
    let error = place.import_source(source, limits).unwrap_err();
    assert!(error.to_string().contains("more than 1 members"), "{error}");
    assert_eq!(place.left(), Vec::<String>::new());
}
