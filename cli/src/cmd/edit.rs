//! `nsrun edit`: changes a settings file, and lets nothing wrong take its place.

use std::io;
use std::path::Path;
use std::process::Command;

use nsrun_runtime::settings::{Draft, SearchPath};
use nsrun_runtime::{Error, Kind, MachineName, Result};

use crate::globals::Globals;
use crate::report;

/// Variables that name the editor, as for systemctl(1), then editors that may be there.
const VARIABLES: [&str; 3] = ["SYSTEMD_EDITOR", "EDITOR", "VISUAL"];
const EDITORS: [&str; 4] = ["editor", "nano", "vim", "vi"];

#[derive(clap::Args, Debug)]
pub struct EditArgs {
    /// The machine's name
    #[arg(value_name = "NAME")]
    machine: MachineName,

    /// Edit an addition to the machine's file instead, NAME.conf in its directory of drop-ins
    #[arg(long, value_name = "NAME")]
    drop_in: Option<String>,

    /// Take the new content from standard input instead of an editor
    #[arg(long)]
    stdin: bool,
}

/// Has a copy edited, checks it, and puts it into the file's place.
pub fn run(args: &EditArgs, globals: &Globals) -> Result<()> {
    let search = SearchPath::of(&globals.dirs, &args.machine);
    let draft = match &args.drop_in {
        Some(name) => Draft::open_drop_in(&search, &args.machine, name)?,
        None => Draft::open(&search, &args.machine)?,
    };
    let note = |text: String| {
        if !globals.quiet {
            report::note(text);
        }
    };
    let kept = format!(
        "the draft is kept in {}; `nsrun edit {}` goes on with it",
        draft.path().display(),
        args.machine
    );
    if draft.is_resumed() && !args.stdin {
        let path = draft.path().display();
        note(format!(
            "Going on with the draft {path}; remove it to begin anew."
        ));
    }
    let changed = if args.stdin {
        draft.write_from(&mut io::stdin())
    } else {
        edit(draft.path())
    };
    if let Err(error) = changed {
        return match draft.check() {
            Ok(None) => draft.discard().and(Err(error)),
            _ => Err(error.hint(&kept)),
        };
    }
    let Some(content) = draft.check().map_err(|error| error.hint(&kept))? else {
        note(format!("{} is as it was.", draft.target().display()));
        return draft.discard();
    };
    content.errors.iter().skip(1).for_each(report::note);
    content.check().map_err(|error| error.hint(&kept))?;
    content
        .warnings
        .iter()
        .for_each(|problem| note(problem.to_string()));
    let path = draft.save()?;
    note(format!(
        "{} is saved; it counts from the machine's next start.",
        path.display()
    ));
    Ok(())
}

/// Runs the user's editor to its end.
fn edit(path: &Path) -> Result<()> {
    let chosen = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
    if let Some(line) = chosen.into_iter().find(|line| !line.trim().is_empty()) {
        return match run_editor(&line, path) {
            Err(error) => Err(cannot_edit(&line, path).because(error)),
            Ok(result) => result,
        };
    }
    for editor in EDITORS {
        match run_editor(editor, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_edit(editor, path).because(error)),
            Ok(result) => return result,
        }
    }
    let what = format!("no editor among {}", EDITORS.join(", "));
    Err(cannot_edit("an editor", path).because(what))
}

/// The outer error is that of starting it.
fn run_editor(line: &str, path: &Path) -> io::Result<Result<()>> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let status = Command::new(program).args(words).arg(path).status()?;
    if status.success() {
        return Ok(Ok(()));
    }
    let what = format!("it ended with {status}");
    Ok(Err(cannot_edit(line, path).because(what)))
}

fn cannot_edit(editor: &str, path: &Path) -> Error {
    let editor = editor.escape_debug();
    let what = format!("cannot edit {} with {editor}", path.display());
    Error::new(Kind::Failed, what)
}
