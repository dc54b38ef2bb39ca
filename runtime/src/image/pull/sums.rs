//! Files of checksums: `SHA256SUMS` and `FILE.sha256`.

use crate::error::{Error, Kind, Result};

/// A SHA-256 in hexadecimal, lower case.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Sha256Sum(String);

impl Sha256Sum {
    /// The sum as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Sha256Sum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        let text = text.escape_debug();
        let what = format!("invalid SHA-256 '{text}': it is not 64 hexadecimal digits");
        Err(Error::new(Kind::Usage, what))
    }
}

impl std::fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The sum that a list has for `file`, `None` if it has none.
///
/// Lines are `SUM  NAME`, `SUM *NAME` or `SHA256 (NAME) = SUM`; in a list of one line the
/// name may be missing.
///
/// # Errors
/// [`Kind::BadInput`] if the list has several sums for the file.
pub(super) fn find(list: &str, file: &str) -> Result<Option<Sha256Sum>> {
    let lines = list.lines().map(str::trim).filter(|line| !line.is_empty());
    let only = lines.clone().count() == 1;
    let found = lines.filter_map(|line| match parse(line)? {
        (sum, Some(name)) => (name == file).then_some(sum),
        (sum, None) => only.then_some(sum),
    });
    let mut sums: Vec<Sha256Sum> = found.collect();
    sums.dedup();
    match sums.len() {
        0 | 1 => Ok(sums.pop()),
        count => {
            let what = format!("there are {count} different checksums for {file}");
            Err(Error::new(Kind::BadInput, what))
        }
    }
}

fn parse(line: &str) -> Option<(Sha256Sum, Option<&str>)> {
    if let Some(rest) = line.strip_prefix("SHA256 (") {
        let (name, sum) = rest.rsplit_once(") = ")?;
        return Some((sum.parse().ok()?, Some(plain(name))));
    }
    let (sum, rest) = line.split_at_checked(64)?;
    let sum = sum.parse().ok()?;
    if rest.is_empty() {
        return Some((sum, None));
    }
    let name = rest
        .strip_prefix("  ")
        .or_else(|| rest.strip_prefix(" *"))?;
    Some((sum, Some(plain(name))))
}

fn plain(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_forms_of_lines_are_understood() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let list = format!(
            "# by sha256sum\n{a}  web.tar\n{b} *./db.tar\nSHA256 (bsd (1).tar) = {b}\n\n{a}x no\n"
        );
        let found = |file: &str| find(&list, file).unwrap().map(|sum| sum.to_string());
        assert_eq!(found("web.tar"), Some(a.clone()));
        assert_eq!(found("db.tar"), Some(b.to_lowercase()));
        assert_eq!(found("bsd (1).tar"), Some(b.to_lowercase()));
        assert_eq!(found("web"), None);
        assert_eq!(found("no"), None);
        let only = find(&format!("{a}\n"), "any").unwrap();
        assert_eq!(only.unwrap().as_str(), a);
        assert_eq!(find(&format!("{a}\n{b}\n"), "any").unwrap(), None);
    }

    #[test]
    fn contradictions_are_refused() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        assert!(find(&format!("{a}  x\n{b}  x\n"), "x").is_err());
        assert!(find(&format!("{a}  x\n{a}  x\n"), "x").unwrap().is_some());
    }

    proptest! {
        #[test]
        fn any_text_will_do(list in ".{0,200}", file in ".{0,9}") {
            let _ = find(&list, &file);
        }
    }
}
