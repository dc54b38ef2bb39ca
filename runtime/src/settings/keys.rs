//! What is known of a key: which files may set it, and what says the same on the command line.

use super::field::Field;
use super::limits::only_denies;
use super::model::Settings;

/// A section of a settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What runs, and as whom.
    Exec,
    /// What it sees of files.
    Files,
    /// What it sees of networks.
    Network,
}

impl Section {
    /// All of them, in the order of systemd.nspawn(5).
    pub const ALL: [Self; 3] = [Self::Exec, Self::Files, Self::Network];

    /// The name between the brackets.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exec => "Exec",
            Self::Files => "Files",
            Self::Network => "Network",
        }
    }
}

/// Which files may set a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any, since the key gives the payload nothing that it could not take itself.
    Any,
    /// The administrator's, since the key opens the host to the payload.
    Trusted,
    /// Any, as long as the line forbids and does not allow.
    Forbids,
}

impl Trust {
    /// Whether a line may set its key to `value` when it is not the administrator's.
    pub(super) fn lets_anyone(self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Trusted => false,
            Self::Forbids => only_denies(value),
        }
    }

    /// The word in the documentation's table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Any => "any file",
            Self::Trusted => "trusted",
            Self::Forbids => "any file, to forbid",
        }
    }
}

/// Keys that systemd-nspawn replaces together when an option sets one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    StartMode,
    Capabilities,
    Network,
    Mounts,
    Users,
}

/// One key.
#[derive(Clone, Copy)]
pub struct Key {
    /// Its section.
    pub section: Section,
    /// Its name.
    pub name: &'static str,
    /// Long options, and arguments by their names, that say the same.
    pub options: &'static [&'static str],
    /// Which files may set it.
    pub trust: Trust,
    /// What holds without the key, in words; empty if it is nothing.
    pub default: &'static str,
    /// Why nsrun does not act on it.
    pub ignored: Option<&'static str>,
    pub(super) group: Option<Group>,
    /// An option or argument replaces all lines, although lines add up.
    pub(super) whole: bool,
    /// The option is for several keys, and its value says for which.
    pub(super) shared: bool,
    pub(super) field: FieldOf,
}

/// Where a key's value is kept.
pub(super) type FieldOf = fn(&mut Settings) -> &mut dyn Field;

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {}=", self.section.name(), self.name)
    }
}

/// A key that nsrun acts upon, alone.
pub(super) const fn key(
    section: Section,
    name: &'static str,
    options: &'static [&'static str],
    trust: Trust,
    field: FieldOf,
) -> Key {
    Key {
        section,
        name,
        options,
        trust,
        default: "",
        ignored: None,
        group: None,
        whole: false,
        shared: false,
        field,
    }
}

impl Key {
    pub(super) const fn group(mut self, group: Group) -> Self {
        self.group = Some(group);
        self
    }

    pub(super) const fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    pub(super) const fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    pub(super) const fn default(mut self, words: &'static str) -> Self {
        self.default = words;
        self
    }

    pub(super) const fn ignored(mut self, why: &'static str) -> Self {
        self.ignored = Some(why);
        self
    }

    /// Its values in words.
    #[must_use]
    pub fn values(&self) -> &'static str {
        (self.field)(&mut Settings::default()).what()
    }

    /// Whether its lines add up; if not, the last one counts.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        (self.field)(&mut Settings::default()).adds_up()
    }

    /// Whether the two are one key.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.section, self.name) == (other.section, other.name)
    }
}
