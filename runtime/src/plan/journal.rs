//! `--link-journal=`: the machine's journal where the host's journalctl finds it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::mounts::{Ids, Mount, Source, What};
use super::request::{Changes, Request, Volatile};
use crate::error::{Error, Kind, Result};
use crate::facts::{Entry, JournalFacts};
use crate::range::PrivateUsers;

/// Where journals are, on the host and in the machine.
pub(crate) const JOURNALS: &str = "/var/log/journal";

/// Whose directory the journal is in, and whether it may be none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkJournal {
    /// The machine's own business. Other than with systemd-nspawn this is what holds without a word:
    /// an image chooses its id, and could choose that of another machine.
    #[default]
    No,
    /// The host's, if it has one for this machine.
    Auto,
    /// The host's.
    Host,
    /// The host's, if it keeps journals.
    TryHost,
    /// The image's, with a link on the host.
    Guest,
    /// The same, if the host keeps journals.
    TryGuest,
}

impl LinkJournal {
    /// The words that `--link-journal=` takes.
    pub(crate) const WORDS: [(&str, Self); 6] = [
        ("no", Self::No),
        ("auto", Self::Auto),
        ("host", Self::Host),
        ("try-host", Self::TryHost),
        ("guest", Self::Guest),
        ("try-guest", Self::TryGuest),
    ];

    fn tries(self) -> bool {
        matches!(self, Self::Auto | Self::TryHost | Self::TryGuest)
    }
}

impl FromStr for LinkJournal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::WORDS.iter().find(|(word, _)| *word == text);
        let found = known.map(|(_, mode)| *mode).or(match text {
            "yes" | "true" | "on" | "1" => Some(Self::Auto),
            "false" | "off" | "0" => Some(Self::No),
            _ => None,
        });
        found.ok_or_else(|| {
            let text = text.escape_debug();
            let words = Self::WORDS.map(|(word, _)| word).join(", ");
            let what = format!("invalid mode for the journal '{text}': expected one of {words}");
            Error::new(Kind::Usage, what)
        })
    }
}

/// What is done about the host's directory of journals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Journal {
    /// The host has a directory that the machine writes to.
    Shared {
        /// Its name, the machine's id.
        name: String,
    },
    /// The host has a link to the image's directory.
    Linked {
        /// Its name, the machine's id.
        name: String,
        /// The image's directory on the host.
        target: PathBuf,
    },
}

impl Journal {
    /// Its path in the machine, and the host's if that has the directory.
    #[must_use]
    pub fn path(&self) -> String {
        let (Self::Shared { name } | Self::Linked { name, .. }) = self;
        format!("{JOURNALS}/{name}")
    }

    /// The mount that it takes.
    pub(crate) fn mount(&self, users: PrivateUsers) -> Option<Mount> {
        let Self::Shared { .. } = self else {
            return None;
        };
        let path = self.path();
        Some(Mount {
            target: path.clone(),
            read_only: false,
            what: What::Bind {
                source: Source::Made(path.into()),
                recursive: false,
                ids: match users {
                    PrivateUsers::No => Ids::Same,
                    _ => Ids::Root,
                },
            },
            spelling: "--link-journal".to_owned(),
        })
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared { .. } => write!(f, "the host's {}", self.path()),
            Self::Linked { target, .. } => write!(f, "{} by a link", target.display()),
        }
    }
}

/// Settles what is done for a machine with this id, of 32 digits.
///
/// # Errors
/// [`Kind::Usage`] if it was asked for without a `try-` and cannot be.
pub(crate) fn plan(request: &Request, id: &str, facts: &JournalFacts) -> Result<Option<Journal>> {
    let mode = request.link_journal;
    if mode == LinkJournal::No {
        return Ok(None);
    }
    match obstacle(request, id, facts) {
        None => {}
        Some(_) if mode.tries() => return Ok(None),
        Some((why, hint)) => {
            let what = format!("cannot link the journal: {why}");
            return Err(Error::new(Kind::Usage, what).hint(hint));
        }
    }
    let name = id.to_owned();
    let target = target(request, id);
    Ok(match (mode, &facts.entry) {
        (LinkJournal::Auto, Entry::Directory { .. }) => Some(Journal::Shared { name }),
        (LinkJournal::Auto, Entry::Link(to)) if *to == target => {
            Some(Journal::Linked { name, target })
        }
        (LinkJournal::Auto | LinkJournal::No, _) => None,
        (LinkJournal::Host | LinkJournal::TryHost, _) => Some(Journal::Shared { name }),
        (LinkJournal::Guest | LinkJournal::TryGuest, _) => Some(Journal::Linked { name, target }),
    })
}

fn target(request: &Request, id: &str) -> PathBuf {
    let below = |root: PathBuf, path: &str| root.join(path.trim_start_matches('/'));
    let root = match &request.pivot_root {
        Some(pivot) => below(request.root.clone(), &pivot.new),
        None => request.root.clone(),
    };
    below(root, JOURNALS).join(id)
}

/// Why it cannot be, and what to do.
fn obstacle(
    request: &Request,
    id: &str,
    facts: &JournalFacts,
) -> Option<(&'static str, &'static str)> {
    let drops = request.changes != Changes::Kept || request.volatile != Volatile::No;
    let guest = matches!(
        request.link_journal,
        LinkJournal::Guest | LinkJournal::TryGuest
    );
    if drops {
        return Some((
            "nothing of the machine is kept",
            "leave --ephemeral and --volatile out",
        ));
    }
    if !facts.keeps {
        let hint = "the host keeps none on its disk: mkdir /var/log/journal changes that";
        return Some(("there is no /var/log/journal", hint));
    }
    if facts.host_id.as_deref() == Some(id) {
        let hint = "give the image another one: nsrun clone --new-identity";
        return Some(("the image has the machine id of the host", hint));
    }
    match facts.entry {
        Entry::Other => Some((
            "what is in its place is neither a directory nor a link",
            "look at /var/log/journal",
        )),
        Entry::Directory { is_empty: false } if guest => Some((
            "the host has a directory with journals of this machine",
            "move it away, or use --link-journal=host",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mode;
    use super::*;

    const ID: &str = "d1a94b332b1c4e14a6f3b7d5c6a0e1f2";

    fn request(mode: LinkJournal) -> Request {
        let run = Mode::Run {
            command: vec!["true".to_owned()],
            as_pid1: false,
        };
        let mut request = Request::new("web".parse().unwrap(), "/images/web".into(), run);
        request.link_journal = mode;
        request
    }

    fn facts(entry: Entry) -> JournalFacts {
        JournalFacts {
            host_id: None,
            keeps: true,
            entry,
        }
    }

    fn planned(mode: LinkJournal, entry: Entry) -> Option<String> {
        let journal = plan(&request(mode), ID, &facts(entry)).unwrap();
        journal.map(|journal| journal.to_string())
    }

    #[test]
    fn words_are_those_of_nspawn_and_a_boolean() {
        for (word, mode) in LinkJournal::WORDS {
            assert_eq!(word.parse::<LinkJournal>().unwrap(), mode);
        }
        assert_eq!("yes".parse::<LinkJournal>().unwrap(), LinkJournal::Auto);
        for text in ["", "try", "hosts", "try-no"] {
            assert!(text.parse::<LinkJournal>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_directory_is_the_hosts_or_the_images() {
        use LinkJournal::{Auto, Guest, Host, No};
        let shared = Some(format!("the host's /var/log/journal/{ID}"));
        let target = format!("/images/web/var/log/journal/{ID}");
        let linked = Some(format!("{target} by a link"));
        let full = || Entry::Directory { is_empty: false };
        assert_eq!(planned(Host, Entry::Nothing), shared);
        assert_eq!(planned(Host, full()), shared);
        assert_eq!(planned(Host, Entry::Link("/x".into())), shared);
        assert_eq!(planned(Guest, Entry::Nothing), linked);
        assert_eq!(planned(Guest, Entry::Directory { is_empty: true }), linked);
        assert_eq!(planned(Auto, full()), shared);
        assert_eq!(planned(Auto, Entry::Nothing), None);
        assert_eq!(planned(Auto, Entry::Link("/x".into())), None);
        assert_eq!(planned(Auto, Entry::Link(target.into())), linked);
        assert_eq!(planned(No, full()), None);
    }

    #[test]
    fn what_cannot_be_is_refused_unless_it_is_tried() {
        let full = Entry::Directory { is_empty: false };
        let same = JournalFacts {
            host_id: Some(ID.to_owned()),
            ..facts(Entry::Nothing)
        };
        let none = JournalFacts {
            keeps: false,
            ..facts(Entry::Nothing)
        };
        let mut dropped = request(LinkJournal::Guest);
        dropped.changes = Changes::InMemory;
        let table = [
            (request(LinkJournal::Guest), facts(full)),
            (request(LinkJournal::Guest), facts(Entry::Other)),
            (request(LinkJournal::Guest), same),
            (request(LinkJournal::Guest), none),
            (dropped, facts(Entry::Nothing)),
        ];
        for (mut request, facts) in table {
            let error = plan(&request, ID, &facts).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.advice().is_some(), "{error}");
            request.link_journal = LinkJournal::TryGuest;
            assert_eq!(plan(&request, ID, &facts).unwrap(), None, "{facts:?}");
        }
    }
}
