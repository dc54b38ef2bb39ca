//! Members that lead elsewhere, or get into one another's way.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nsrun_runtime::Kind;
use nsrun_runtime::image::WarningKind;

use super::support::{Member, Place, Tar};
use super::{accept, refuse};

#[test]
fn i01_names_that_lead_up() {
    for name in ["../escape", "a/../../b", "..", "a/.."] {
        refuse(&Tar::new().file(name, "x").end(), "its name holds '..'");
    }
}

#[test]
fn i02_absolute_names_are_taken_below_the_root() {
    let archive = Tar::new().file("/etc/a", "x").file("//b", "y").end();
    let place = accept(&archive, &[(WarningKind::AbsoluteNames, 2)]);
    assert_eq!(fs::read(place.image().join("etc/a")).unwrap(), b"x");
    assert_eq!(fs::read(place.image().join("b")).unwrap(), b"y");
}

#[test]
fn i03_a_file_through_an_earlier_link() {
    let place = Place::new();
    for target in [place.victim().to_str().unwrap(), "../victim", "real"] {
        let archive = Tar::new()
            .dir("real")
            .symlink("a", target)
            .file("a/pwn", "x");
        let error = place.refused(&archive.end());
        let text = error.to_string();
        assert!(
            text.contains("leads through 'a', a symbolic link"),
            "{text}"
        );
        assert_eq!(error.kind(), Kind::BadInput);
    }
}

#[test]
fn i04_a_directory_in_the_place_of_a_link_changes_nothing_behind_it() {
    let place = Place::new();
    let dir = Member::dir("a").mode(0o777);
    let archive = Tar::new()
        .symlink("a", place.victim().to_str().unwrap())
        .member(&dir);
    let text = place.refused(&archive.end()).to_string();
    assert!(
        text.contains("a symbolic link of that name is there already"),
        "{text}"
    );
}

#[test]
fn i05_to_i09_hard_links_out_of_the_archive() {
    let place = Place::new();
    let secret = place.victim().join("secret");
    let through = Tar::new()
        .symlink("a", place.victim().to_str().unwrap())
        .hard_link("b", "a/secret");
    for (archive, why) in [
        (
            Tar::new().hard_link("b", secret.to_str().unwrap()),
            "is not in the archive before it",
        ),
        (Tar::new().hard_link("b", "../victim/secret"), "holds '..'"),
        (through, "leads through 'a', a symbolic link"),
        (
            Tar::new().hard_link("b", "missing"),
            "'missing', is not in the archive before it",
        ),
        (Tar::new().hard_link("b", "b"), "a hard link to itself"),
        (
            Tar::new().dir("d").hard_link("b", "d"),
            "a hard link to a directory",
        ),
        (Tar::new().hard_link("b", "."), "a hard link to a directory"),
        (Tar::new().hard_link("b", ""), "its target is empty"),
    ] {
        let error = place.refused(&archive.end());
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.kind(), Kind::BadInput);
    }
}

#[test]
fn i09_a_hard_link_to_a_symbolic_link_is_one_to_the_link_itself() {
    let place = Place::new();
    let secret = place.victim().join("secret");
    let archive = Tar::new()
        .symlink("a", secret.to_str().unwrap())
        .hard_link("b", "a");
    place.import(&archive.end()).unwrap();
    place.assert_untouched();
    assert_eq!(fs::read_link(place.image().join("b")).unwrap(), secret);
}

#[test]
fn i10_device_nodes_are_left_out() {
    let archive = Tar::new()
        .member(&Member::new(b'3', "dev/null"))
        .member(&Member::new(b'4', "dev/sda"))
        .file("a", "x");
    let place = accept(&archive.end(), &[(WarningKind::Devices, 2)]);
    assert!(!place.image().join("dev").exists());
}

#[test]
fn i11_named_pipes_are_made_and_not_opened() {
    let archive = Tar::new().member(&Member::new(b'6', "p").mode(0o640)).end();
    let place = accept(&archive, &[]);
    let pipe = fs::metadata(place.image().join("p")).unwrap();
    assert!(pipe.file_type().is_fifo());
    assert_eq!(pipe.mode() & 0o7777, 0o640);
}

#[test]
fn i12_unknown_kinds() {
    refuse(
        &Tar::new().member(&Member::new(b'Z', "a")).end(),
        "the type 'Z' is unknown",
    );
    refuse(
        &Tar::new().member(&Member::new(0x1b, "a")).end(),
        "the type '\\x1b' is unknown",
    );
}

#[test]
fn i13_setuid_files_stay_so_below_a_root_that_only_root_enters() {
    let suid = Member::file("su", "x").mode(0o6755).owner(0, 12);
    let place = accept(&Tar::new().member(&suid).end(), &[]);
    let file = fs::metadata(place.image().join("su")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.gid()), (0o6755, 12));
    let root = fs::metadata(place.image_root()).unwrap();
    assert_eq!((root.mode() & 0o7777, root.uid()), (0o700, 0));
}

#[test]
fn i15_attributes_of_the_host_are_left_out() {
    let archive = Tar::new()
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.security.selinux", b"x"),
            ("SCHILY.xattr.security.ima", b"x"),
            ("SCHILY.xattr.system.nfs4_acl", b"x"),
            (
                "SCHILY.acl.access",
                b"user::rwx,user:bob:rwx,group::r-x,mask::rwx,other::r-x",
            ),
        ])
        .file("a", "x");
    let warnings = [(WarningKind::Attributes, 4), (WarningKind::Acls, 1)];
    accept(&archive.end(), &warnings);
}

#[test]
fn i16_the_last_of_several_files_counts() {
    let archive = Tar::new()
        .file("a", "first")
        .hard_link("b", "a")
        .file("a", "second")
        .symlink("a2", "x")
        .file("a2", "third");
    let place = accept(&archive.end(), &[]);
    let read = |name| fs::read_to_string(place.image().join(name)).unwrap();
    assert_eq!(
        (read("a"), read("b"), read("a2")),
        ("second".into(), "first".into(), "third".into())
    );
}

#[test]
fn i17_a_file_cannot_be_a_directory_too() {
    refuse(
        &Tar::new().file("f", "x").file("f/x", "y").end(),
        "through 'f', which is no directory",
    );
    refuse(
        &Tar::new().file("f", "x").dir("f").end(),
        "a file of that name is there already",
    );
}

#[test]
fn i18_a_directory_that_is_not_empty_is_not_replaced() {
    let why = "a directory of that name is there and not empty";
    refuse(&Tar::new().file("d/x", "y").symlink("d", "/etc").end(), why);
    refuse(&Tar::new().file("d/x", "y").file("d", "z").end(), why);
    let place = accept(&Tar::new().dir("d").file("d", "z").end(), &[]);
    assert_eq!(fs::read(place.image().join("d")).unwrap(), b"z");
}

#[test]
fn links_need_a_target() {
    refuse(&Tar::new().symlink("a", "").end(), "its target is empty");
    let long = "t".repeat(4096);
    let archive = Tar::new()
        .pax(&[("linkpath", long.as_bytes())])
        .symlink("a", "x");
    refuse(&archive.end(), "its target is longer than 4095 bytes");
}
