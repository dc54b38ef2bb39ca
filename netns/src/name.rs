//! Names of network interfaces.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use siphasher::sip::SipHasher24;

/// Longest interface name in bytes: `IFNAMSIZ` of the kernel without the final NUL.
pub(crate) const MAX_LEN: usize = 15;

/// Bytes of a long name that survive shortening; the rest is a hash.
const KEPT: usize = MAX_LEN - 4;

/// The key of systemd-nspawn's shortening, so that both tools name a machine's link alike.
const SHORTEN_KEY: [u8; 16] = 0xe190_a404_a8ef_4b51_8ccc_c33a_9f11_fca2_u128.to_be_bytes();

const URL_SAFE_BASE64: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A name that the kernel takes for an interface: 1 to 15 bytes of printable ASCII,
/// without `/`, `:`, `%` or blanks, and neither `.` nor `..` (`dev_valid_name` of the
/// kernel, tightened to what tools can print and match).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName(String);

/// Text that is no interface name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid interface name '{}': {rule}", text.escape_debug())]
pub struct InvalidIfName {
    text: String,
    rule: &'static str,
}

impl IfName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn broken_rule(text: &str) -> Option<&'static str> {
    let printable = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%');
    if text.is_empty() {
        Some("it is empty")
    } else if text.len() > MAX_LEN {
        Some("it is longer than 15 bytes")
    } else if !text.bytes().all(printable) {
        Some("only printable ASCII without '/', ':', '%' and blanks is allowed")
    } else if text == "." || text == ".." {
        Some("it is a directory's name")
    } else {
        None
    }
}

impl FromStr for IfName {
    type Err = InvalidIfName;

    fn from_str(text: &str) -> Result<Self, InvalidIfName> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(rule) => Err(InvalidIfName {
                text: text.to_owned(),
                rule,
            }),
        }
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for IfName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The host end's name for a machine: `prefix` (such as `ve-`) and `name`, shortened as
/// systemd-nspawn does where they exceed 15 bytes. The second value is the full name,
/// to be set as the link's alternative name, if it was shortened.
///
/// # Errors
/// If the two do not make an interface name, such as for a blank within.
pub fn veth_name(prefix: &str, name: &str) -> Result<(IfName, Option<String>), InvalidIfName> {
    let full = format!("{prefix}{name}");
    if full.len() <= MAX_LEN {
        return Ok((full.parse()?, None));
    }
    let Some(kept) = full.get(..KEPT) else {
        return Err(InvalidIfName {
            text: full,
            rule: "only ASCII is allowed",
        });
    };
    let short = format!("{kept}{}", hash_suffix(&full)).parse()?;
    Ok((short, Some(full)))
}

/// Four characters for the low 24 bits of the name's hash, most significant first.
fn hash_suffix(full: &str) -> String {
    let mut hasher = SipHasher24::new_with_key(&SHORTEN_KEY);
    hasher.write(full.as_bytes());
    let hash = hasher.finish();
    [18, 12, 6, 0]
        .map(|shift| char::from(URL_SAFE_BASE64[(hash >> shift & 0x3f) as usize]))
        .iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_names_stay() {
        let (name, full) = veth_name("ve-", "web").unwrap();
        assert_eq!((name.as_str(), full), ("ve-web", None));
        let (name, full) = veth_name("ve-", "exactly12chr").unwrap();
        assert_eq!((name.as_str(), full), ("ve-exactly12chr", None));
    }

    // The first is what systemd-nspawn 252 made of this machine's name; both agree with
    // a SipHash written in Python from its definition.
    #[test]
    fn long_names_are_shortened_as_by_nspawn() {
        let (name, full) = veth_name("ve-", "a-rather-long-machine-name").unwrap();
        assert_eq!(name.as_str(), "ve-a-rather4gZZ");
        assert_eq!(full.as_deref(), Some("ve-a-rather-long-machine-name"));
        let (name, _) = veth_name("vb-", "nginx-testing").unwrap();
        assert_eq!(name.as_str(), "vb-nginx-teNyZr");
    }

    #[test]
    fn refuses_what_the_kernel_refuses() {
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\n",
            "%d",
            "é",
            "1234567890123456",
        ] {
            assert!(text.parse::<IfName>().is_err(), "{text:?}");
        }
        assert!(veth_name("ve-", "ééééééééé").is_err());
    }

    #[test]
    fn the_message_escapes_control_characters() {
        let error = "\u{1b}[2J".parse::<IfName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid interface name '\\u{1b}[2J': only printable ASCII without '/', ':', '%' and blanks is allowed"
        );
    }

    proptest! {
        #[test]
        fn a_machine_name_always_gives_a_link_name(name in "[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?") {
            let (short, full) = veth_name("ve-", &name).unwrap();
            prop_assert!(short.as_str().len() <= MAX_LEN);
            prop_assert_eq!(full.is_some(), name.len() + 3 > MAX_LEN);
        }

        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            let _ = text.parse::<IfName>();
            let _ = veth_name("ve-", &text);
        }
    }
}
