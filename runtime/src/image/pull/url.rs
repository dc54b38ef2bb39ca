//! Where an image is pulled from.

use std::path::PathBuf;
use std::str::FromStr;

use ureq::http::Uri;

use crate::error::{Error, Kind, Result};

/// A URL of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    place: Place,
    /// The last part of its path.
    file: String,
}

/// What it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `file:`, a path on this host.
    File(PathBuf),
    /// `http:` or `https:`.
    Web {
        /// Everything before the file, with the slash.
        dir: String,
        /// What follows the file, with its question mark.
        query: String,
        /// All of the transfer must be encrypted.
        encrypted: bool,
    },
}

impl Url {
    /// The name of the file, its escapes undone.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The URL of another file beside this one.
    pub(super) fn beside(&self, file: &str) -> Option<String> {
        match &self.place {
            Place::File(_) => None,
            Place::Web { dir, query, .. } => Some(format!("{dir}{file}{query}")),
        }
    }

    /// As it was given, without a password.
    pub(super) fn shown(&self) -> String {
        let Some((scheme, rest)) = self.text.split_once("://") else {
            return self.text.clone();
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        format!("{scheme}://{host}{path}")
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            let text = text.escape_debug();
            Error::new(Kind::Usage, format!("invalid URL '{text}': {why}"))
        };
        let known = "it begins with none of http://, https:// and file://";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse(known))?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" {
            let path = rest.strip_prefix("localhost").unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(refuse("its path does not begin with a slash"));
            }
            let path = unescape(path).ok_or_else(|| refuse("it has a bad escape"))?;
            let file = path.rsplit('/').next().unwrap_or_default().to_owned();
            return Ok(Self {
                text: text.to_owned(),
                place: Place::File(path.into()),
                file,
            });
        }
        if !matches!(&*scheme, "http" | "https") {
            return Err(refuse(known));
        }
        let plain = text.split('#').next().unwrap_or_default();
        let uri: Uri = plain.parse().map_err(|_| refuse("it is malformed"))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(refuse("it names no host"));
        }
        let (front, query) = plain.split_at(plain.find('?').unwrap_or(plain.len()));
        let path_at = scheme.len() + "://".len();
        let last = front.rfind('/').filter(|&at| at >= path_at);
        let (dir, file) = front.split_at(last.map_or(front.len(), |at| at + 1));
        let file = unescape(file).ok_or_else(|| refuse("it has a bad escape"))?;
        Ok(Self {
            text: plain.to_owned(),
            file,
            place: Place::Web {
                dir: dir.to_owned(),
                query: query.to_owned(),
                encrypted: scheme == "https",
            },
        })
    }
}

/// Undoes `%41` and the like; `None` if an escape is none or makes no text.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let code = part
            .get(..2)
            .filter(|c| c.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_file_and_its_neighbours() {
        let web = url("https://user:pw@host:8/a/web%2B1.tar.xz?key=1#part");
        assert_eq!(web.file(), "web+1.tar.xz");
        let beside = web.beside("SHA256SUMS").unwrap();
        assert_eq!(beside, "https://user:pw@host:8/a/SHA256SUMS?key=1");
        assert_eq!(web.shown(), "https://host:8/a/web%2B1.tar.xz?key=1");
        assert_eq!(url("http://host").file(), "");
        assert_eq!(url("http://host/").file(), "");
        let file = url("file:///var/a%20b.tar");
        assert_eq!(file.place(), &Place::File("/var/a b.tar".into()));
        assert_eq!(file.file(), "a b.tar");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in [
            "",
            "web.tar",
            "ftp://host/a",
            "file://a",
            "http://",
            "http:///a",
            "http://host/%zz",
            "http://host/a b",
            "file:///a%00",
        ] {
            assert_eq!(bad.parse::<Url>().unwrap_err().kind(), Kind::Usage, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_will_do(text in "(https?|file)://.{0,40}|.{0,40}") {
            if let Ok(url) = text.parse::<Url>() {
                let _ = (url.shown(), url.beside("x"));
            }
        }
    }
}
