//! A plan in words, the same for the same request on the same host.

use super::tuning::Tuning;
use super::{Changes, Console, FileChange, Network, Plan, Register, Shown};
use crate::ownership::Ownership;
use crate::range::PrivateUsers;
use crate::seccomp::Restrictions;

impl Plan {
    /// Every decision as a name and a value. What is made up anew for each launch is called
    /// `random`, so that two explanations can be compared.
    #[must_use]
    pub fn explain(&self) -> Vec<(&'static str, String)> {
        let random = |id: &String, made_up| if made_up { "random".into() } else { id.clone() };
        let mut lines = vec![
            ("machine", self.machine.to_string()),
            ("image", self.root.display().to_string()),
            ("program", self.program.clone()),
            ("arguments", words(&self.argv)),
            ("process", self.process().to_owned()),
            ("users", users(self.users)),
            ("owners", owners(self.ownership).to_owned()),
            ("network", self.network_words()),
            ("console", self.console_words().to_owned()),
            ("hostname", self.hostname.clone()),
            ("machine id", random(&self.uuid, self.uuid_is_random)),
            ("working directory", self.workdir.clone()),
            (
                "user",
                self.account
                    .as_ref()
                    .map_or("root".into(), |a| a.name.clone()),
            ),
            ("capabilities", self.capabilities.to_string()),
            ("no new privileges", yes_no(self.no_new_privileges)),
            ("changes", self.changes_words().to_owned()),
            ("read-only", yes_no(self.read_only)),
            ("nesting", yes_no(self.nesting)),
            ("kernel command line", self.kernel_cmdline.clone()),
            ("resolv.conf", changed(self.resolv_conf.as_ref())),
            ("time zone", changed(self.timezone.as_ref())),
            ("devices", devices(self)),
        ];
        let journal = self.journal.iter();
        lines.extend(journal.map(|journal| ("journal", journal.to_string())));
        let links = self.links.others.iter();
        lines.extend(links.map(|link| ("link", link.to_string())));
        lines.extend(self.links.addressing.explain());
        let ports = self.links.ports.iter();
        lines.extend(ports.map(|port| ("port", port.to_string())));
        let ports = self.links.host_ports.iter();
        lines.extend(ports.map(|port| ("port of the host", port.to_string())));
        let namespace = self.network_namespace.iter();
        lines.extend(namespace.map(|path| ("network namespace", path.display().to_string())));
        let pivot = self.pivot_root.iter();
        lines.extend(pivot.map(|pivot| ("root in the image", pivot.to_string())));
        lines.extend(restrictions(&self.restrictions));
        lines.extend(tuning(&self.tuning));
        lines.extend(self.place());
        let credentials = self.credentials.iter();
        lines.extend(credentials.map(|one| ("credential", format!("{one:?}"))));
        lines.extend(self.mounts.iter().map(|planned| {
            let kind = if planned.mount.read_only {
                "mount (read-only)"
            } else {
                "mount"
            };
            (kind, planned.mount.to_string())
        }));
        lines.extend(self.env.iter().map(|(key, value)| match key.as_str() {
            "container_uuid" => (
                "environment",
                format!("{key}={}", random(value, self.uuid_is_random)),
            ),
            _ => ("environment", format!("{key}={value}")),
        }));
        lines
    }

    fn place(&self) -> Vec<(&'static str, String)> {
        let slice = self
            .scope
            .slice
            .iter()
            .map(|slice| ("slice", slice.to_string()));
        let properties = self.scope.properties.iter();
        let mut lines: Vec<_> = slice.collect();
        lines.extend(properties.map(|one| ("property", one.to_string())));
        match self.register {
            Register::No => {}
            Register::Auto => lines.push(("machined", "is told, if there is one".to_owned())),
            Register::Yes => lines.push(("machined", "is told".to_owned())),
        }
        lines
    }

    fn changes_words(&self) -> &'static str {
        match self.changes {
            _ if self.empty_root => "in memory, the root is empty",
            Changes::Kept => "in the image",
            Changes::InMemory => "in memory, dropped at the end",
            Changes::OnDisk => "on disk, dropped at the end",
        }
    }

    fn process(&self) -> &'static str {
        match (self.boots, self.stub) {
            (true, _) => "boots as PID 1",
            (false, true) => "PID 2 of a small init",
            (false, false) => "PID 1",
        }
    }

    fn network_words(&self) -> String {
        match (self.network, &self.links.host0) {
            (Network::Host, _) => "the host's".into(),
            (_, Some(uplink)) => format!("its own, with host0 linked to {uplink}"),
            (Network::Joined, _) => "of a namespace that is there".into(),
            _ if !self.links.is_empty() => "its own".into(),
            _ => "its own, loopback only".into(),
        }
    }

    fn console_words(&self) -> &'static str {
        match self.console {
            Console::Terminal(Shown::AsItGoes) => "a terminal of its own",
            Console::Terminal(Shown::Interactive) => "a terminal of its own, interactive",
            Console::Terminal(Shown::ReadOnly) => "a terminal of its own, shown without input",
            Console::Terminal(Shown::Not) => "a terminal of its own, not shown",
            Console::Inherited => "the caller's streams",
        }
    }
}

/// How the payload's filter differs from that of others.
fn restrictions(restrictions: &Restrictions) -> Vec<(&'static str, String)> {
    let calls = restrictions.calls.iter();
    let calls = calls.map(|rule| ("system calls", rule.to_string()));
    let families = restrictions.families.iter();
    let families = families.map(|rule| ("address families", rule.to_string()));
    let sync = restrictions.suppress_sync;
    let sync = sync.then(|| ("suppress sync", yes_no(true)));
    calls.chain(families).chain(sync).collect()
}

/// What was asked for of the payload's processes; limits are in the script.
fn tuning(tuning: &Tuning) -> Vec<(&'static str, String)> {
    let lines = [
        ("OOM score", tuning.oom_score.map(|score| score.to_string())),
        ("processors", tuning.cpus.as_ref().map(ToString::to_string)),
        (
            "personality",
            tuning.personality.map(|p| format!("{p:?}").to_lowercase()),
        ),
        (
            "stop signal",
            tuning.stop_signal.map(|signal| signal.to_string()),
        ),
    ];
    let asked = |(name, value): (&'static str, Option<String>)| Some((name, value?));
    lines.into_iter().filter_map(asked).collect()
}

fn changed(file: Option<&FileChange>) -> String {
    file.map_or_else(|| "as it is".into(), ToString::to_string)
}

fn users(users: PrivateUsers) -> String {
    match users {
        PrivateUsers::No => "the host's".into(),
        PrivateUsers::Pick => "a free range of 65536".into(),
        PrivateUsers::Fixed(range) => format!("{} from {}", range.len(), range.base()),
    }
}

fn owners(ownership: Ownership) -> &'static str {
    match ownership {
        Ownership::Auto => "as on the disk if they are the payload's, else mapped",
        Ownership::Map => "mapped",
        Ownership::Chown => "changed on the disk",
        Ownership::Off => "as on the disk",
    }
}

fn devices(plan: &Plan) -> String {
    let names = plan
        .devices
        .iter()
        .map(|d| d.to_string_lossy().into_owned());
    let all: Vec<String> = names.collect();
    if all.is_empty() {
        "the standard ones".into()
    } else {
        format!("the standard ones, {}", all.join(", "))
    }
}

/// Words in one line, quoted so that they can be told apart.
fn words(all: &[String]) -> String {
    let quoted: Vec<String> = all.iter().map(|word| format!("{word:?}")).collect();
    quoted.join(" ")
}

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.into()
}
