//! From options of systemd-nspawn to a command line of nsrun. Pure.

use super::options::{Becomes, Opt, Takes};
use crate::compat::step::Refusal;

/// What every such command line begins with: the peer's defaults, and its way to merge settings.
const BEGIN: [&str; 3] = [
    "--defaults=nspawn",
    "--settings-merge=group",
    "--allow-unsafe-root",
];

/// What was asked for.
#[derive(Debug, Default)]
struct Asked<'a> {
    directory: Option<&'a str>,
    template: Option<&'a str>,
    image: Option<&'a str>,
    machine: Option<&'a str>,
    chdir: Option<&'a str>,
    register: Option<&'a str>,
    ephemeral: bool,
    boot: bool,
    second: bool,
    cleanup: bool,
    private: bool,
    veth: bool,
    /// Options of nsrun's, in the order in which they were given.
    passed: Vec<String>,
}

/// The command line that nsrun is given; nothing if there is nothing to do.
pub(super) fn words(
    given: &[(&Opt, Option<String>)],
    operands: &[String],
) -> Result<Option<Vec<String>>, Refusal> {
    let mut asked = Asked::default();
    for (option, value) in given {
        asked.take(option, value.as_deref().unwrap_or_default())?;
    }
    if asked.cleanup {
        return Ok(None);
    }
    if asked.boot && asked.second {
        return Err(Refusal::Unsupported(
            "--boot and --as-pid2 cannot be combined".to_owned(),
        ));
    }
    asked.finish(operands).map(Some)
}

impl<'a> Asked<'a> {
    fn take(&mut self, option: &Opt, value: &'a str) -> Result<(), Refusal> {
        let name = option.long;
        match option.becomes {
            Becomes::Nothing => {}
            Becomes::Words(words) => words.iter().for_each(|word| self.pass(option, word)),
            Becomes::Same if option.takes == Takes::Nothing => {
                self.pass(option, &format!("--{name}"));
            }
            Becomes::Same => self.pass(option, &format!("--{name}={value}")),
            Becomes::Named(other) => self.pass(option, &format!("--{other}={value}")),
            Becomes::Together => self.together(option, value)?,
        }
        Ok(())
    }

    /// Of an option that nsrun takes once, the last one counts, under whichever name it was given.
    fn pass(&mut self, option: &Opt, word: &str) {
        let stem = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
        if !matches!(option.takes, Takes::Each(_)) {
            self.passed.retain(|other| stem(other) != stem(word));
        }
        self.passed.push(word.to_owned());
    }

    fn together(&mut self, option: &Opt, value: &'a str) -> Result<(), Refusal> {
        match option.long {
            "directory" => self.directory = Some(value),
            "template" => self.template = Some(value),
            "image" => self.image = Some(value),
            "machine" => self.machine = Some(value),
            "chdir" => self.chdir = Some(value),
            "register" => self.register = Some(value),
            "ephemeral" => self.ephemeral = true,
            "boot" => self.boot = true,
            "as-pid2" => self.second = true,
            "cleanup" => self.cleanup = true,
            "private-network" => self.private = true,
            "network-veth" => self.veth = true,
            "user" if value.is_empty() => {
                return Err(Refusal::of("--user", "machines belong to root of the host"));
            }
            "user" => self.pass(option, &format!("--user={value}")),
            // To try is no promise.
            "link-journal" if matches!(value, "auto" | "try-guest" | "try-host") => {}
            "link-journal" if truth(value).is_some() => {}
            "link-journal" => {
                let why = "the machine's journal is shown by `nsrun logs`";
                return Err(Refusal::of(&format!("--link-journal={value}"), why));
            }
            "private-users" => self.pass(option, &format!("--private-users={}", ids(value))),
            "private-users-ownership" => {
                let mode = boolean(value, "auto", "off");
                self.pass(option, &format!("--private-users-ownership={mode}"));
            }
            _ => {
                let mode = boolean(value, "yes", "no");
                self.pass(option, &format!("--{}={mode}", option.long));
            }
        }
        Ok(())
    }

    fn finish(mut self, operands: &[String]) -> Result<Vec<String>, Refusal> {
        let verb = if self.boot { "boot" } else { "run" };
        let mut words: Vec<String> = [verb].into_iter().chain(BEGIN).map(str::to_owned).collect();
        let register = boolean(self.register.unwrap_or("auto"), "yes", "no");
        words.push(format!("--register={register}"));
        let (root, mut about_root) = self.root()?;
        words.append(&mut about_root);
        if self.veth || self.private {
            let network = if self.veth { "veth" } else { "private" };
            words.push(format!("--network={network}"));
        }
        if self.ephemeral {
            // Theirs is a copy on the disk.
            words.push("--ephemeral=disk".to_owned());
        }
        match (self.chdir, self.boot) {
            (Some(_), true) => {
                let why = "the system that is booted begins at its root";
                return Err(Refusal::of("--chdir together with --boot", why));
            }
            (Some(dir), false) => words.push(format!("--workdir={dir}")),
            (None, _) => {}
        }
        if !self.boot && !self.second {
            words.push("--pid1".to_owned());
        }
        let passed = |word: &str| self.passed.iter().any(|other| other == word);
        if passed("--console=pipe") && !passed("--quiet") {
            // Theirs says nothing on streams that it hands over.
            words.push("--quiet".to_owned());
        }
        words.append(&mut self.passed);
        words.push(root);
        if !operands.is_empty() {
            words.push("--".to_owned());
            words.extend_from_slice(operands);
        }
        Ok(words)
    }

    /// The word that names what is started, and options that belong to it.
    fn root(&self) -> Result<(String, Vec<String>), Refusal> {
        let mut options = Vec::new();
        let name = self.machine.map(|name| format!("--machine={name}"));
        if let Some(image) = self.image {
            if self.directory.is_some() || self.template.is_some() {
                let why = "a machine has one image";
                return Err(Refusal::of("--image together with another root", why));
            }
            options.extend(name);
            // Theirs asks nobody whether the kernel may parse it.
            options.push("--trust-image".to_owned());
            return Ok((format!("--image={image}"), options));
        }
        let root = match (self.directory, self.template) {
            (Some(_), Some(_)) => {
                let why = "a directory is made of a template by the name of an image alone";
                return Err(Refusal::of("--template together with --directory", why));
            }
            // A copy of it that goes with the machine.
            (None, Some(template)) if self.ephemeral => path(template),
            (None, Some(template)) => {
                let machine = self.machine.ok_or_else(|| {
                    Refusal::Unsupported("--template needs --directory or --machine".to_owned())
                })?;
                options.push(format!("--template={template}"));
                machine.to_owned()
            }
            (Some(directory), None) => path(directory),
            (None, None) => match self.machine {
                Some(machine) => machine.to_owned(),
                None => "./".to_owned(),
            },
        };
        options.extend(name);
        Ok((root, options))
    }
}

/// As nsrun tells directories from images: by a slash.
fn path(text: &str) -> String {
    if text.contains('/') {
        text.to_owned()
    } else {
        format!("./{text}")
    }
}

/// `--private-users=`. Their `yes` takes the ids that the tree has; a pick does so too, and looks for
/// others if it has none of its own.
fn ids(value: &str) -> String {
    match value {
        "identity" => "0:65536".to_owned(),
        // What is all digits is an id there, never a boolean.
        _ if value.bytes().all(|byte| byte.is_ascii_digit()) => value.to_owned(),
        _ => boolean(value, "pick", "no"),
    }
}

fn boolean(value: &str, yes: &str, no: &str) -> String {
    match truth(value) {
        Some(true) => yes.to_owned(),
        Some(false) => no.to_owned(),
        None => value.to_owned(),
    }
}

/// As systemd reads booleans.
fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
