//! What a peer's command line comes to.

use super::table::Style;

/// Things to do, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Translation {
    /// The things; the first that fails is the last.
    pub(super) steps: Vec<Step>,
    /// What the peer says that it could not do, before the cause; nothing if it says the cause alone.
    pub(super) failure: &'static str,
    /// What the names of the command line are names of.
    pub(super) subject: Subject,
}

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A running machine.
    Machine,
    /// An image.
    Image,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A command line of nsrun's, without the program's name.
    Nsrun {
        /// The words.
        words: Vec<String>,
        /// The machine or image that it is about.
        name: Option<String>,
    },
    /// The same for a command in a machine, whose exit status does not matter.
    Session {
        /// The machine.
        name: String,
        /// The words.
        words: Vec<String>,
    },
    /// The same, unless a machine of that name runs; one that is about to end is waited for.
    Start {
        /// The machine.
        name: String,
        /// The command line.
        words: Vec<String>,
    },
    /// A table of the machines that run.
    Machines(Style),
    /// A table of the images, in the columns of machinectl.
    Images(Style),
    /// The same in those of importctl.
    ImagesWithPaths(Style),
    /// Properties of an image.
    ImageProperties {
        /// The image.
        name: String,
        /// Those to print.
        choice: Choice,
    },
    /// The directory of the images.
    Pool {
        /// Those of its properties to print, if it is not for people.
        choice: Option<Choice>,
    },
    /// A line for standard output.
    Say(String),
    /// A line for standard error.
    Note(String),
}

/// Which properties are printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Their names; all if there is none.
    pub(super) names: Vec<String>,
    /// Values alone.
    pub(super) bare: bool,
}

/// Why nothing is done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The words are wrong, or ask for help or the version.
    Words(clap::Error),
    /// They are right, but nsrun does not do that.
    Unsupported(String),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Words(error)
    }
}

impl Refusal {
    /// For an option or verb that nsrun has nothing for, and why.
    pub(super) fn of(what: &str, why: &str) -> Self {
        Self::Unsupported(format!("{what} is not supported by nsrun: {why}"))
    }
}

/// Words of nsrun's, each given as text.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
