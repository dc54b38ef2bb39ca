//! Settings files at the start of a machine.

use nsrun_runtime::Result;
use nsrun_runtime::plan::{Mode, Request};
use nsrun_runtime::settings::{Line, SearchPath, Use, collect};

use crate::cmd::machine_args::MachineArgs;
use crate::globals::Globals;
use crate::report;
use crate::said::Said;

/// Puts into the request what files say and options do not, and tells what has no effect. The lines
/// are given back.
pub fn apply(
    args: &Said<MachineArgs>,
    request: &mut Request,
    globals: &Globals,
) -> Result<Vec<Line>> {
    let choice = args.settings.choice();
    if choice.usage == Use::No {
        return Ok(Vec::new());
    }
    let name = args.name(&request.root)?;
    let found = SearchPath::beside(&request.root).find(name.as_str())?;
    let warn = |text: &dyn std::fmt::Display| {
        if !globals.quiet {
            report::note(format_args!("nsrun: warning: {text}"));
        }
    };
    found.skipped.iter().for_each(|why| warn(why));
    let mut all = collect(&found, choice.usage);
    let said = said(args, request);
    let result = choice.apply(&mut all, &said, request);
    all.warnings.iter().for_each(|problem| warn(problem));
    result.map(|()| all.lines)
}

/// What the command line says: options, and what verb and arguments mean.
fn said(args: &Said<MachineArgs>, request: &Request) -> Vec<String> {
    let mut names = args.names().to_vec();
    // What takes an option back says it, too.
    let taken_back = args.names().iter();
    names.extend(taken_back.filter_map(|name| Some(name.strip_prefix("no-")?.to_owned())));
    if let Mode::Run { command, as_pid1 } = &request.mode
        && args.defaults.leave_open(command, *as_pid1)
    {
        // systemd-nspawn has no verb: nothing says what runs, and as which process.
        names.retain(|name| name != "pid1");
        names.extend(workdir(request));
        return names;
    }
    let mut add = |name: &str, given: bool| {
        if given {
            names.push(name.to_owned());
        }
    };
    match &request.mode {
        Mode::Boot { parameters, .. } => {
            add("boot", true);
            add("pid1", true);
            add("parameters", !parameters.is_empty());
        }
        Mode::Run { command, as_pid1 } => {
            add("boot", true);
            add("command", !command.is_empty());
            add("pid1", *as_pid1);
        }
    }
    add(
        "link-journal",
        args.names().iter().any(|name| name == "journal"),
    );
    names.extend(workdir(request));
    names
}

fn workdir(request: &Request) -> Option<String> {
    request.workdir.as_ref().map(|_| "workdir".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use nsrun_runtime::settings::KEYS;

    /// Names that stand for what verbs and arguments say.
    const NO_OPTIONS: [&str; 3] = ["boot", "parameters", "command"];

    #[test]
    fn every_key_that_is_acted_upon_names_options_that_exist() {
        let mut command = crate::args::Cli::command();
        command.build();
        let verbs = ["boot", "run"].map(|verb| command.find_subcommand(verb));
        let arguments = verbs
            .into_iter()
            .flatten()
            .flat_map(clap::Command::get_arguments);
        let options: Vec<String> = arguments
            .map(|arg| arg.get_id().as_str().replace('_', "-"))
            .collect();
        for key in KEYS.iter().filter(|key| key.ignored.is_none()) {
            for name in key.options {
                let known =
                    options.iter().any(|option| option == name) || NO_OPTIONS.contains(name);
                assert!(known, "{key:?}: --{name}");
            }
        }
    }
}
