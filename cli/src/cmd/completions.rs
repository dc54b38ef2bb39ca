//! `nsrun completions`: what a shell needs to complete nsrun's words.

use std::io::{self, Write};

use clap::builder::PossibleValuesParser;
use nsrun_runtime::{Context, Result};

use crate::compat::Peer;
use crate::complete;

/// The shells that scripts are written for.
const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

pub const HELP: &str = "\
Examples:
  source <(nsrun completions bash)
  source <(nsrun completions zsh machinectl)
  nsrun completions fish | source

Names of machines that run, and of images, are offered as it suits the verb; only root sees them.
A script goes with the nsrun that has printed it: have it printed anew when a shell starts.";

#[derive(clap::Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_parser = SHELLS)]
    shell: String,

    /// The program whose words are completed: nsrun, or a name that nsrun is called by
    #[arg(default_value = "nsrun", value_parser = programs())]
    program: String,
}

fn programs() -> PossibleValuesParser {
    let peers = Peer::ALL.map(Peer::name);
    PossibleValuesParser::new(["nsrun"].into_iter().chain(peers))
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<()> {
    let what = || "print the script";
    let peer = Peer::ALL
        .into_iter()
        .find(|peer| peer.name() == args.program);
    let nsrun = std::env::current_exe().cannot(|| "find nsrun's own path")?;
    let mut script = Vec::new();
    complete::write_script(&args.shell, peer, &nsrun, &mut script).cannot(what)?;
    io::stdout().write_all(&script).cannot(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shells_are_those_that_there_are_scripts_for() {
        let all = clap_complete::env::Shells::builtins();
        assert_eq!(all.names().collect::<Vec<_>>(), SHELLS);
    }
}
