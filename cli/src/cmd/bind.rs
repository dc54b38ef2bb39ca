//! `nsrun bind` and `nsrun unbind`: mounts in a running machine.

use std::path::PathBuf;

use clap::ValueHint;
use nsrun_runtime::attach::{self, BindRequest};
use nsrun_runtime::plan::mounts::Mount;
use nsrun_runtime::{Context, MachineName, Result};

use crate::globals::Globals;
use crate::report;

pub const BIND_HELP: &str = "\
Examples:
  nsrun bind web /srv/data
  nsrun bind --read-only web ./site /var/www
  nsrun bind --mkdir web /run/mysqld/mysqld.sock /run/mysqld/mysqld.sock
  nsrun bind --options=noidmap,norbind web /srv /srv

With a user namespace, the files belong to the users of the same numbers in the machine, and what
is made there to those of the same numbers on the host: root's to root. The mount goes with the
machine, and with a reboot of it.";

pub const UNBIND_HELP: &str = "\
Examples:
  nsrun unbind web /var/www

What is open in the mount stays open until it is closed.";

#[derive(clap::Args, Debug)]
pub struct BindArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// A directory, file or socket of the host
    #[arg(value_hint = ValueHint::AnyPath)]
    source: PathBuf,

    /// Where it is mounted in the machine [default: at the same path]
    target: Option<String>,

    /// Let nothing be changed through it, also by root in the machine
    #[arg(long, visible_alias = "ro")]
    read_only: bool,

    /// Make the target if it is missing, and the directories that lead to it
    #[arg(long)]
    mkdir: bool,

    /// Whose the files are, and whether mounts below are seen; as with --bind: idmap, noidmap,
    /// rootidmap, owneridmap, rbind, norbind
    #[arg(
        short,
        long,
        value_name = "OPTION,...",
        default_value = "",
        hide_default_value = true
    )]
    options: String,
}

#[derive(clap::Args, Debug)]
pub struct UnbindArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Where it is mounted in the machine
    target: String,

    /// Unmount whatever is mounted there
    #[arg(long)]
    force: bool,
}

/// Mounts.
pub fn run(args: &BindArgs, globals: &Globals) -> Result<()> {
    let source =
        std::path::absolute(&args.source).cannot(|| format!("use {}", args.source.display()))?;
    let target = args.target.as_deref();
    let mount = Mount::live(&source, target, args.read_only, &args.options)?;
    let request = BindRequest {
        mount,
        mkdir: args.mkdir,
    };
    let bind = attach::bind(&globals.dirs, &args.machine, &request)?;
    if globals.json {
        report::json(&bind)?;
    }
    Ok(())
}

/// Unmounts.
pub fn unbind(args: &UnbindArgs, globals: &Globals) -> Result<()> {
    attach::unbind(&globals.dirs, &args.machine, &args.target, args.force)
}
