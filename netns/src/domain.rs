//! Domain names as they are written in messages (RFC 1035, section 3.1).

/// The longest name, its length octets and its end included.
const NAME_MAX: usize = 255;
const LABEL_MAX: usize = 63;

/// The names one after the other, uncompressed. Those that are no domain names are left
/// out.
pub(crate) fn list(names: &[String]) -> Vec<u8> {
    names
        .iter()
        .filter_map(|name| encode(name))
        .flatten()
        .collect()
}

fn encode(name: &str) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut encoded = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if !(1..=LABEL_MAX).contains(&label.len()) {
            return None;
        }
        encoded.push(length);
        encoded.extend(label.as_bytes());
    }
    encoded.push(0);
    (encoded.len() <= NAME_MAX).then_some(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_their_lengths_before_them() {
        let names = ["lan.example".to_owned(), "b.".to_owned()];
        assert_eq!(list(&names), b"\x03lan\x07example\0\x01b\0");
    }

    #[test]
    fn what_is_no_name_is_left_out() {
        let long_label = "x".repeat(64);
        let long_name = ["x".repeat(50).as_str()].repeat(5).join(".");
        for name in ["", ".", "a..b", ".a", "a..", &long_label, &long_name] {
            assert_eq!(encode(name), None, "{name}");
        }
        assert!(encode(&"x".repeat(63)).is_some());
    }
}
