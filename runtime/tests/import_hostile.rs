//! Hostile and damaged archives: each is refused with a message of its own, or imported
//! with a warning, and leaves nothing else behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use nsrun_runtime::Kind;
use nsrun_runtime::image::{Limits, WarningKind};
use support::{Member, Place, Tar};

/// Refused as bad input, for a reason whose text contains `why`.
#[track_caller]
fn refuse(archive: &[u8], why: &str) {
    let error = Place::new().refused(archive);
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(error.kind(), Kind::BadInput, "{error}");
}

/// Imported with exactly these warnings.
#[track_caller]
fn accept(archive: &[u8], warnings: &[(WarningKind, u64)]) -> Place {
    let place = Place::new();
    let report = place.import(archive).unwrap();
    let got: Vec<_> = report.warnings.iter().map(|w| (w.kind, w.count)).collect();
    assert_eq!(got, warnings);
    assert_eq!(place.left(), ["web"]);
    place.assert_untouched();
    place
}

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
fn i19_the_size_in_an_extended_header_wins() {
    let inner = Tar::new().file("inner", "x").0;
    let smuggled = &inner[..512];
    let mut outer = Member::file("outer", smuggled);
    outer = outer.patch(124, b"00000000000");
    let archive = Tar::new().pax(&[("size", b"512")]).member(&outer);
    let place = accept(&archive.end(), &[]);
    assert_eq!(fs::read(place.image().join("outer")).unwrap(), smuggled);
    assert!(!place.image().join("inner").exists());
}

#[test]
fn i21_an_extended_size_is_not_the_long_names() {
    let body = [b"long".repeat(40), vec![0]].concat();
    let archive = Tar::new()
        .pax(&[("size", b"3")])
        .extension(b'L', &body)
        .file("short", "abc")
        .end();
    let place = accept(&archive, &[]);
    assert_eq!(
        fs::read(place.image().join("long".repeat(40))).unwrap(),
        b"abc"
    );
}

#[test]
fn i22_to_i24_malformed_records() {
    let why = "records are malformed";
    for body in [
        &b"99 path=a\n"[..],
        b"9 path=a!",
        b"path=a\n",
        b"0 path=a\n",
    ] {
        refuse(&Tar::new().extension(b'x', body).file("a", "x").end(), why);
    }
    let twice = Tar::new().pax(&[("path", b"a"), ("path", b"b")]);
    refuse(
        &twice.file("a", "x").end(),
        "its record 'path' is given twice",
    );
    let nul = Tar::new().pax(&[("path", b"a\0b")]);
    refuse(&nul.file("a", "x").end(), "holds a NUL byte");
    let up = Tar::new().pax(&[("path", b"../../esc")]);
    refuse(&up.file("a", "x").end(), "its name holds '..'");
    let size = Tar::new().pax(&[("size", b"-1")]);
    refuse(
        &size.file("a", "x").end(),
        "its record 'size' is not a number",
    );
}

#[test]
fn i25_i27_extended_headers_have_a_limit() {
    for kind in *b"xLKg" {
        let endless = Member::new(kind, "a").patch(124, b"77777777777");
        refuse(
            &Tar::new().member(&endless).end(),
            "an extended header of 8589934591 bytes",
        );
    }
}

#[test]
fn i26_a_global_header_names_nothing() {
    for key in ["path", "size", "linkpath"] {
        let body = support::record(key, b"1");
        let archive = Tar::new().extension(b'g', &body).file("a", "x");
        refuse(&archive.end(), "a global extended header sets what differs");
    }
    let comment = support::record("comment", b"0123456789abcdef");
    accept(
        &Tar::new().extension(b'g', &comment).file("a", "x").end(),
        &[],
    );
}

#[test]
fn i28_i29_long_names_and_deep_paths() {
    let name = "n".repeat(256);
    let long = Tar::new().pax(&[("path", name.as_bytes())]).file("a", "x");
    refuse(&long.end(), "longer than 255 bytes");
    let deep = |count| {
        let path = ["d"; 1].repeat(count).join("/");
        Tar::new()
            .pax(&[("path", path.as_bytes())])
            .file("a", "x")
            .end()
    };
    refuse(&deep(1025), "deeper than 1024 directories");
    let place = accept(&deep(1024), &[]);
    let root = fs::File::open(place.image_root()).unwrap();
    use std::os::fd::AsFd;
    nsrun_runtime::image::remove_tree(root.as_fd(), "web".as_ref()).unwrap();
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn i29_paths_longer_than_one_system_call_takes() {
    let part = "p".repeat(200);
    let path = vec![part; 60].join("/");
    let archive = Tar::new()
        .pax(&[("path", format!("{path}/f").as_bytes())])
        .file("a", "x")
        .pax(&[("linkpath", format!("{path}/f").as_bytes())])
        .hard_link("link", "x");
    let place = accept(&archive.end(), &[]);
    assert_eq!(fs::metadata(place.image().join("link")).unwrap().nlink(), 2);
}

#[test]
fn i30_i31_names_are_kept_and_messages_are_clean() {
    let name = b"\xff\x1b[2J\n\x07";
    let place = accept(&Tar::new().file(name, "x").end(), &[]);
    use std::os::unix::ffi::OsStrExt;
    let entry = fs::read_dir(place.image())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(entry.file_name().as_bytes(), name);
    let bad = Tar::new().file(b"\x1b[2J/../\n\x07", "x").end();
    let text = Place::new().refused(&bad).to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.contains("\\u{1b}[2J/../\\n"), "{text}");
}

#[test]
fn i32_i33_the_root_stays_a_directory() {
    for (mode, expected) in [(0o700, 0o700), (0o1777, 0o755), (0o555, 0o555)] {
        let archive = Tar::new()
            .member(&Member::dir("./").mode(mode))
            .file("a", "x");
        let place = accept(&archive.end(), &[]);
        let got = fs::metadata(place.image()).unwrap().permissions().mode();
        assert_eq!(got & 0o7777, expected);
    }
    refuse(&Tar::new().file("", "x").end(), "its name is empty");
    refuse(
        &Tar::new().symlink(".", "/etc").end(),
        "it would replace the root directory",
    );
    refuse(
        &Tar::new().file("./.", "x").end(),
        "it would replace the root directory",
    );
}

#[test]
fn i34_to_i36_cut_off_archives() {
    let archive = Tar::new().file("a", vec![b'x'; 5000]).file("b", "y").end();
    for length in [600, 3000, 512 + 5000, 512 + 5120 + 100] {
        refuse(&archive[..length], "the archive is cut off");
    }
    for length in [512 + 5120, archive.len() - 1024] {
        refuse(&archive[..length], "the archive has no end mark");
    }
}

#[test]
fn i37_one_zero_block_ends_the_archive() {
    let archive = Tar::new()
        .file("a", "x")
        .raw([0; 512])
        .file("hidden", "x")
        .end();
    let warnings = [
        (WarningKind::LoneZeroBlock, 1),
        (WarningKind::TrailingBytes, 2048),
    ];
    let place = accept(&archive, &warnings);
    assert!(!place.image().join("hidden").exists());
}

#[test]
fn i38_data_after_the_end() {
    let archive = Tar::new().file("a", "x").end();
    accept(&[&archive[..], &[0; 9000]].concat(), &[]);
    let warnings = [(WarningKind::TrailingBytes, 7)];
    accept(&[&archive[..], &[0; 512], b"garbage"].concat(), &warnings);
}

#[test]
fn i39_a_wrong_checksum() {
    let mut archive = Tar::new().file("a", "x").file("b", "y").end();
    archive[1024] ^= 1;
    refuse(
        &archive,
        "cannot read the member at byte 1024: the header's checksum is wrong",
    );
}

#[test]
fn i40_nothing_to_import() {
    refuse(b"", "not a tar archive: it is empty");
    refuse(&[b'x'; 511], "not a tar archive: it has 511 bytes only");
    refuse(&Tar::new().end(), "the archive is empty");
}

#[test]
fn i41_sizes_beyond_the_disk_are_refused_before_a_byte_is_written() {
    let huge = Member::new(b'0', "a").patch(124, [0x80, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]);
    let error = Place::new().refused(&Tar::new().member(&huge).end());
    assert!(error.to_string().contains("bytes that are free"), "{error}");
    assert_eq!(error.kind(), Kind::Failed);
}

#[test]
fn i42_numbers_out_of_range() {
    refuse(
        &Tar::new()
            .member(&Member::new(b'0', "a").patch(124, [0xff; 12]))
            .end(),
        "its size is -1",
    );
    let late = Member::new(b'0', "a").patch(136, [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    accept(&Tar::new().member(&late).end(), &[(WarningKind::Times, 1)]);
    let garbage = Member::new(b'0', "a").patch(124, b"12abc");
    refuse(
        &Tar::new().member(&garbage).end(),
        "its size is not a number",
    );
}

#[test]
fn i43_owners_that_are_none() {
    let nobody = Member::new(b'0', "a").patch(108, [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    refuse(&Tar::new().member(&nobody).end(), "its owner is 4294967295");
    let negative = Member::new(b'0', "a").patch(116, [0xff; 8]);
    refuse(&Tar::new().member(&negative).end(), "its group is -1");
    let foreign = Member::file("a", "x").owner(100_000, 0);
    let place = accept(
        &Tar::new().member(&foreign).end(),
        &[(WarningKind::ForeignOwners, 1)],
    );
    assert_eq!(
        fs::metadata(place.image().join("a")).unwrap().uid(),
        100_000
    );
}

#[test]
fn i44_sparse_maps_that_lie() {
    let sparse = |map: &[u8], size: &[u8], data: &str| {
        Tar::new()
            .pax(&[("GNU.sparse.size", size), ("GNU.sparse.map", map)])
            .file("a", data)
            .end()
    };
    refuse(
        &sparse(b"0,3,1,3", b"100", "abcdef"),
        "overlaps or leaves the file",
    );
    refuse(
        &sparse(b"98,3", b"100", "abc"),
        "overlaps or leaves the file",
    );
    refuse(&sparse(b"0,2", b"100", "abc"), "does not fit its data");
    refuse(&sparse(b"0", b"100", "abc"), "an odd number of entries");
    refuse(&sparse(b"0,x", b"100", "abc"), "is not a number");
    let place = Place::new();
    let error = place.refused(&sparse(b"0,3", b"18446744073709551615", "abc"));
    assert!(error.to_string().contains("bytes long"), "{error}");
}

#[test]
fn i44_a_file_of_holes_takes_no_space() {
    let archive = Tar::new()
        .pax(&[
            ("GNU.sparse.size", b"1099511627776"),
            ("GNU.sparse.map", b"1099511627773,3"),
        ])
        .file("a", "abc");
    let place = accept(&archive.end(), &[]);
    let file = fs::metadata(place.image().join("a")).unwrap();
    assert_eq!(file.len(), 1 << 40);
    assert!(file.blocks() < 100);
}

#[test]
fn i45_archives_of_other_kinds() {
    for (kind, why) in [
        (b'M', "multi-volume"),
        (b'D', "incremental"),
        (b'V', "volume label"),
    ] {
        refuse(&Tar::new().member(&Member::new(kind, "a")).end(), why);
    }
}

#[test]
fn i46_more_members_than_allowed() {
    let archive = (0..20)
        .fold(Tar::new(), |tar, i| tar.file(format!("f{i}"), ""))
        .end();
    let limits = |inodes| Limits {
        inodes,
        ..Limits::default()
    };
    assert!(Place::new().import_within(&archive, limits(20)).is_ok());
    let error = Place::new().refused_within(&archive, limits(19));
    assert!(
        error.to_string().contains("more than 19 members"),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.advice().unwrap().contains("--max-inodes"));
}

#[test]
fn i46_directories_that_are_only_implied_count() {
    let path = ["d"; 1].repeat(50).join("/");
    let limits = Limits {
        inodes: 30,
        ..Limits::default()
    };
    let error = Place::new().refused_within(&Tar::new().file(path, "x").end(), limits);
    assert!(
        error.to_string().contains("more than 30 members"),
        "{error}"
    );
}

#[test]
fn a_given_number_of_bytes_is_kept_to() {
    let limits = Limits {
        bytes: Some(1000),
        ..Limits::default()
    };
    let archive = Tar::new().file("a", [0; 600]).file("b", [0; 600]).end();
    let error = Place::new().refused_within(&archive, limits);
    assert!(
        error.to_string().contains("more than 1000 bytes"),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::BadInput);
}

#[test]
fn bodies_where_readers_disagree_are_refused() {
    for kind in *b"12356" {
        let mut member = Member::new(kind, "a").link("x");
        member.data = b"data".to_vec();
        refuse(
            &Tar::new().file("x", "").member(&member).end(),
            "4 bytes of data",
        );
    }
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

#[test]
fn two_extended_headers_of_one_kind_are_refused() {
    let twice = Tar::new()
        .pax(&[("path", b"a")])
        .pax(&[("path", b"b")])
        .file("c", "x");
    refuse(&twice.end(), "two extended headers of one kind");
    let unfinished = Tar::new().pax(&[("path", b"a")]).end();
    refuse(&unfinished, "the archive ends after an extended header");
}

#[test]
fn i54_what_is_no_archive_is_named() {
    let html = [&b"<!DOCTYPE html>"[..], &[b' '; 1000]].concat();
    refuse(&html, "not a tar archive: it is a web page");
    refuse(
        &[&b"\x7fELF\x02\x01"[..], &[0; 1000]].concat(),
        "it is a program",
    );
    refuse(&[b'?'; 4096], "its first bytes are unknown");
}

#[test]
fn a_taken_name_is_refused_before_the_archive_is_read() {
    let place = Place::new();
    place.import(&Tar::new().file("a", "x").end()).unwrap();
    let error = place.import(b"not an archive").unwrap_err();
    assert_eq!(error.kind(), Kind::Busy, "{error}");
    assert!(
        error.to_string().ends_with("images/web exists already"),
        "{error}"
    );
    assert_eq!(fs::read(place.image().join("a")).unwrap(), b"x");
}

#[test]
fn a_raw_image_of_that_name_takes_it_too() {
    let place = Place::new();
    fs::create_dir(place.image_root()).unwrap();
    fs::set_permissions(place.image_root(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(place.image_root().join("web.raw"), "").unwrap();
    let error = place.import(&Tar::new().file("a", "x").end()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy, "{error}");
}

#[test]
fn an_image_root_that_others_can_enter_is_refused() {
    let place = Place::new();
    fs::create_dir(place.image_root()).unwrap();
    fs::set_permissions(place.image_root(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = place.import(&Tar::new().file("a", "x").end()).unwrap_err();
    assert_eq!(error.kind(), Kind::HostLacks);
    let remedy = format!("chmod 0700 {}", place.image_root().display());
    assert_eq!(error.advice(), Some(&*remedy));
}

#[test]
fn a_missing_file_and_a_directory_are_told_apart() {
    use nsrun_runtime::image::import::Source;
    let place = Place::new();
    let missing = Source::Archive(place.path().join("missing"));
    let error = place.import_source(missing, Limits::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("cannot open it: no such file or directory"),
        "{error}"
    );
    let dir = Source::Archive(place.victim());
    let error = place.import_source(dir, Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.advice().unwrap().contains("import-fs"));
    let file = Source::Directory(place.victim().join("secret"));
    let error = place.import_source(file, Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
}
