//! Headers that lie, contradict each other or are malformed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nsrun_runtime::image::WarningKind;

use super::support::{Member, Place, Tar};
use super::{accept, refuse};

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
        let body = crate::support::record(key, b"1");
        let archive = Tar::new().extension(b'g', &body).file("a", "x");
        refuse(&archive.end(), "a global extended header sets what differs");
    }
    let comment = crate::support::record("comment", b"0123456789abcdef");
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
fn i39_a_wrong_checksum() {
    let mut archive = Tar::new().file("a", "x").file("b", "y").end();
    archive[1024] ^= 1;
    refuse(
        &archive,
        "cannot read the member at byte 1024: the header's checksum is wrong",
    );
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
fn two_extended_headers_of_one_kind_are_refused() {
    let twice = Tar::new()
        .pax(&[("path", b"a")])
        .pax(&[("path", b"b")])
        .file("c", "x");
    refuse(&twice.end(), "two extended headers of one kind");
    let unfinished = Tar::new().pax(&[("path", b"a")]).end();
    refuse(&unfinished, "the archive ends after an extended header");
}
