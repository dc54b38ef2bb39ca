//! The verbs, one module each.

pub mod boot;
pub mod exec;
pub mod import;
pub mod list;
pub mod machine_args;
pub mod run;
mod start;
pub mod status;
pub mod stop;

use std::process::ExitCode;

use nsrun_runtime::{Kind, Result};

use crate::args::Command;
use crate::globals::Globals;
use crate::report;

/// Exit status of `run` and `exec` for failures of nsrun itself, so that they are not taken for
/// the command's.
const OWN_FAILURE: u8 = 125;

/// Runs the verb and turns its result into the exit status.
pub fn dispatch(command: &Command, globals: &Globals) -> ExitCode {
    match command {
        Command::Import(args) => own(import::run(args, globals).map(|()| ExitCode::SUCCESS)),
        Command::ImportFs(args) => own(import::run_fs(args, globals).map(|()| ExitCode::SUCCESS)),
        Command::Boot(args) => own(boot::run(args, globals)),
        Command::Run(args) => payloads(run::run(args, globals)),
        Command::Exec(args) => payloads(exec::run(args, globals)),
        Command::List(args) => own(list::run(args, globals).map(|()| ExitCode::SUCCESS)),
        Command::Status(args) => own(status::run(args, globals).map(|()| ExitCode::SUCCESS)),
        Command::Stop(args) => own(stop::run(args, globals).map(|()| ExitCode::SUCCESS)),
    }
}

/// Reports a failure; what succeeded brings its own status.
fn own(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| report::failure(&error))
}

/// The same for verbs whose status is a command's.
fn payloads(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        report::print(&error);
        match error.kind() {
            kind @ (Kind::NotExecutable | Kind::NoCommand) => kind.exit_status().into(),
            _ => OWN_FAILURE.into(),
        }
    })
}
