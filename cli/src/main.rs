//! The `nsrun` command: argument grammar, output formats and exit statuses.

mod args;
mod cmd;
mod compat;
mod complete;
mod crowd;
mod foreign;
mod format;
mod globals;
mod progress;
mod report;
mod said;
mod serve;
mod settings;
mod usage;
mod when;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(status) = complete::answer(&words) {
        return status;
    }
    if let Some(peer) = compat::Peer::called(&words) {
        return compat::run(peer, &words);
    }
    match args::Cli::try_parse_from(&words) {
        Ok(cli) => {
            let globals = cli.globals(&words);
            cmd::dispatch(&cli.command, &globals)
        }
        Err(error) => usage::explain(&error, &words),
    }
}
