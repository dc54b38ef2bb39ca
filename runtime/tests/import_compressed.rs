//! Compressed archives: sound in every format and shape, damaged at every place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use nsrun_runtime::Kind;
use nsrun_runtime::image::import::Source;
use nsrun_runtime::image::{Compression, Limits, WarningKind};
use support::{Member, Place, Tar, xz};

/// Bytes that do not compress well, the same every time.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Ten files of 30 kB each.
fn archive() -> Vec<u8> {
    let add = |tar: Tar, i: u64| tar.file(format!("d/f{i}"), noise(30_000, i + 1));
    (0..10).fold(Tar::new(), add).end()
}

fn assert_whole(image: &Path) {
    for i in 0..10 {
        let file = fs::read(image.join(format!("d/f{i}"))).unwrap();
        assert!(file == noise(30_000, i + 1), "f{i} differs");
    }
}

#[track_caller]
fn accept(file: &[u8], compression: Compression) {
    let place = Place::new();
    let report = place.import(file).unwrap();
    assert_eq!(report.compression, Some(compression));
    assert_eq!(report.warnings, []);
    assert_eq!(report.archive_bytes, file.len() as u64);
    assert_whole(&place.image());
}

#[track_caller]
fn refuse(file: &[u8], why: &str) {
    let error = Place::new().refused(file);
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(error.kind(), Kind::BadInput, "{error}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    xz::blocks(bytes, 64 << 10)
}

type Encoder = fn(&[u8]) -> Vec<u8>;

const FORMATS: [(Encoder, Compression); 4] = [
    (xz, Compression::Xz),
    (zstd, Compression::Zstd),
    (gzip, Compression::Gzip),
    (bzip2, Compression::Bzip2),
];

#[test]
fn every_format_is_told_by_its_contents() {
    accept(&archive(), Compression::None);
    for (encode, compression) in FORMATS {
        accept(&encode(&archive()), compression);
    }
}

#[test]
fn several_members_or_streams_are_one_archive() {
    let archive = archive();
    for (encode, compression) in FORMATS {
        for at in [1, 30_000, 100_000, archive.len() - 1] {
            let (head, tail) = archive.split_at(at);
            accept(&[encode(head), encode(tail)].concat(), compression);
        }
        let many: Vec<u8> = archive.chunks(20_000).flat_map(encode).collect();
        accept(&many, compression);
        accept(
            &[encode(b""), encode(&archive), encode(b"")].concat(),
            compression,
        );
    }
}

#[test]
fn xz_streams_may_be_padded_in_fours() {
    let archive = archive();
    let (head, tail) = archive.split_at(70_000);
    let padded = [&xz(head)[..], &[0; 8], &xz(tail), &[0; 12]].concat();
    accept(&padded, Compression::Xz);
}

#[test]
fn zstd_frames_to_skip_are_skipped() {
    let skipped = [&[0x51, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"other"].concat();
    let file = [&skipped[..], &zstd(&archive()), &skipped].concat();
    accept(&file, Compression::Zstd);
}

#[test]
fn xz_is_refused_when_cut_at_every_block() {
    let file = xz(&archive());
    let boundaries = xz::boundaries(&file);
    assert!(boundaries.len() > 4);
    for at in boundaries {
        for length in [at - 1, at, at + 1] {
            refuse(&file[..length], "cut off");
        }
    }
    for length in [file.len() - 1, file.len() - 12, file.len() - 13] {
        refuse(&file[..length], "the xz data is cut off");
    }
}

#[test]
fn xz_is_refused_when_damaged_in_every_block() {
    let file = xz(&archive());
    let mut places = xz::boundaries(&file);
    places.push(file.len());
    for pair in places.windows(2) {
        for at in [
            pair[0],
            pair[0] + 1,
            usize::midpoint(pair[0], pair[1]),
            pair[1] - 1,
        ] {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            refuse(&damaged, "the xz data is");
        }
    }
}

#[test]
fn every_format_is_refused_when_cut() {
    for (encode, compression) in FORMATS {
        let file = encode(&archive());
        for part in 1..8 {
            let text = format!("the {compression} data is cut off");
            refuse(&file[..file.len() * part / 8], &text);
        }
        refuse(
            &file[..file.len() - 1],
            &format!("the {compression} data is cut off"),
        );
    }
}

#[test]
fn every_format_is_refused_when_damaged() {
    for (encode, compression) in FORMATS {
        let file = encode(&archive());
        for part in 1..8 {
            let mut damaged = file.clone();
            damaged[file.len() * part / 8] ^= 0x40;
            // What is decoded before the checksum is compared may be refused as tar first.
            let error = Place::new().refused(&damaged);
            assert_eq!(error.kind(), Kind::BadInput, "{compression}: {error}");
        }
    }
}

#[test]
fn data_after_the_compressed_archive_is_a_warning() {
    for (encode, _) in FORMATS {
        let file = [&encode(&archive())[..], b"something else"].concat();
        let place = Place::new();
        let report = place.import(&file).unwrap();
        let warnings: Vec<_> = report.warnings.iter().map(|w| (w.kind, w.count)).collect();
        assert_eq!(warnings, [(WarningKind::TrailingBytes, 14)]);
    }
}

#[test]
fn a_second_stream_that_lost_its_magic_is_no_end() {
    let archive = archive();
    let (head, tail) = archive.split_at(100_000);
    let mut second = xz(tail);
    second[0] = 0;
    second[1] = b'?';
    refuse(&[xz(head), second].concat(), "cut off");
}

#[test]
fn damage_after_the_end_of_the_archive_counts() {
    let mut file = xz(&[archive(), noise(200_000, 99)].concat());
    let last = xz::boundaries(&file);
    let at = last[last.len() - 2] + 100;
    file[at] ^= 1;
    refuse(&file, "the xz data is damaged");
}

#[test]
fn one_layer_of_compression_is_undone() {
    refuse(
        &gzip(&gzip(&archive())),
        "what was decoded is not a tar archive",
    );
    refuse(&xz(b"text"), "is cut off");
}

#[test]
fn the_index_that_pixz_appends_is_silent() {
    let place = Place::new();
    let packed = place.path().join("packed.tar.xz");
    let plain = place.archive(&archive());
    let packer = Command::new("pixz").arg(plain).arg(&packed).status();
    assert!(packer.unwrap().success());
    accept(&fs::read(&packed).unwrap(), Compression::Xz);
}

#[test]
fn i47_bombs_of_every_format() {
    // Not even gzip's best effort reaches a thousand to one.
    let limits = Limits {
        ratio: 100,
        ..Limits::default()
    };
    let head = Tar::new().member(&Member::new(b'0', "zeros").patch(124, b"10000000000"));
    for (encode, _) in FORMATS {
        let zeros = encode(&vec![0; 1 << 20]).repeat(160);
        let file = [encode(&head.0), zeros].concat();
        let error = Place::new().refused_within(&file, limits.clone());
        assert!(
            error.to_string().contains("more than 100 times its size"),
            "{error}"
        );
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.advice().unwrap().contains("--max-ratio"));
    }
}

#[test]
fn a_dense_archive_within_the_ratio_is_no_bomb() {
    let zeros = Member::file("zeros", vec![0; 90 << 20]);
    let file = zstd(&Tar::new().member(&zeros).end());
    assert!(Place::new().import(&file).is_ok());
}

#[test]
fn i49_xz_that_needs_more_memory_than_allowed() {
    let mut file = xz(&archive());
    // The block header's dictionary size: 1.5 GiB, and its checksum.
    let header = 12..12 + (usize::from(file[12]) + 1) * 4;
    let at = file[header.clone()]
        .windows(2)
        .position(|w| w == [0x21, 1])
        .unwrap()
        + 12
        + 2;
    file[at] = 37;
    let end = header.end - 4;
    let sum = crc32(&file[12..end]);
    file[end..end + 4].copy_from_slice(&sum.to_le_bytes());
    let error = Place::new().refused(&file);
    assert!(
        error.to_string().contains("more than 256 MiB of memory"),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.advice().unwrap().contains("--xz-memory"));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

#[test]
fn i49_xz_memory_is_an_option() {
    let file = xz::blocks(&archive(), 64 << 10);
    let limits = Limits {
        xz_memory: 16 << 10,
        ..Limits::default()
    };
    let error = Place::new().refused_within(&file, limits);
    assert!(error.to_string().contains("of memory to decode"), "{error}");
}

#[test]
fn i50_an_index_of_absurdly_many_records_takes_no_memory() {
    let empty = xz(b"");
    let mut file = empty[..12].to_vec();
    // Index: marker, 15 000 000 000 records, and then too little.
    let index = [0x00, 0x80, 0xac, 0xc7, 0xf0, 0x37, 0x18, 0x01];
    file.extend_from_slice(&index);
    file.resize(117, 0);
    refuse(&file, "the xz data is damaged");
}

#[test]
fn i51_zstd_windows_have_a_limit() {
    let frame = |log: u8| {
        let archive = Tar::new().file("a", "x").end();
        let size = u32::try_from(archive.len()).unwrap();
        let block = ((size << 3) | 1).to_le_bytes();
        let head = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (log - 10) << 3];
        [&head[..], &block[..3], &archive].concat()
    };
    assert!(Place::new().import(&frame(27)).is_ok());
    refuse(&frame(28), "the zstd data is damaged");
    refuse(&frame(31), "the zstd data is damaged");
}

#[test]
fn i53_endless_empty_members() {
    for (encode, _) in FORMATS {
        let file = [encode(&archive()), encode(b"").repeat(11_000)].concat();
        refuse(&file, "in 10001 parts that hold next to nothing");
    }
}

#[test]
fn i52_gzip_headers_have_a_limit() {
    let head = [0x1f, 0x8b, 8, 0x08, 0, 0, 0, 0, 0, 3];
    refuse(
        &[&head[..], &vec![b'n'; 1 << 20]].concat(),
        "the gzip data is",
    );
}

#[test]
fn standard_input_and_pipes_are_archives_too() {
    let place = Place::new();
    let packed = place.archive(&xz(&archive()));
    let mut cat = Command::new("cat")
        .arg(&packed)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = cat.stdout.take().unwrap();
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let source = Source::Archive(path.into());
    let report = place.import_source(source, Limits::default()).unwrap();
    assert_eq!(report.archive_bytes, fs::metadata(&packed).unwrap().len());
    assert_whole(&place.image());
    assert!(cat.wait().unwrap().success());
}

#[test]
fn the_hash_is_of_the_whole_file() {
    let file = [&xz(&archive())[..], b"something else"].concat();
    let place = Place::new();
    let report = place.import(&file).unwrap();
    let sum = Command::new("sha256sum")
        .arg(place.path().join("archive"))
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(report.sha256.as_deref(), sum.split_whitespace().next());
}
