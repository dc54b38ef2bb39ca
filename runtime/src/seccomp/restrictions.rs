//! What a payload may call beyond the policy, and what not although the policy lets it: rules as the
//! user writes them, and what they come to for each call.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::families::{self, Families};
use super::groups;
use super::policy::Verdict;
use crate::error::{Error, Kind, Result};
use crate::suggest::nearest;

/// Largest number that the kernel gives back as an error.
const MAX_ERRNO: u16 = 4095;

/// What changes of the filter for one payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restrictions {
    /// Calls that are allowed or refused.
    pub calls: Vec<CallRule>,
    /// Address families that sockets may have.
    pub families: Vec<FamilyRule>,
    /// Calls that wait for the disk succeed at once.
    pub suppress_sync: bool,
}

impl Restrictions {
    /// Whether the filter is the one of every payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `[~]NAME[:ERRNO]…`: calls and groups that are allowed, or after `~` refused. What is refused by one
/// rule is not allowed by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallRule {
    refuses: bool,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    /// What a refused call gets, if that was said.
    refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Errno(u16),
    Kill,
}

impl FromStr for CallRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (refuses, words) = split(text);
        let entries: Vec<Entry> = words
            .map(|word| entry(word, refuses))
            .collect::<Result<_>>()?;
        if entries.is_empty() {
            return Err(invalid("system call filter", text, "it names no call"));
        }
        Ok(Self { refuses, entries })
    }
}

/// Whether the list is one of what is refused, and its words, between blanks or commas.
fn split(text: &str) -> (bool, impl Iterator<Item = &str>) {
    let text = text.trim_ascii();
    let list = text.strip_prefix('~');
    let words = list
        .unwrap_or(text)
        .split(|c: char| c.is_ascii_whitespace() || c == ',');
    (list.is_some(), words.filter(|word| !word.is_empty()))
}

fn entry(word: &str, refuses: bool) -> Result<Entry> {
    let (name, suffix) = match word.split_once(':') {
        Some((name, suffix)) => (name, Some(suffix)),
        None => (word, None),
    };
    if groups::find(name).is_none() {
        let known: Vec<String> = groups::words().collect();
        let like = nearest(name, known.iter().map(String::as_str));
        let rule = match like {
            Some(like) => format!("there is none of that name; did you mean {like}?"),
            None => "there is none of that name".to_owned(),
        };
        return Err(invalid("system call", name, &rule));
    }
    if suffix.is_some() && !refuses {
        let rule = "an error is for calls that are refused, after ~";
        return Err(invalid("system call", word, rule));
    }
    Ok(Entry {
        name: name.to_owned(),
        refusal: suffix.map(refusal).transpose()?,
    })
}

/// `EPERM`, a number, or `kill`.
fn refusal(text: &str) -> Result<Refusal> {
    if text == "kill" {
        return Ok(Refusal::Kill);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = match digits {
        true => text.parse().ok().filter(|number| *number <= MAX_ERRNO),
        false => errno(text),
    };
    number.map(Refusal::Errno).ok_or_else(|| {
        let rule = format!("expected a name such as EPERM, 0 to {MAX_ERRNO}, or kill");
        invalid("error", text, &rule)
    })
}

/// The number of an error by its name.
fn errno(name: &str) -> Option<u16> {
    // Second names of some numbers.
    let name = match name {
        "EWOULDBLOCK" => "EAGAIN",
        "EDEADLOCK" => "EDEADLK",
        "ENOTSUP" => "EOPNOTSUPP",
        other => other,
    };
    // No name is longer, and nothing but names begins like one.
    if !name.starts_with('E') {
        return None;
    }
    (1..=MAX_ERRNO).find(|number| format!("{:?}", Errno::from_raw((*number).into())) == name)
}

fn invalid(what: &str, text: &str, rule: &str) -> Error {
    let short: String = text.chars().take(80).collect();
    let shown = short.escape_debug();
    Error::new(Kind::Usage, format!("invalid {what} '{shown}': {rule}"))
}

impl Display for CallRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.refuses {
            f.write_str("~")?;
        }
        for (index, entry) in self.entries.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{}", entry.name)?;
            match entry.refusal {
                Some(Refusal::Errno(number)) => write!(f, ":{number}")?,
                Some(Refusal::Kill) => f.write_str(":kill")?,
                None => {}
            }
        }
        Ok(())
    }
}

/// `[~]AF_NAME…` or `none`: families that sockets may have, or after `~` may not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FamilyRule {
    denies: bool,
    names: Vec<String>,
}

impl FromStr for FamilyRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (denies, words) = split(text);
        let names: Vec<String> = words.map(str::to_owned).collect();
        if !denies && names == ["none"] {
            let names = Vec::new();
            return Ok(Self { denies, names });
        }
        if let Some(name) = names.iter().find(|name| families::number(name).is_none()) {
            let known: Vec<String> = families::names().collect();
            let rule = match nearest(name, known.iter().map(String::as_str)) {
                Some(like) => format!("did you mean {like}?"),
                None => "expected a name such as AF_INET, or none alone".to_owned(),
            };
            return Err(invalid("address family", name, &rule));
        }
        if names.is_empty() {
            return Err(invalid("address families", text, "it names none"));
        }
        Ok(Self { denies, names })
    }
}

impl Display for FamilyRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.denies, self.names.is_empty()) {
            (false, true) => f.write_str("none"),
            (true, _) => write!(f, "~{}", self.names.join(" ")),
            (false, false) => f.write_str(&self.names.join(" ")),
        }
    }
}

macro_rules! as_text {
    ($($rule:ty),*) => {$(
        impl TryFrom<String> for $rule {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl From<$rule> for String {
            fn from(rule: $rule) -> Self {
                rule.to_string()
            }
        }
    )*};
}

as_text!(CallRule, FamilyRule);

/// The rules as the compiler of filters needs them.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    calls: HashMap<&'static str, Verdict>,
    pub(super) families: Families,
    suppress_sync: bool,
}

impl Resolved {
    pub(super) fn of(restrictions: &Restrictions) -> Self {
        let mut all = Self {
            suppress_sync: restrictions.suppress_sync,
            ..Self::default()
        };
        // What is refused comes last, and so wins.
        let (refusing, allowing): (Vec<_>, Vec<_>) =
            restrictions.calls.iter().partition(|rule| rule.refuses);
        for rule in allowing.into_iter().chain(refusing) {
            rule.entries.iter().for_each(|entry| {
                let verdict = verdict(rule.refuses, entry.refusal);
                let names = groups::find(&entry.name).unwrap_or_default();
                all.calls
                    .extend(names.into_iter().map(|name| (name, verdict)));
            });
        }
        for rule in &restrictions.families {
            let numbers = rule.names.iter().filter_map(|name| families::number(name));
            let numbers: Vec<u32> = numbers.collect();
            all.families.take(rule.denies, &numbers);
        }
        all
    }

    /// What happens to a call that the policy gives the verdict `own`.
    pub(super) fn verdict(&self, name: &str, own: Verdict) -> Verdict {
        let said = match (self.calls.get(name), own) {
            // Naming it does not take the answer to questions about audit away.
            (Some(Verdict::Allow), Verdict::Socket) | (None, _) => own,
            (Some(verdict), _) => *verdict,
        };
        match name {
            _ if said != Verdict::Allow => said,
            // Ways to make sockets that a filter does not see.
            "socketcall" | "io_uring_setup" if self.families != Families::Any => Verdict::Unknown,
            "fsync" | "fdatasync" | "syncfs" | "sync_file_range" | "arm_sync_file_range"
                if self.suppress_sync =>
            {
                Verdict::ZeroForFile
            }
            "sync" | "msync" if self.suppress_sync => Verdict::Errno(0),
            _ => said,
        }
    }
}

fn verdict(refuses: bool, refusal: Option<Refusal>) -> Verdict {
    match (refuses, refusal) {
        (false, _) => Verdict::Allow,
        (true, None) => Verdict::Deny,
        (true, Some(Refusal::Errno(number))) => Verdict::Errno(number),
        (true, Some(Refusal::Kill)) => Verdict::Kill,
    }
}

#[cfg(test)]
mod tests;
