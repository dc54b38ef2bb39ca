//! Numbers in tar headers: octal text, or base-256 for what octal cannot hold.

/// The value of a numeric field: 8 or 12 bytes, at most 95 bits. `None` if it holds
/// anything but one number. An empty field is 0.
pub(super) fn parse(field: &[u8]) -> Option<i128> {
    match field.first()? {
        0x80 | 0xff => Some(base256(field)),
        byte if byte & 0x80 != 0 => None,
        _ => octal(field),
    }
}

/// Two's complement, big-endian; the marker bit of a positive number is not part of it.
fn base256(field: &[u8]) -> i128 {
    let start: i128 = if field[0] == 0xff { -1 } else { 0 };
    field[1..]
        .iter()
        .fold(start, |value, &byte| (value << 8) | i128::from(byte))
}

fn octal(field: &[u8]) -> Option<i128> {
    let text = field.trim_ascii_start();
    let digits = text
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(digits);
    if rest.iter().any(|&b| b != 0 && b != b' ') {
        return None;
    }
    digits.iter().try_fold(0_i128, |value, &digit| match digit {
        b'0'..=b'7' => Some((value << 3) | i128::from(digit - b'0')),
        _ => None,
    })
}

/// Unsigned decimal digits, as pax records hold them.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_octal_with_the_usual_paddings() {
        assert_eq!(parse(b"0000644\0"), Some(0o644));
        assert_eq!(parse(b"   644 \0"), Some(0o644));
        assert_eq!(parse(b"77777777"), Some(0o77_777_777));
        assert_eq!(parse(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(parse(b"        "), Some(0));
    }

    #[test]
    fn refuses_text_that_is_not_one_octal_number() {
        for field in [
            b"0000648\0",
            b"-000644\0",
            b"644\0junk",
            b"6 44    ",
            b"0x00644\0",
            b"\x81\0\0\0\0\0\0\0",
        ] {
            assert_eq!(parse(field), None, "{field:?}");
        }
    }

    #[test]
    fn reads_base256_of_both_signs() {
        assert_eq!(parse(b"\x80\0\0\0\0\0\0\0\0\0\0\x05"), Some(5));
        assert_eq!(parse(&[0xff; 12]), Some(-1));
        assert_eq!(parse(b"\x80\0\0\0\x40\0\0\0\0\0\0\0"), Some(1 << 62));
        assert_eq!(
            parse(b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0"),
            Some(i128::from(i64::MIN))
        );
    }

    proptest! {
        #[test]
        fn any_field_gives_a_number_or_none(field in proptest::collection::vec(any::<u8>(), 8..=12)) {
            if let Some(value) = parse(&field) {
                prop_assert!(value.unsigned_abs() < 1 << 95);
            }
        }

        #[test]
        fn octal_round_trips(value in 0_u64..1 << 33) {
            prop_assert_eq!(parse(format!("{value:011o}\0").as_bytes()), Some(i128::from(value)));
        }

        #[test]
        fn decimal_round_trips(value: u64) {
            prop_assert_eq!(decimal(value.to_string().as_bytes()), Some(value));
        }
    }
}
