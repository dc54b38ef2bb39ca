//! The `nsrun` command: argument grammar, output formats and exit statuses.

mod args;
mod cmd;
mod globals;
mod progress;
mod report;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let globals = cli.globals.resolve();
    cmd::dispatch(&cli.command, &globals)
}
