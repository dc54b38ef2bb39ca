//! The command line's grammar.

use clap::{Parser, Subcommand};

use crate::cmd::boot::BootArgs;
use crate::cmd::exec::ExecArgs;
use crate::cmd::import::{ImportArgs, ImportFsArgs};
use crate::cmd::list::ListArgs;
use crate::cmd::run::RunArgs;
use crate::cmd::status::StatusArgs;
use crate::cmd::stop::StopArgs;
use crate::globals::GlobalArgs;

/// Boot NixOS and other systemd images in containers, on any Linux host.
#[derive(Debug, Parser)]
#[command(name = "nsrun", version, max_term_width = 100)]
pub struct Cli {
    /// Options that every verb takes.
    #[command(flatten)]
    pub globals: GlobalArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an image from a tar archive
    #[command(visible_alias = "import-tar")]
    Import(ImportArgs),
    /// Make an image from a directory
    ImportFs(ImportFsArgs),
    /// Boot an image in the foreground
    Boot(BootArgs),
    /// Run one command in an image
    Run(RunArgs),
    /// Run a command in a running machine
    Exec(ExecArgs),
    /// List running machines
    List(ListArgs),
    /// Show what is known of a machine
    Status(StatusArgs),
    /// Stop a machine
    Stop(StopArgs),
}
