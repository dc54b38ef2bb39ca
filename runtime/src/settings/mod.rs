//! Settings of a machine in files, in the format of systemd.nspawn(5).
//!
//! [`SearchPath::find`] reads the files, [`collect`] makes values of their lines, [`Choice::apply`]
//! puts these into a request. Only the first does any system call.

mod apply;
mod draft;
mod field;
mod files;
mod keys;
mod limits;
mod model;
mod mounts;
mod places;
mod problem;
mod read;
mod syntax;
mod table;
mod values;
mod words;

use std::str::FromStr;

pub use self::draft::Draft;
pub use self::files::{Found, SearchPath, SettingsFile};
pub use self::keys::{Key, Section, Trust};
pub use self::problem::{Place, Problem};
pub use self::read::{Collected, Line};
pub use self::table::KEYS;
use crate::error::{Error, Kind, Result};
use crate::plan::Request;
use apply::Winner;

/// The argument of `--settings=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Use {
    /// Options outrank files; a file beside the image may not open the host.
    #[default]
    Yes,
    /// Files outrank options; otherwise the same.
    Override,
    /// Options outrank files, and every file may set every key.
    Trusted,
    /// No file is read.
    No,
}

impl FromStr for Use {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match (text, values::truth(text)) {
            ("override", _) => Ok(Self::Override),
            ("trusted", _) => Ok(Self::Trusted),
            (_, Some(true)) => Ok(Self::Yes),
            (_, Some(false)) => Ok(Self::No),
            _ => {
                let text = text.escape_debug();
                let what = format!("invalid mode '{text}': expected yes, no, override or trusted");
                Err(Error::new(Kind::Usage, what))
            }
        }
    }
}

/// What an option takes the place of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// The key that says the same.
    #[default]
    ByKey,
    /// All keys of that key's group, as with systemd-nspawn.
    ByGroup,
}

/// How options and files go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which wins.
    pub usage: Use,
    /// Where.
    pub merge: Merge,
}

/// Makes values of the files' lines.
#[must_use]
pub fn collect(found: &Found, usage: Use) -> Collected {
    let mut all = Collected::default();
    for file in &found.files {
        let trusted = file.trusted || usage == Use::Trusted;
        all.read(&file.path, &file.content, trusted);
    }
    all
}

impl Choice {
    /// Puts settings into a request that options have made. `said` names the options that were
    /// given, and the arguments; what the files say instead of them, and what has no effect, is in
    /// `all` afterwards.
    ///
    /// # Errors
    /// [`Kind::BadInput`] if a line is wrong, or lines contradict each other.
    pub fn apply(self, all: &mut Collected, said: &[String], request: &mut Request) -> Result<()> {
        all.check()?;
        let winner = match self.usage {
            Use::Override => Winner::File,
            _ => Winner::CommandLine,
        };
        if winner == Winner::CommandLine {
            let outranked = KEYS.iter().filter(|key| self.outranks(said, key));
            outranked.for_each(|key| all.outrank(key));
        }
        apply::apply(all, request, winner, self.merge)
    }

    /// Whether options take the key's place. Lists of both add up, if keys are merged one by one.
    fn outranks(self, said: &[String], key: &Key) -> bool {
        let says = |key: &Key| {
            key.options
                .iter()
                .any(|option| said.iter().any(|s| s == option))
        };
        if key.shared {
            return false;
        }
        match (self.merge, key.group) {
            (Merge::ByGroup, Some(group)) => KEYS
                .iter()
                .any(|other| other.group == Some(group) && says(other)),
            (Merge::ByGroup, None) => says(key),
            (Merge::ByKey, _) => says(key) && (key.whole || !key.adds_up()),
        }
    }
}

#[cfg(test)]
mod tests;
