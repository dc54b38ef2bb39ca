//! `nsrun completions`: what a shell needs to complete nsrun's words.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use nsrun_runtime::{Context, Result};

use crate::args::Cli;

#[derive(clap::Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nsrun", &mut script);
    io::stdout()
        .write_all(&script)
        .cannot(|| "print the script")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_knows_the_verbs() {
        use clap::ValueEnum;
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "nsrun", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("import-fs"), "{shell}");
        }
    }
}
