//! Secrets for the payload, as systemd's credentials.

use crate::error::{Error, Kind, Result};

/// Most bytes of all credentials together, as systemd has it.
pub const MAX_SIZE: usize = 1 << 20;

/// Longest name of a credential in bytes.
const MAX_NAME: usize = 255;

/// One secret. Its value is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    id: String,
    value: Vec<u8>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.id, self.value.len())
    }
}

impl Credential {
    /// A credential of that name.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that no file can have, or that holds more than printable ASCII.
    pub fn new(id: &str, value: Vec<u8>) -> Result<Self> {
        let printable = id
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'/' && b != b':');
        if id.is_empty() || id.len() > MAX_NAME || matches!(id, "." | "..") || !printable {
            let id = id.escape_debug();
            return Err(Error::new(
                Kind::Usage,
                format!("invalid name of a credential '{id}'"),
            ));
        }
        Ok(Self {
            id: id.to_owned(),
            value,
        })
    }

    /// `ID:VALUE`, with C's escapes in the value.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is none. The value is not part of the message.
    pub fn parse(text: &str) -> Result<Self> {
        let (id, value) = split(text)?;
        let value = unescaped(value).ok_or_else(|| {
            let id = id.escape_debug();
            Error::new(
                Kind::Usage,
                format!("invalid escape in the value of credential '{id}'"),
            )
        })?;
        Self::new(id, value)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

/// The name and what follows the first colon.
///
/// # Errors
/// [`Kind::Usage`] without a colon.
pub fn split(text: &str) -> Result<(&str, &str)> {
    text.split_once(':').ok_or_else(|| {
        let shown: String = text.chars().take(MAX_NAME).collect();
        let what = format!("invalid credential '{}'", shown.escape_debug());
        Error::new(Kind::Usage, what).hint("a name, a colon, and a value or path")
    })
}

/// Refuses a name that comes twice, and too much of all together.
pub(super) fn check(all: &[Credential]) -> Result<()> {
    for (index, one) in all.iter().enumerate() {
        if all.iter().take(index).any(|earlier| earlier.id == one.id) {
            let what = format!("credential '{}' is given twice", one.id);
            return Err(Error::new(Kind::Usage, what));
        }
    }
    let size: usize = all.iter().map(|one| one.id.len() + one.value.len()).sum();
    if size > MAX_SIZE {
        let what = format!("credentials take {size} bytes, of {MAX_SIZE} that they may");
        return Err(Error::new(Kind::Usage, what));
    }
    Ok(())
}

/// Resolves `\n`, `\t`, `\\`, `\"`, `\'`, `\a`, `\b`, `\f`, `\r`, `\v`, `\s`, `\xHH`, `\OOO`.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b's' => b' ',
            same @ (b'\\' | b'"' | b'\'') => same,
            b'x' => number(&[bytes.next()?, bytes.next()?], 16)?,
            octal @ b'0'..=b'3' => number(&[octal, bytes.next()?, bytes.next()?], 8)?,
            _ => return None,
        });
    }
    Some(out)
}

fn number(digits: &[u8], radix: u32) -> Option<u8> {
    let valid = digits.iter().all(u8::is_ascii_alphanumeric);
    let text = std::str::from_utf8(digits).ok().filter(|_| valid)?;
    u8::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_have_the_escapes_of_c() {
        let value = |text: &str| Credential::parse(text).ok().map(|c| c.value);
        assert_eq!(value(r"a:x\n\x00\101:").as_deref(), Some(&b"x\n\0A:"[..]));
        assert_eq!(value("a:").as_deref(), Some(&b""[..]));
        for text in [
            "a", ":x", "a/b:x", "..:x", r"a:\", r"a:\q", r"a:\x1", r"a:\x+1", r"a:\400", "a b:x",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_comes_once_and_all_fit() {
        let one = Credential::parse("a:x").unwrap();
        assert!(check(std::slice::from_ref(&one)).is_ok());
        assert!(check(&[one.clone(), one]).is_err());
        let large = Credential::new("a", vec![0; MAX_SIZE]).unwrap();
        assert!(check(&[large]).is_err());
    }

    #[test]
    fn values_are_not_shown() {
        let secret = Credential::parse("a:secret").unwrap();
        assert!(!format!("{secret:?}").contains("secret"));
        let error = Credential::parse(r"a:secret\q").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    proptest! {
        #[test]
        fn what_needs_no_escape_stays(text in "[^\\\\]{0,40}") {
            prop_assert_eq!(unescaped(&text), Some(text.into_bytes()));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = Credential::parse(&text);
        }
    }
}
