//! Verbs for machines.

use super::args::{Options, Paths, Verb};
use super::{Refusal, Step, Subject, Translation, each, words};
use crate::compat::step::Choice;

/// What systemd's unit for machines starts them with, whatever the machine.
const TEMPLATE: [&str; 9] = [
    "--quiet",
    "--defaults=nspawn",
    "--settings-merge=group",
    "--settings=override",
    "--network=veth",
    "--private-users=pick",
    "--private-users-ownership=auto",
    "--allow-unsafe-root",
    "--register=auto",
];

/// How long that unit lets a machine take to stop.
const STOP: &str = "--timeout=120";

/// What a verb for machines comes to.
pub(super) fn translate(verb: &Verb, options: &Options) -> Result<Translation, Refusal> {
    let machines = |names: &[String], failure, line: &[&str]| {
        each(names, failure, Subject::Machine, |name| {
            words(&[line, &[name]].concat())
        })
    };
    let quiet = |verb| ["--quiet", verb];
    let kill = "Could not kill machine";
    Ok(match verb {
        Verb::List | Verb::Image(_) | Verb::Transfer(_) => alone(Step::Machines(options.style()?)),
        Verb::Status(names) => status(&names.names, options),
        Verb::Show(names) if names.names.is_empty() => alone(Step::Pool {
            choice: Some(options.choice()),
        }),
        Verb::Show(names) => show(&names.names, options),
        Verb::Start(names) => start(&names.names, options)?,
        Verb::Login(names) => login(&names.names, options)?,
        Verb::Shell { words } => shell(words, options)?,
        Verb::Poweroff(names) => machines(&names.names, kill, &quiet("poweroff")),
        Verb::Stop(names) => machines(&names.names, kill, &["--quiet", "stop", STOP]),
        Verb::Reboot(names) => machines(&names.names, kill, &quiet("reboot")),
        Verb::Terminate(names) => machines(
            &names.names,
            "Could not terminate machine",
            &quiet("terminate"),
        ),
        Verb::Kill(names) => {
            let (whom, signal) = options.kill();
            machines(&names.names, kill, &["kill", &whom, &signal])
        }
        Verb::Pause(names) => machines(&names.names, "Could not pause machine", &["pause"]),
        Verb::Resume(names) => machines(&names.names, "Could not resume machine", &["resume"]),
        Verb::Enable(names) => enable(&names.names, options),
        Verb::Disable(names) => disable(&names.names, options),
        Verb::Bind(paths) => {
            let flags = [
                (options.transfer.read_only, "--read-only"),
                (options.mkdir, "--mkdir"),
            ];
            across("bind", paths, &flags, "Failed to bind mount")
        }
        Verb::CopyTo(paths) => {
            let flags = [(options.transfer.force, "--force")];
            across("copy-to", paths, &flags, "Failed to copy")
        }
        Verb::CopyFrom(paths) => {
            let flags = [(options.transfer.force, "--force")];
            across("copy-from", paths, &flags, "Failed to copy")
        }
    })
}

/// What machinectl says first if it could not.
const SWITCHING: &str = "Failed to enable or disable";

/// Has machines start with the host, or not.
fn disable(names: &[String], options: &Options) -> Translation {
    let mut line = words(&["--quiet", "disable"]);
    line.extend(options.now.then(|| "--now".to_owned()));
    let whole = |name: &str| [&line[..], &[name.to_owned()]].concat();
    each(names, SWITCHING, Subject::Image, whole)
}

/// What goes from the host into a machine, or out of it.
fn across(verb: &str, paths: &Paths, flags: &[(bool, &str)], failure: &'static str) -> Translation {
    let given = flags.iter().filter(|(given, _)| *given);
    let flags: Vec<&str> = given.map(|(_, flag)| *flag).collect();
    let operands = [&*paths.name, &*paths.source];
    let mut line = words(&[&["--quiet", verb], &flags[..], &["--"], &operands].concat());
    line.extend(paths.target.clone());
    let name = std::slice::from_ref(&paths.name);
    each(name, failure, Subject::Machine, |_| line.clone())
}

fn alone(step: Step) -> Translation {
    Translation {
        steps: vec![step],
        failure: "",
        subject: Subject::Machine,
    }
}

impl Options {
    /// Which properties are wanted, and how.
    pub(super) fn choice(&self) -> Choice {
        let names = self.property.iter().chain(&self.values_of);
        Choice {
            names: names.cloned().collect(),
            bare: self.value || !self.values_of.is_empty(),
        }
    }

    fn kill(&self) -> (String, String) {
        let whom = self.kill_whom.as_deref().unwrap_or("all");
        let signal = self.signal.as_deref().unwrap_or("SIGTERM");
        (format!("--whom={whom}"), format!("--signal={signal}"))
    }
}

/// Blocks for each, with an empty line between them.
fn apart(translation: Translation) -> Translation {
    let mut steps = Vec::new();
    for (number, step) in translation.steps.into_iter().enumerate() {
        if number > 0 {
            steps.push(Step::Say(String::new()));
        }
        steps.push(step);
    }
    Translation {
        steps,
        ..translation
    }
}

fn status(names: &[String], options: &Options) -> Translation {
    let mut line = vec!["status".to_owned()];
    line.extend(options.full.then(|| "--full".to_owned()));
    line.extend(options.lines.as_ref().map(|n| format!("--lines={n}")));
    apart(each(
        names,
        "Could not get path to machine",
        Subject::Machine,
        |name| [&line[..], &[name.to_owned()]].concat(),
    ))
}

fn show(names: &[String], options: &Options) -> Translation {
    let choice = options.choice();
    let mut line = words(&["show", "--lenient"]);
    line.extend(choice.bare.then(|| "--value".to_owned()));
    let properties = choice.names.iter().map(|name| format!("--property={name}"));
    line.extend(properties);
    apart(each(
        names,
        "Could not get path to machine",
        Subject::Machine,
        |name| [&line[..], &[name.to_owned()]].concat(),
    ))
}

fn start(names: &[String], options: &Options) -> Result<Translation, Refusal> {
    let runner = options.runner.as_deref();
    if options.vmspawn || runner.is_some_and(|runner| runner != "nspawn") {
        return Err(Refusal::of("--runner=vmspawn", "it starts containers only"));
    }
    let step = |name: &String| Step::Start {
        name: name.clone(),
        words: words(&[&["start"], &TEMPLATE[..], &[name]].concat()),
    };
    Ok(Translation {
        steps: names.iter().map(step).collect(),
        failure: "",
        subject: Subject::Image,
    })
}

/// The machine will start as that `start` starts it.
fn enable(names: &[String], options: &Options) -> Translation {
    each(names, SWITCHING, Subject::Image, |name| {
        let mut line = words(&["--quiet", "enable"]);
        line.extend(options.now.then(|| "--now".to_owned()));
        [line, words(&[name, "--"]), words(&TEMPLATE)].concat()
    })
}

/// The host itself, which is what a session without a name is for there.
fn of_the_host(verb: &str) -> Refusal {
    Refusal::of(
        &format!("{verb} without a machine"),
        "it opens sessions in machines alone",
    )
}

fn login(names: &[String], options: &Options) -> Result<Translation, Refusal> {
    let [name] = names else {
        return Err(match names {
            [] => of_the_host("login"),
            _ => Refusal::Unsupported("login takes one machine".to_owned()),
        });
    };
    if name == ".host" {
        return Err(of_the_host("login"));
    }
    if options.uid.is_some() || !options.setenv.is_empty() {
        let what = "login takes neither --uid= nor --setenv=".to_owned();
        return Err(Refusal::Unsupported(what));
    }
    Ok(each(
        std::slice::from_ref(name),
        "Failed to get login PTY",
        Subject::Machine,
        |name| words(&["login", name]),
    ))
}

fn shell(given: &[String], options: &Options) -> Result<Translation, Refusal> {
    let (target, command) = given.split_first().ok_or_else(|| of_the_host("shell"))?;
    let name = target.rsplit_once('@').map_or(&**target, |(_, name)| name);
    if matches!(name, "" | ".host") {
        return Err(of_the_host("shell"));
    }
    let mut line = words(&["shell"]);
    line.extend(options.setenv.iter().map(|text| format!("--setenv={text}")));
    // A user before the `@` wins there.
    let user = options.uid.as_ref().filter(|_| !target.contains('@'));
    line.extend(user.map(|user| format!("--user={user}")));
    line.push(target.clone());
    line.extend_from_slice(command);
    Ok(Translation {
        steps: vec![Step::Session {
            name: name.to_owned(),
            words: line,
        }],
        failure: "Failed to get shell PTY",
        subject: Subject::Machine,
    })
}
