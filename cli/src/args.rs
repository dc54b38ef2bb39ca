//! The command line's grammar.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::cmd::attach::AttachArgs;
use crate::cmd::background::StartArgs;
use crate::cmd::bind::{BindArgs, UnbindArgs};
use crate::cmd::boot::BootArgs;
use crate::cmd::cat::CatArgs;
use crate::cmd::change_images::{CleanArgs, ReadOnlyArgs, RemoveArgs, RenameArgs};
use crate::cmd::clone::CloneArgs;
use crate::cmd::completions::CompletionsArgs;
use crate::cmd::config::ConfigArgs;
use crate::cmd::control::{IsRunningArgs, KillArgs, NamesArgs, WaitArgs};
use crate::cmd::copy::{CopyFromArgs, CopyToArgs, CpArgs};
use crate::cmd::edit::EditArgs;
use crate::cmd::enable::{DisableArgs, EnableArgs};
use crate::cmd::exec::ExecArgs;
use crate::cmd::export::ExportArgs;
use crate::cmd::images::{ImageStatusArgs, ImagesArgs};
use crate::cmd::import::{ImportArgs, ImportFsArgs};
use crate::cmd::import_raw::ImportRawArgs;
use crate::cmd::install_compat::InstallCompatArgs;
use crate::cmd::list::ListArgs;
use crate::cmd::login::{LoginArgs, ShellArgs};
use crate::cmd::logs::LogsArgs;
use crate::cmd::man::ManArgs;
use crate::cmd::net::{IpArgs, PortsArgs};
use crate::cmd::pull::PullArgs;
use crate::cmd::run::RunArgs;
use crate::cmd::show::ShowArgs;
use crate::cmd::status::StatusArgs;
use crate::cmd::stop::StopArgs;
use crate::cmd::testing::TestArgs;
use crate::cmd::top::TopArgs;
use crate::globals::{GlobalArgs, Globals};
use crate::serve::ServeArgs;

const EXAMPLES: &str = "\
Examples:
  nsrun import nixos-system-x86_64-linux.tar.xz web
  nsrun boot web
  nsrun exec web -- systemctl status
  nsrun stop web

Exit status: 0 done, 1 failed, 2 usage, 3 no such machine, image or file, 4 busy, 5 the host
lacks something, 6 bad input. `run` and `exec` give the command's, 125 if nsrun itself failed,
126 if the command cannot be executed, 127 if there is no such command; `boot` gives the
system's.";

const START_EXAMPLES: &str = "\
Examples:
  nsrun start web                     return when its init runs
  nsrun start --wait=ready web        return when the whole system is up
  nsrun start --all-enabled           what a host runs when it boots";

const ENABLE_EXAMPLES: &str = "\
Examples:
  nsrun enable --now web db           start them now, and whenever the host boots
  nsrun enable web -- --ephemeral     always with this option of `nsrun start`
  nsrun disable web                   do not start it any more; it goes on for now

With systemd each machine is a unit, nsrun@NAME.service. With OpenRC the service nsrun starts
all. Elsewhere, have `nsrun start --all-enabled` run when the host boots.";

/// Boot NixOS and other systemd images in containers, on any Linux host
#[derive(Debug, Parser)]
#[command(
    name = "nsrun",
    version,
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub struct Cli {
    /// Options that every verb takes.
    #[command(flatten)]
    pub globals: GlobalArgs,

    /// With `start`: stay, and be the machine's supervisor, as service managers want it
    #[arg(long)]
    pub supervise: bool,

    /// With `--supervise`: end with the process that has started this one
    #[arg(long, hide = true, requires = "supervise")]
    pub tied: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What every verb needs to know; `words` are the whole command line.
    pub fn globals(&self, words: &[OsString]) -> Globals {
        Globals {
            supervise: self.supervise,
            tied: self.tied,
            words: words.iter().skip(1).cloned().collect(),
            ..self.globals.resolve()
        }
    }
}

/// The verbs. A verb's options are only put together when it is used: all of them cost a fifth of
/// the time that a short `run` takes.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Make an image from a tar archive
    #[command(visible_alias = "import-tar")]
    Import(ImportArgs),
    /// Make an image from a directory
    ImportFs(ImportFsArgs),
    /// Make an image from a disk image
    ImportRaw(ImportRawArgs),
    /// Make an image from a tar archive on a server
    #[command(visible_alias = "pull-tar")]
    Pull(PullArgs),
    /// Boot an image in the foreground
    Boot(BootArgs),
    /// Boot an image in the background
    #[command(after_help = START_EXAMPLES)]
    Start(StartArgs),
    /// Have machines started when the host boots
    #[command(after_help = ENABLE_EXAMPLES)]
    Enable(EnableArgs),
    /// Have machines not started when the host boots
    Disable(DisableArgs),
    /// Run one command in an image
    Run(RunArgs),
    /// Run a command in a running machine
    Exec(ExecArgs),
    /// Log in to a running machine on a terminal of its own
    Login(LoginArgs),
    /// Open a session, or run a command in one, in a running machine
    Shell(ShellArgs),
    /// List running machines
    List(ListArgs),
    /// Show what is known of machines
    Status(StatusArgs),
    /// Print properties of machines for scripts
    Show(ShowArgs),
    /// Show what machines use, as it changes
    Top(TopArgs),
    /// Connect the terminal to the console of a machine in the background
    Attach(AttachArgs),
    /// Show what a machine wrote to its console, or its journal
    Logs(LogsArgs),
    /// Mount what the host has into a running machine
    #[command(after_help = crate::cmd::bind::BIND_HELP)]
    Bind(BindArgs),
    /// Take off what `bind` has mounted
    #[command(after_help = crate::cmd::bind::UNBIND_HELP)]
    Unbind(UnbindArgs),
    /// Copy files and directories into a machine, out of it, or to another
    #[command(after_help = crate::cmd::copy::CP_HELP)]
    Cp(CpArgs),
    /// Copy a file or directory of the host into a machine
    #[command(after_help = crate::cmd::copy::COPY_TO_HELP)]
    CopyTo(CopyToArgs),
    /// Copy a file or directory of a machine to the host
    #[command(after_help = crate::cmd::copy::COPY_FROM_HELP)]
    CopyFrom(CopyFromArgs),
    /// Stop a machine
    Stop(StopArgs),
    /// Print the settings files of machines
    Cat(CatArgs),
    /// Edit a machine's settings file, and check it before it is saved
    #[command(
        after_help = "The editor is $SYSTEMD_EDITOR, $EDITOR or $VISUAL, else editor, nano, vim or vi."
    )]
    Edit(EditArgs),
    /// Show what the settings files of a machine come to
    Config(ConfigArgs),
    /// Ask machines to power off, without waiting for them
    Poweroff(NamesArgs),
    /// Ask machines to reboot
    Reboot(NamesArgs),
    /// End machines at once
    Terminate(NamesArgs),
    /// Send a signal to machines
    Kill(KillArgs),
    /// Stop all processes of machines where they are
    Pause(NamesArgs),
    /// Let the processes of paused machines go on
    Resume(NamesArgs),
    /// Print the addresses of a machine
    Ip(IpArgs),
    /// List the ports of the host that lead to machines
    Ports(PortsArgs),
    /// Wait until machines have ended
    Wait(WaitArgs),
    /// Tell whether a machine runs, also by the exit status
    IsRunning(IsRunningArgs),
    /// List images
    #[command(visible_alias = "list-images")]
    Images(ImagesArgs),
    /// Show what is known of images
    ImageStatus(ImageStatusArgs),
    /// Copy an image, sharing its blocks where the file system can
    Clone(CloneArgs),
    /// Write an image as a tar archive
    #[command(visible_alias = "export-tar")]
    Export(ExportArgs),
    /// Remove images
    Remove(RemoveArgs),
    /// Give an image another name
    Rename(RenameArgs),
    /// Make an image read-only or writable
    ReadOnly(ReadOnlyArgs),
    /// Remove hidden images and what killed commands left
    Clean(CleanArgs),
    /// Make links by which nsrun is called as systemd-nspawn, machinectl and importctl
    #[command(after_help = crate::cmd::install_compat::HELP)]
    InstallCompat(InstallCompatArgs),
    /// Run a test script, with machines that are its own
    Test(TestArgs),
    /// Serve a program that tests something in machines
    Serve(ServeArgs),
    /// Write the manual pages
    #[command(hide = true)]
    Man(ManArgs),
    /// Print a completion script for a shell
    #[command(hide = true, after_help = crate::cmd::completions::HELP)]
    Completions(CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn verbs(command: &clap::Command) -> Vec<clap::Command> {
        let below = command.get_subcommands().flat_map(verbs);
        [command.clone()].into_iter().chain(below).collect()
    }

    /// The first line is what `-h` and the lists of verbs show.
    fn assert_style(of: &str, text: Option<String>) {
        let text = text.unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let first = line.chars().next();
        assert!(first.is_some(), "{of} has no help");
        assert!(
            first.is_some_and(|c| !c.is_lowercase()),
            "{of}: '{line}' begins in lower case"
        );
        assert!(!line.ends_with('.'), "{of}: '{line}' ends with a period");
        assert!(!line.contains("  "), "{of}: '{line}' has two blanks");
    }

    #[test]
    fn every_verb_and_option_has_help_in_one_style() {
        let command = Cli::command();
        for verb in verbs(&command) {
            let name = verb.get_name().to_owned();
            assert_style(&name, verb.get_about().map(ToString::to_string));
            for arg in verb.get_arguments() {
                let of = format!("{name} {}", arg.get_id());
                assert_style(&of, arg.get_help().map(ToString::to_string));
            }
        }
    }

    /// The words of an example: what a shell does to them, and what is said about it, is cut off.
    fn words(line: &str) -> Option<Vec<String>> {
        let line = line.find("nsrun ").map(|at| &line[at..])?;
        let ends = ["  ", " | ", " > ", " && "];
        let end = ends.iter().filter_map(|end| line.find(end)).min();
        let line = &line[..end.unwrap_or(line.len())];
        let mut words = Vec::new();
        for (number, part) in line.split('\'').enumerate() {
            match number % 2 {
                0 => words.extend(part.split_whitespace().map(str::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        Some(words)
    }

    #[test]
    fn every_example_is_understood() {
        let mut command = Cli::command();
        command.build();
        let mut count = 0;
        for verb in verbs(&command) {
            let text = verb.get_after_help().map(ToString::to_string);
            let text = text.unwrap_or_default();
            let lines = text.lines().filter(|line| line.starts_with("  "));
            for words in lines.filter_map(words) {
                // What a shell runs on its own.
                if words.iter().any(|word| word.ends_with(')')) {
                    continue;
                }
                let parsed = Cli::try_parse_from(&words);
                assert!(parsed.is_ok(), "{words:?}: {parsed:?}");
                count += 1;
            }
        }
        assert!(count > 40, "{count} examples");
    }

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_go_before_and_after_the_verb() {
        for words in [["nsrun", "--quiet", "list"], ["nsrun", "list", "--quiet"]] {
            let cli = Cli::try_parse_from(words).unwrap();
            assert!(cli.globals.resolve().quiet);
        }
    }
}
