//! The verbs, one module each.

pub mod boot;
pub mod import;
pub mod machine_args;
pub mod run;
mod start;

use std::process::ExitCode;

use nsrun_runtime::Result;

use crate::args::Command;
use crate::globals::Globals;
use crate::report;

/// Runs the verb and turns its result into the exit status.
pub fn dispatch(command: &Command, globals: &Globals) -> ExitCode {
    match command {
        Command::Boot(args) => status(boot::run(args, globals)),
        Command::Run(args) => run::run(args, globals),
        Command::Import(args) => status(import::run(args, globals).map(|()| ExitCode::SUCCESS)),
    }
}

/// Reports a failure; what succeeded brings its own status.
fn status(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| report::failure(&error))
    let result = match command {
        Command::Import(args) => import::run(args, globals),
        Command::ImportFs(args) => import::run_fs(args, globals),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error),
}
