//! `nsrun man`: the manual pages, made from the command line's grammar.

mod settings;

use std::io;
use std::path::PathBuf;

use clap::{CommandFactory, ValueHint};
use nsrun_runtime::{Context, Result};

use crate::args::Cli;

#[derive(clap::Args, Debug)]
pub struct ManArgs {
    /// The directory to write all pages into [default: print the page nsrun(1)]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

/// Writes `nsrun.1`, a page for each verb and one for settings files into the directory, or prints
/// the first.
pub fn run(args: &ManArgs) -> Result<()> {
    let command = Cli::command();
    let Some(dir) = &args.dir else {
        let page = clap_mangen::Man::new(command.disable_help_subcommand(true));
        return page.render(&mut io::stdout()).cannot(|| "print the page");
    };
    std::fs::create_dir_all(dir).cannot(|| format!("make directory {}", dir.display()))?;
    clap_mangen::generate_to(command, dir)
        .and_then(|()| std::fs::write(dir.join(settings::FILE), settings::page()))
        .cannot(|| format!("write the pages into {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_verb_that_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let args = ManArgs {
            dir: Some(dir.path().join("new/man1")),
        };
        run(&args).unwrap();
        let page = |name: &str| dir.path().join("new/man1").join(name);
        let boot = std::fs::read_to_string(page("nsrun-boot.1")).unwrap();
        assert!(boot.contains("kernel\\-cmdline"), "{boot}");
        assert!(page(settings::FILE).exists());
        for command in Cli::command().get_subcommands() {
            let name = format!("nsrun-{}.1", command.get_name());
            assert_eq!(page(&name).exists(), !command.is_hide_set(), "{name}");
        }
    }
}
