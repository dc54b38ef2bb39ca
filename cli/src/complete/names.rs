//! Names of machines and images among the candidates.

use std::ffi::OsStr;

use clap::{Arg, Command, Parser};
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use nsrun_runtime::Dirs;
use nsrun_runtime::image::{self, ListOptions};
use nsrun_runtime::machine;

use crate::args::Cli;

/// What the first operand of a verb is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// A machine that runs.
    Machine,
    /// An image.
    Image,
    /// An image, or a directory.
    Tree,
    /// A machine or image and a colon, or a path. Both operands are such.
    Place,
}

/// The verbs of all programs whose first operand is not a machine: those of one name are about the
/// same.
const VERBS: [(Named, &[&str]); 3] = [
    (
        Named::Image,
        &[
            "cat",
            "clone",
            "config",
            "disable",
            "edit",
            "enable",
            "export",
            "export-tar",
            "image-status",
            "read-only",
            "remove",
            "rename",
            "set-limit",
            "show-image",
        ],
    ),
    (Named::Tree, &["boot", "run", "start"]),
    (Named::Place, &["cp"]),
];

/// Adds completers to the first operand of verbs, and to options that name a machine or image.
pub(super) fn complete(mut command: Command) -> Command {
    for verb in command.get_subcommands_mut() {
        let listed = VERBS
            .iter()
            .find(|(_, verbs)| verbs.contains(&verb.get_name()));
        let named = listed.map_or(Named::Machine, |(named, _)| *named);
        let own = std::mem::take(verb);
        *verb = own.mut_args(|arg| first_operand(arg, named));
    }
    if command.get_name() == "systemd-nspawn" {
        return command.mut_args(|arg| match arg.get_id().as_str() {
            "machine" => arg.add(completer(Named::Image)),
            "directory" | "template" => arg.add(ArgValueCompleter::new(PathCompleter::dir())),
            _ => arg,
        });
    }
    command
}

fn first_operand(arg: Arg, named: Named) -> Arg {
    let names = arg.get_value_names().unwrap_or_default();
    let is_name = names.first().is_some_and(|name| name.contains("NAME"));
    match arg.get_index() {
        Some(2) if named == Named::Place => arg.add(completer(named)),
        Some(1) if is_name || named != Named::Machine => arg.add(completer(named)),
        _ => arg,
    }
}

fn completer(named: Named) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let mut found: Vec<CompletionCandidate> = names(named, &dirs())
            .into_iter()
            .filter(|name| typed.to_str().is_some_and(|typed| name.starts_with(typed)))
            .map(CompletionCandidate::new)
            .collect();
        match named {
            Named::Tree => found.extend(PathCompleter::dir().complete(typed)),
            Named::Place => found.extend(PathCompleter::any().complete(typed)),
            Named::Machine | Named::Image => {}
        }
        found
    })
}

/// Where images and state are; options that say otherwise are not looked at, variables are.
fn dirs() -> Dirs {
    match Cli::try_parse_from(["nsrun", "list"]) {
        Ok(cli) => cli.globals.resolve().dirs,
        Err(_) => Dirs::default(),
    }
}

/// None if they cannot be seen, as by users other than root: a shell has no use for messages.
fn names(named: Named, dirs: &Dirs) -> Vec<String> {
    match named {
        Named::Machine => {
            let listing = machine::list(dirs).unwrap_or_default();
            let names = listing.machines.iter().map(|machine| &machine.name);
            names.map(ToString::to_string).collect()
        }
        Named::Image | Named::Tree => {
            let images = image::list(dirs, ListOptions::default()).unwrap_or_default();
            images.iter().map(|image| image.name.to_string()).collect()
        }
        Named::Place => {
            let mut all = names(Named::Machine, dirs);
            all.extend(names(Named::Image, dirs));
            all.sort();
            all.dedup();
            all.iter().map(|name| format!("{name}:")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::compat::{self, Peer};

    fn built(mut command: Command) -> Command {
        command.build();
        command
    }

    #[test]
    fn every_verb_is_one_of_a_program_and_comes_once() {
        let programs = [
            built(Cli::command()),
            built(compat::grammar(Peer::Machinectl)),
        ];
        let mut seen = Vec::new();
        for verb in VERBS.iter().flat_map(|(_, verbs)| *verbs) {
            assert!(!seen.contains(verb), "{verb} comes twice");
            seen.push(verb);
            let known = programs
                .iter()
                .any(|program| program.find_subcommand(verb).is_some());
            assert!(known, "{verb}");
        }
    }

    #[test]
    fn images_are_found_where_they_are() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("web")).unwrap();
        std::fs::create_dir(root.path().join(".hidden")).unwrap();
        let dirs = Dirs::new(Some(root.path()), Some(root.path()));
        assert_eq!(names(Named::Image, &dirs), ["web"]);
        assert_eq!(names(Named::Place, &dirs), ["web:"]);
        assert_eq!(names(Named::Machine, &dirs), [""; 0]);
    }
}
