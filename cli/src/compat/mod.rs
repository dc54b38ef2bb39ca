//! Being called by another program's name: its command line becomes command lines of nsrun's.
//!
//! [`nspawn`] and [`machinectl`] translate and do nothing; [`carry_out`] runs what came of it, with the
//! peer's messages and exit statuses. No verb is written a second time.

mod carry_out;
mod machinectl;
pub(crate) mod nspawn;
mod step;
mod table;
mod views;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// What the peers' version options tell: the release of systemd whose command lines are understood,
/// on the place where scripts look for it.
const VERSION: &str = concat!("262 (nsrun ", env!("CARGO_PKG_VERSION"), ")");

/// A program whose command line is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// systemd-nspawn(1)
    Nspawn,
    /// machinectl(1)
    Machinectl,
    /// importctl(1)
    Importctl,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nspawn, Self::Machinectl, Self::Importctl];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nspawn => "systemd-nspawn",
            Self::Machinectl => "machinectl",
            Self::Importctl => "importctl",
        }
    }

    /// The program that these words call, if it is one of them.
    pub fn called(words: &[OsString]) -> Option<Self> {
        let name = Path::new(words.first()?).file_name()?;
        Self::ALL.into_iter().find(|peer| name == peer.name())
    }
}

/// Does what the words ask the peer to do; the exit status is what the peer's would be.
pub fn run(peer: Peer, words: &[OsString]) -> ExitCode {
    let translated = match peer {
        Peer::Nspawn => nspawn::translate(words),
        Peer::Machinectl | Peer::Importctl => machinectl::translate(peer, words),
    };
    match translated {
        Ok(translation) => carry_out::all(peer, &translation),
        Err(refusal) => carry_out::refuse(peer, &refusal),
    }
}

/// The peer's grammar.
pub fn grammar(peer: Peer) -> clap::Command {
    match peer {
        Peer::Nspawn => nspawn::command(),
        Peer::Machinectl => machinectl::machinectl(),
        Peer::Importctl => machinectl::importctl(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_of_the_name_counts() {
        let called = |name: &str| Peer::called(&[name.into()]);
        assert_eq!(called("/usr/bin/systemd-nspawn"), Some(Peer::Nspawn));
        assert_eq!(called("./machinectl"), Some(Peer::Machinectl));
        assert_eq!(called("importctl"), Some(Peer::Importctl));
        for other in ["nsrun", "systemd-nspawn.real", "/machinectl/nsrun", ""] {
            assert_eq!(called(other), None, "{other}");
        }
        assert_eq!(Peer::called(&[]), None);
    }
}
