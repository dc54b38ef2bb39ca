use proptest::prelude::*;

use super::*;

const SIZE: u64 = 64 * 512;

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// An image with a GPT that lists these partitions, by type, first and last sector.
fn with_gpt(parts: &[([u8; 16], u64, u64)]) -> Vec<u8> {
    let mut image = vec![0; usize::try_from(SIZE).unwrap()];
    for (number, (kind, first, last)) in parts.iter().enumerate() {
        let at = 1024 + number * 128;
        put(&mut image, at, kind);
        put(&mut image, at + 32, &first.to_le_bytes());
        put(&mut image, at + 40, &last.to_le_bytes());
    }
    let list = u32::try_from(sum(&image[1024..1024 + 8 * 128])).unwrap();
    put(&mut image, 512, b"EFI PART");
    put(&mut image, 512 + 12, &92_u32.to_le_bytes());
    put(&mut image, 512 + 72, &2_u64.to_le_bytes());
    put(&mut image, 512 + 80, &8_u32.to_le_bytes());
    put(&mut image, 512 + 84, &128_u32.to_le_bytes());
    put(&mut image, 512 + 88, &list.to_le_bytes());
    seal(&mut image);
    image
}

fn seal(image: &mut [u8]) {
    put(image, 512 + 16, &[0; 4]);
    let header = u32::try_from(sum(&image[512..512 + 92])).unwrap();
    put(image, 512 + 16, &header.to_le_bytes());
}

fn with_mbr(parts: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut image = vec![0; usize::try_from(SIZE).unwrap()];
    for (number, (kind, first, count)) in parts.iter().enumerate() {
        let at = 446 + number * 16;
        image[at + 4] = *kind;
        put(&mut image, at + 8, &first.to_le_bytes());
        put(&mut image, at + 12, &count.to_le_bytes());
    }
    put(&mut image, 510, b"\x55\xaa");
    image
}

fn look(image: &[u8]) -> Result<Option<Part>> {
    let read = |at: u64, length: usize| {
        let rest = usize::try_from(at).ok().and_then(|at| image.get(at..));
        let rest = rest.unwrap_or_default();
        Ok(rest[..length.min(rest.len())].to_vec())
    };
    root_of(&read, image.len() as u64)
}

fn complaint(image: &[u8]) -> String {
    let error = look(image).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    error.to_string()
}

const ESP: [u8; 16] = guid(0xc12a_7328_f81f_11d2_ba4b_00a0_c93e_c93b);

#[test]
fn a_guid_has_the_bytes_of_the_specification() {
    let start = [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79];
    assert!(LINUX.starts_with(&start));
}

#[test]
fn the_root_partition_is_found_by_its_type() {
    let root = ROOT.unwrap();
    let image = with_gpt(&[(ESP, 10, 11), (LINUX, 12, 13), (root, 20, 29)]);
    let part = look(&image).unwrap().unwrap();
    let expected = Part {
        offset: 20 * 512,
        length: 10 * 512,
        others: 2,
    };
    assert_eq!(part, expected);
    let only = with_gpt(&[(ESP, 10, 11), (LINUX, 12, 13)]);
    assert_eq!(look(&only).unwrap().unwrap().offset, 12 * 512);
    let old = with_mbr(&[(0x0c, 1, 2), (0x83, 4, 8)]);
    assert_eq!(look(&old).unwrap().unwrap().length, 8 * 512);
}

#[test]
fn where_it_cannot_be_told_nothing_is_guessed() {
    let twice = [(LINUX, 10, 11), (LINUX, 12, 13)];
    assert!(complaint(&with_gpt(&twice)).contains("2 of its partitions"));
    assert!(complaint(&with_gpt(&[(ESP, 10, 11)])).contains("none of its 1"));
    assert!(complaint(&with_mbr(&[(0x83, 1, 2), (0x83, 4, 8)])).contains("2 of"));
    assert!(complaint(&with_mbr(&[(0xee, 1, 63)])).contains("GPT"));
    assert_eq!(look(&[0; 4096]).unwrap(), None);
    assert_eq!(look(&with_mbr(&[])).unwrap(), None);
}

#[test]
fn a_partition_outside_of_the_image_is_refused() {
    for (first, last) in [
        (10, 64),
        (0, 5),
        (9, 8),
        (u64::MAX, u64::MAX),
        (1, u64::MAX),
    ] {
        let image = with_gpt(&[(LINUX, first, last)]);
        assert!(complaint(&image).contains("outside"), "{first} {last}");
    }
    for (first, count) in [(60, 5), (0, 5), (1, 0), (u32::MAX, u32::MAX)] {
        let image = with_mbr(&[(0x83, first, count)]);
        assert!(complaint(&image).contains("outside"), "{first} {count}");
    }
}

#[test]
fn a_damaged_table_is_told() {
    let good = with_gpt(&[(LINUX, 10, 11)]);
    let mut header = good.clone();
    header[512 + 40] ^= 1;
    assert!(complaint(&header).contains("checksum of its header"));
    let mut list = good.clone();
    list[1024 + 40] ^= 1;
    assert!(complaint(&list).contains("checksum of its list"));
    for (at, value) in [(80, u32::MAX), (84, 0), (84, u32::MAX)] {
        let mut sizes = good.clone();
        put(&mut sizes, 512 + at, &value.to_le_bytes());
        seal(&mut sizes);
        assert!(complaint(&sizes).contains("valid size"));
    }
    let mut length = good.clone();
    put(&mut length, 512 + 12, &u32::MAX.to_le_bytes());
    assert!(complaint(&length).contains("valid length"));
    assert!(complaint(&good[..1100]).contains("cut off"));
}

proptest! {
    #[test]
    fn whatever_is_found_lies_in_the_image(
        kind in prop_oneof![Just(LINUX), Just(ESP)],
        (first, last) in (any::<u64>(), any::<u64>()),
        noise in proptest::collection::vec((0_usize..2048, any::<u8>()), 0..4),
    ) {
        let mut image = with_gpt(&[(kind, first % 80, last % 80)]);
        for (at, byte) in noise {
            image[at] = byte;
        }
        seal(&mut image);
        if let Ok(Some(part)) = look(&image) {
            prop_assert!(part.offset > 0 && part.length > 0);
            prop_assert!(part.offset + part.length <= SIZE);
        }
    }
}
