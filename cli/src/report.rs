//! How results and failures reach the user.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use nsrun_runtime::image::Counts;
use nsrun_runtime::{Error, Kind};

/// Prints the failure and its hint to stderr; the exit status is that of its kind.
pub fn failure(error: &Error) -> ExitCode {
    print(error);
    ExitCode::from(error.kind().exit_status())
}

/// Prints the failure and its hint to stderr, without choosing an exit status.
pub fn print(error: &Error) {
    note(format_args!("nsrun: {error}"));
    if let Some(hint) = error.advice() {
        note(format_args!("hint: {hint}"));
    }
}

/// Prints a line of a result. Whoever has closed the pipe wants no more of it.
pub fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints a line for the user's eyes. A terminal that has hung up is no reason to fail.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// What may be wrong with what was read of `place`.
pub fn doubts(place: &impl Display, was_in_use: bool, warnings: &[impl Display]) {
    if was_in_use {
        note(format_args!(
            "warning: {place} was in use while it was read: its files may be of different moments"
        ));
    }
    for warning in warnings {
        note(format_args!("warning: {warning}"));
    }
}

/// What an image holds, in words.
pub fn counts(counts: &Counts) -> String {
    format!(
        "{} files, {} directories, {} symbolic links, {}",
        counts.files,
        counts.directories,
        counts.symlinks,
        indicatif::BinaryBytes(counts.bytes),
    )
}

/// Prints a result as JSON.
pub fn json(value: &impl serde::Serialize) -> nsrun_runtime::Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::new(Kind::Failed, "cannot write JSON").because(e))?;
    line(text);
    Ok(())
}
