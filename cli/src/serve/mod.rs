//! `nsrun serve`: machines for a program that tests something in them, over one connection.
//!
//! One thread; each request is a task. Machines are tied to this process: they end with it,
//! whatever ends it.

mod copy;
mod execute;
mod forward;
mod hosts;
mod line;
mod machine;
mod protocol;
mod server;
mod source;
mod unit;

use std::process::ExitCode;

use nsrun_runtime::{Context, Error, Kind, Result};

use crate::globals::Globals;

const HELP: &str = "\
Each line is a request, an answer or an event in JSON. When the input ends, all machines end and
nothing of them is left. `nsrun test` is a client of this.";

#[derive(clap::Args, Debug)]
#[command(after_help = HELP)]
pub struct ServeArgs {
    /// Take requests from standard input, which has to be a pipe or a socket
    #[arg(long, required = true)]
    stdio: bool,
}

/// Serves until the input ends or a signal asks to end.
pub fn run(_: &ServeArgs, globals: &Globals) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .cannot(|| "prepare to serve")?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, server::serve(globals))?;
    Ok(ExitCode::SUCCESS)
}

/// Standard input is of a kind that cannot be waited for.
fn no_stream() -> Error {
    let what = "standard input is neither a pipe nor a socket";
    Error::new(Kind::Usage, what).hint("a program starts `nsrun serve` with pipes")
}
