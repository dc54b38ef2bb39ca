//! More than there is room for.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nsrun_runtime::Kind;
use nsrun_runtime::image::Limits;

use super::support::{Member, Place, Tar};
use super::{accept, refuse};

#[test]
fn i41_sizes_beyond_the_disk_are_refused_before_a_byte_is_written() {
    let huge = Member::new(b'0', "a").patch(124, [0x80, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]);
    let error = Place::new().refused(&Tar::new().member(&huge).end());
    assert!(error.to_string().contains("bytes that are free"), "{error}");
    assert_eq!(error.kind(), Kind::Failed);
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
