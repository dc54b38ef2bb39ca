//! What a shell asks for when the user presses the tab key.
//!
//! The script of a shell calls nsrun again with the words so far: verbs and options come from the
//! grammar, names of machines and images from the host at that moment.

mod names;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::env::{EnvCompleter, Shells};
use nsrun_runtime::{Context, Result};

use crate::args::Cli;
use crate::compat::{self, Peer};
use crate::report;

/// Names the shell whose script it is that calls.
const SHELL: &str = "NSRUN_COMPLETE";

/// Answers the script of a shell, if it is that which calls.
pub fn answer(words: &[OsString]) -> Option<ExitCode> {
    let shell = std::env::var(SHELL).ok().filter(|name| !name.is_empty())?;
    let shells = Shells::builtins();
    let shell = shells.completer(&shell)?;
    let typed = words.iter().skip_while(|word| *word != "--").skip(1);
    let typed: Vec<OsString> = typed.cloned().collect();
    Some(match candidates(shell, typed) {
        Ok(text) => {
            // A shell that has gone wants no candidates.
            let _ = io::stdout().write_all(&text);
            ExitCode::SUCCESS
        }
        Err(error) => report::failure(&error),
    })
}

fn candidates(shell: &dyn EnvCompleter, typed: Vec<OsString>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut command = grammar(Peer::called(&typed));
    let here = std::env::current_dir().ok();
    shell
        .write_complete(&mut command, typed, here.as_deref(), &mut text)
        .cannot(|| "complete the words")?;
    Ok(text)
}

/// Writes the script by which a shell completes the words of nsrun, or of a program that it
/// stands for.
pub fn write_script(
    shell: &str,
    peer: Option<Peer>,
    nsrun: &Path,
    script: &mut Vec<u8>,
) -> io::Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).ok_or(io::ErrorKind::Unsupported)?;
    let name = peer.map_or("nsrun", Peer::name);
    shell.write_registration(SHELL, name, name, &nsrun.to_string_lossy(), script)
}

/// The whole grammar, with completers for names.
fn grammar(peer: Option<Peer>) -> Command {
    let mut command = match peer {
        None => Cli::command(),
        Some(peer) => compat::grammar(peer),
    };
    // The options of verbs are put together here.
    command.build();
    names::complete(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_for_every_program() {
        let peers = [None].into_iter().chain(Peer::ALL.map(Some));
        for (shell, peer) in ["bash", "zsh", "fish"].into_iter().zip(peers.cycle()) {
            let mut script = Vec::new();
            write_script(shell, peer, Path::new("/a b/nsrun"), &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("/a b/nsrun"), "{script}");
            assert!(
                script.contains(peer.map_or("nsrun", Peer::name)),
                "{script}"
            );
        }
        assert!(write_script("csh", None, Path::new("/nsrun"), &mut Vec::new()).is_err());
    }

    #[test]
    fn verbs_and_options_are_found_in_each_grammar() {
        let table = [
            ("nsrun sta", "status"),
            ("nsrun boot --priv", "--private-users"),
            (
                "nsrun boot --private-users-ownership=ch",
                "--private-users-ownership=chown",
            ),
            ("machinectl image-", "image-status"),
            ("machinectl list --no-l", "--no-legend"),
            ("importctl pull-t", "pull-tar"),
            ("systemd-nspawn --network-v", "--network-veth"),
        ];
        let fish = Shells::builtins();
        let fish = fish.completer("fish").unwrap();
        for (line, wanted) in table {
            let words = line.split(' ').map(OsString::from).collect();
            let text = String::from_utf8(candidates(fish, words).unwrap()).unwrap();
            let found = text
                .lines()
                .any(|line| line.split('\t').next() == Some(wanted));
            assert!(found, "{line}: {text}");
        }
    }
}
