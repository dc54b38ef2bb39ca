//! Where an archive ends, and what is none.

use nsrun_runtime::image::WarningKind;

use super::support::{Member, Tar};
use super::{accept, refuse};

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
fn i40_nothing_to_import() {
    refuse(b"", "not a tar archive: it is empty");
    refuse(&[b'x'; 511], "not a tar archive: it has 511 bytes only");
    refuse(&Tar::new().end(), "the archive is empty");
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
fn i54_what_is_no_archive_is_named() {
    let html = [&b"<!DOCTYPE html>"[..], &[b' '; 1000]].concat();
    refuse(&html, "not a tar archive: it is a web page");
    refuse(
        &[&b"\x7fELF\x02\x01"[..], &[0; 1000]].concat(),
        "it is a program",
    );
    refuse(&[b'?'; 4096], "its first bytes are unknown");
}
