//! The values of `--bind=`, `--tmpfs=`, `--overlay=` and `--inaccessible=`.

use std::path::{Path, PathBuf};

use super::{Ids, Mount, Source, What, fields, inside};
use crate::error::{Error, Kind, Result};

impl Mount {
    /// `SOURCE[:TARGET[:OPTIONS]]`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is none.
    pub fn bind(text: &str, read_only: bool) -> Result<Self> {
        let option = if read_only { "--bind-ro" } else { "--bind" };
        Self::bind_by(option, text, read_only)
    }

    /// The same, of which messages speak as of `option`.
    pub(crate) fn bind_by(option: &str, text: &str, read_only: bool) -> Result<Self> {
        let spelling = format!("{option}={}", text.escape_debug());
        let parts = fields(text);
        let (source, target, options) = match parts.as_slice() {
            [source] => (source, None, None),
            [source, target] => (source, Some(target), None),
            [source, target, options] => (source, Some(target), Some(options)),
            _ => return Err(invalid(&spelling, "it takes SOURCE[:TARGET[:OPTIONS]]")),
        };
        let source = Source::parse(source)?;
        let target = match (target.filter(|t| !t.is_empty()), &source) {
            (Some(target), _) => within(&spelling, target)?,
            (None, Source::Host(path)) if path.is_absolute() => inside(&path.to_string_lossy())?,
            (None, Source::Image(path)) => path.clone(),
            (None, _) => return Err(invalid(&spelling, "it needs a TARGET in the machine")),
        };
        let (recursive, ids) = bind_options(options.map_or("", String::as_str))
            .map_err(|word| unknown(&spelling, &word))?;
        let what = What::Bind {
            source,
            recursive,
            ids,
        };
        Ok(Self {
            target,
            read_only,
            what,
            spelling,
        })
    }

    /// A bind of what the host has at `source`, an absolute path, at the same path or at `target`.
    /// Its files belong to the users of the same numbers, unless `options` say otherwise.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a path or option that is none.
    pub fn live(
        source: &Path,
        target: Option<&str>,
        read_only: bool,
        options: &str,
    ) -> Result<Self> {
        let shown = source.to_string_lossy().escape_debug().to_string();
        let target = match target {
            Some(target) => inside(target)?,
            None => inside(source.to_str().ok_or_else(|| {
                invalid(&shown, "a path that is no text needs one in the machine")
            })?)?,
        };
        let spelling = format!("{shown} on {}", target.escape_debug());
        let (recursive, ids) = bind_options(&format!("idmap,{options}"))
            .map_err(|word| unknown(&format!("--options={options}"), &word))?;
        Ok(Self {
            target,
            read_only,
            what: What::Bind {
                source: Source::Host(source.to_owned()),
                recursive,
                ids,
            },
            spelling,
        })
    }

    /// `PATH[:OPTIONS]`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is none.
    pub fn tmpfs(text: &str) -> Result<Self> {
        Self::tmpfs_by("--tmpfs", text)
    }

    /// The same, of which messages speak as of `option`.
    pub(crate) fn tmpfs_by(option: &str, text: &str) -> Result<Self> {
        let spelling = format!("{option}={}", text.escape_debug());
        let parts = fields(text);
        let (target, options) = match parts.as_slice() {
            [target] => (target, "mode=0755"),
            [target, options] => (target, options.as_str()),
            _ => return Err(invalid(&spelling, "it takes PATH[:OPTIONS]")),
        };
        let words = options.split(',').filter(|word| !word.is_empty());
        let pairs = words.map(|word| {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            (key.to_owned(), value.to_owned())
        });
        let options: Vec<(String, String)> = pairs.collect();
        let read_only = options.iter().any(|(key, _)| key == "ro");
        let kept = |(key, _): &(String, String)| !matches!(key.as_str(), "ro" | "rw");
        Ok(Self {
            target: within(&spelling, target)?,
            read_only,
            what: What::Tmpfs(options.into_iter().filter(kept).collect()),
            spelling,
        })
    }

    /// `PATH`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is none.
    pub fn inaccessible(text: &str) -> Result<Self> {
        let spelling = format!("--inaccessible={}", text.escape_debug());
        Ok(Self {
            target: within(&spelling, text)?,
            read_only: true,
            what: What::Inaccessible,
            spelling,
        })
    }

    /// `LOWER[:LOWER…]:UPPER:TARGET`; of two paths the second is both.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is none.
    pub fn overlay(text: &str, read_only: bool) -> Result<Self> {
        let option = if read_only {
            "--overlay-ro"
        } else {
            "--overlay"
        };
        Self::overlay_by(option, text, read_only)
    }

    /// The same, of which messages speak as of `option`.
    pub(crate) fn overlay_by(option: &str, text: &str, read_only: bool) -> Result<Self> {
        let spelling = format!("{option}={}", text.escape_debug());
        let parts = fields(text);
        let (layers, target) = match parts.as_slice() {
            [_, both] if both.is_empty() => {
                return Err(invalid(&spelling, "it needs a TARGET in the machine"));
            }
            [_, both] => (parts.as_slice(), both),
            [layers @ .., target] if layers.len() > 1 => (layers, target),
            _ => return Err(invalid(&spelling, "it takes LOWER[:LOWER…]:UPPER:TARGET")),
        };
        let target = within(&spelling, target.strip_prefix('+').unwrap_or(target))?;
        let layers: Result<Vec<Source>> = layers.iter().map(|l| Source::parse(l)).collect();
        let mut lowers = layers?;
        let upper = lowers.pop().unwrap_or(Source::Fresh);
        Ok(Self {
            target,
            read_only,
            what: What::Overlay { lowers, upper },
            spelling,
        })
    }
}

impl Source {
    fn parse(text: &str) -> Result<Self> {
        match text.strip_prefix('+') {
            Some(path) => inside(path).map(Self::Image),
            None if text.is_empty() => Ok(Self::Fresh),
            None => Ok(Self::Host(PathBuf::from(text))),
        }
    }
}

/// Whether the bind is recursive, and whose its files are; or the word that is no option.
fn bind_options(text: &str) -> std::result::Result<(bool, Ids), String> {
    let (mut recursive, mut ids) = (true, Ids::Same);
    for word in text.split(',').filter(|word| !word.is_empty()) {
        match word {
            "rbind" => recursive = true,
            "norbind" => recursive = false,
            "noidmap" => ids = Ids::Same,
            "idmap" => ids = Ids::Shifted,
            "rootidmap" => ids = Ids::Root,
            "owneridmap" => ids = Ids::Owner,
            other => return Err(other.to_owned()),
        }
    }
    Ok((recursive, ids))
}

/// A path in the machine, of a mount that is spelled so.
fn within(spelling: &str, path: &str) -> Result<String> {
    inside(path).map_err(|error| invalid(spelling, &error.to_string()))
}

fn invalid(spelling: &str, why: &str) -> Error {
    Error::new(Kind::Usage, format!("invalid {spelling}: {why}"))
}

fn unknown(spelling: &str, word: &str) -> Error {
    let word = word.escape_debug();
    invalid(spelling, &format!("there is no option '{word}'"))
        .hint("rbind, norbind, noidmap, idmap, rootidmap, owneridmap")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bind(text: &str) -> (Source, String, bool, Ids) {
        let mount = Mount::bind(text, false).unwrap();
        match mount.what {
            What::Bind {
                source,
                recursive,
                ids,
            } => (source, mount.target, recursive, ids),
            other => panic!("{other:?}"),
        }
    }

    fn host(path: &str) -> Source {
        Source::Host(path.into())
    }

    #[test]
    fn a_bind_has_source_target_and_options() {
        assert_eq!(bind("/a"), (host("/a"), "/a".into(), true, Ids::Same));
        assert_eq!(
            bind("/a//b/./"),
            (host("/a//b/./"), "/a/b".into(), true, Ids::Same)
        );
        assert_eq!(bind("b:/c"), (host("b"), "/c".into(), true, Ids::Same));
        assert_eq!(
            bind("/a:/b:norbind,rootidmap"),
            (host("/a"), "/b".into(), false, Ids::Root)
        );
        assert_eq!(bind(r"/a\:b:/c").0, host("/a:b"));
        assert_eq!(bind("+/a:/b").0, Source::Image("/a".into()));
        assert_eq!(bind(":/b").0, Source::Fresh);
        assert_eq!(bind("/a::idmap").3, Ids::Shifted);
    }

    #[test]
    fn what_is_no_bind_is_refused() {
        for text in [
            "",
            "a",
            ":",
            "/a:b",
            "/a:/b:bogus",
            "/a:/b::",
            "/a:/../b",
            "+a:/b",
            "/a:/b\0",
        ] {
            let error = Mount::bind(text, true).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
        }
    }

    #[test]
    fn a_tmpfs_has_a_mode_unless_it_has_options() {
        let options = |text| match Mount::tmpfs(text).unwrap().what {
            What::Tmpfs(options) => options,
            other => panic!("{other:?}"),
        };
        assert_eq!(options("/a"), [("mode".into(), "0755".into())]);
        assert_eq!(options("/a:size=1m"), [("size".into(), "1m".into())]);
        assert_eq!(options("/a:"), []);
        assert!(Mount::tmpfs("/a:ro").unwrap().read_only);
        assert!(Mount::tmpfs("a").is_err());
        assert!(Mount::tmpfs("/a:b:c").is_err());
    }

    #[test]
    fn the_second_of_two_overlay_paths_is_both() {
        let overlay = |text| match Mount::overlay(text, false).map(|m| (m.target, m.what)) {
            Ok((target, What::Overlay { lowers, upper })) => Some((lowers, upper, target)),
            _ => None,
        };
        let two = (vec![host("/a")], host("/b"), "/b".to_owned());
        assert_eq!(overlay("/a:/b"), Some(two));
        let four = (vec![host("/a"), host("/b")], Source::Fresh, "/d".to_owned());
        assert_eq!(overlay("/a:/b::/d"), Some(four));
        let plus = (
            vec![Source::Image("/etc".into())],
            Source::Fresh,
            "/etc".to_owned(),
        );
        assert_eq!(overlay("+/etc::/etc"), Some(plus));
        for text in ["", "/a", "/a:", "/a:b", "/a:/b:c"] {
            assert_eq!(overlay(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn targets_are_absolute_and_never_lead_upwards(text in "[a-z/.:\\\\+]{0,24}") {
            for mount in [Mount::bind(&text, false), Mount::tmpfs(&text), Mount::overlay(&text, true), Mount::inaccessible(&text)]
                .into_iter()
                .flatten()
            {
                prop_assert!(mount.target.starts_with('/'));
                prop_assert!(mount.target == "/" || !mount.target.ends_with('/'));
                prop_assert!(!mount.target.split('/').any(|part| part == ".." || part == "."));
            }
        }

        #[test]
        fn an_escaped_path_is_read_as_it_was(path in "[a-z:\\\\/]{1,20}") {
            let escaped = path.replace('\\', "\\\\").replace(':', "\\:");
            prop_assert_eq!(fields(&escaped), [path]);
        }
    }
}
