//! The `nsrun` command: argument grammar, output formats and exit statuses.

mod args;
mod cmd;
mod crowd;
mod foreign;
mod format;
mod globals;
mod progress;
mod report;
mod said;
mod settings;
mod usage;
mod when;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    match args::Cli::try_parse_from(&words) {
        Ok(cli) => {
            let mut globals = cli.globals.resolve();
            globals.supervise = cli.supervise;
            cmd::dispatch(&cli.command, &globals)
        }
        Err(error) => usage::explain(&error, &words),
    }
}
