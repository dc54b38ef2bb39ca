//! The verbs, one module each.

pub mod import;

use std::process::ExitCode;

use crate::args::Command;
use crate::globals::Globals;
use crate::report;

/// Runs the verb and turns its result into the exit status.
pub fn dispatch(command: &Command, globals: &Globals) -> ExitCode {
    let result = match command {
        Command::Import(args) => import::run(args, globals),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error),
    }
}
