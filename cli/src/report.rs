//! How results and failures reach the user.

use std::process::ExitCode;

use nsrun_runtime::{Error, Kind};

/// Prints the failure and its hint to stderr; the exit status is that of its kind.
pub fn failure(error: &Error) -> ExitCode {
    print(error);
    ExitCode::from(error.kind().exit_status())
}

/// Prints the failure and its hint to stderr, without choosing an exit status.
pub fn print(error: &Error) {
    eprintln!("nsrun: {error}");
    if let Some(hint) = error.advice() {
        eprintln!("hint: {hint}");
    }
}

/// Prints a result as JSON.
pub fn json(value: &impl serde::Serialize) -> nsrun_runtime::Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::new(Kind::Failed, "cannot write JSON").because(e))?;
    println!("{text}");
    Ok(())
}
