//! `nsrun cat`: settings files as they are.

use nsrun_runtime::settings::{SearchPath, SettingsFile};
use nsrun_runtime::{Error, Kind, MachineName, Result};
use serde::Serialize;

use crate::globals::Globals;
use crate::report;

#[derive(clap::Args, Debug)]
pub struct CatArgs {
    /// Names of machines
    #[arg(value_name = "NAME", required = true)]
    machines: Vec<MachineName>,
}

#[derive(Serialize)]
struct Shown {
    machine: String,
    path: String,
    trusted: bool,
    content: String,
}

/// Prints each machine's file and drop-ins, in the order of reading.
pub fn run(args: &CatArgs, globals: &Globals) -> Result<()> {
    let mut all = Vec::new();
    for machine in &args.machines {
        let found = SearchPath::of(&globals.dirs, machine).find(machine.as_str())?;
        found.skipped.iter().for_each(report::note);
        if found.files.is_empty() {
            return Err(no_settings(machine));
        }
        all.extend(found.files.into_iter().map(|file| shown(machine, &file)));
    }
    if globals.json {
        return report::json(&all);
    }
    for (index, file) in all.iter().enumerate() {
        if index > 0 {
            report::line("");
        }
        report::line(format_args!("# {}", file.path));
        report::line(file.content.trim_end_matches('\n'));
    }
    Ok(())
}

fn shown(machine: &MachineName, file: &SettingsFile) -> Shown {
    Shown {
        machine: machine.to_string(),
        path: file.path.display().to_string(),
        trusted: file.trusted,
        content: printable(&file.content),
    }
}

/// A file beside an image may be anybody's: no control sequence of it reaches the terminal.
fn printable(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    let keep = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(|&c| keep(c)).collect()
}

/// Nothing is said of the machine anywhere.
pub fn no_settings(machine: &MachineName) -> Error {
    let what = format!("no settings of {machine} in any file");
    Error::new(Kind::NotFound, what).hint(format!("`nsrun edit {machine}` makes a file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_as_it_is_without_control_characters() {
        assert_eq!(
            printable(b"[Exec]\n\tA=\x1b[2Jb\r\n\xff"),
            "[Exec]\n\tA=[2Jb\n\u{fffd}"
        );
    }
}
