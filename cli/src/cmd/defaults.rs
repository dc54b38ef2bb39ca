//! What holds where neither options nor settings files say anything.

use clap::ValueEnum;
use nsrun_runtime::plan::{ConsoleMode, Mode, Network, Request};
use nsrun_runtime::range::PrivateUsers;

/// A login shell, of the best kind that the image has, at home.
const SHELL: [&str; 3] = [
    "/bin/sh",
    "-c",
    "cd; command -v bash >/dev/null && exec bash -l; exec sh -l",
];

/// Whose defaults they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Defaults {
    /// Everything is the machine's own.
    Nsrun,
    /// Ids and network are the host's, and a command has a terminal.
    Nspawn,
}

impl Defaults {
    /// The ids of a payload.
    pub(super) fn users(self) -> PrivateUsers {
        match self {
            Self::Nsrun => PrivateUsers::Pick,
            Self::Nspawn => PrivateUsers::No,
        }
    }

    /// Whether such a command line leaves it to settings files what runs.
    pub fn leave_open(self, command: &[String], as_pid1: bool) -> bool {
        self == Self::Nspawn && command.is_empty() && as_pid1
    }

    /// Fills in what the plan would otherwise choose.
    pub(super) fn fill_in(self, request: &mut Request) {
        if let Mode::Run { command, .. } = &mut request.mode
            && command.is_empty()
        {
            command.extend(SHELL.map(str::to_owned));
        }
        if self == Self::Nspawn {
            if !request.links.asks_for_links() {
                request.network.get_or_insert(Network::Host);
            }
            request.notify_ready.get_or_insert(false);
            let console = match request.interactive {
                true => ConsoleMode::Interactive,
                false => ConsoleMode::ReadOnly,
            };
            request.console.get_or_insert(console);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(defaults: Defaults, command: &[&str]) -> Request {
        let mode = Mode::Run {
            command: command.iter().map(ToString::to_string).collect(),
            as_pid1: true,
        };
        let mut request = Request::new("web".parse().unwrap(), "/image".into(), mode);
        defaults.fill_in(&mut request);
        request
    }

    #[test]
    fn a_command_that_nobody_names_is_a_shell() {
        for defaults in [Defaults::Nsrun, Defaults::Nspawn] {
            let Mode::Run { command, .. } = filled(defaults, &[]).mode else {
                panic!("it boots");
            };
            assert_eq!(command, SHELL);
            let Mode::Run { command, .. } = filled(defaults, &["true"]).mode else {
                panic!("it boots");
            };
            assert_eq!(command, ["true"]);
        }
    }

    #[test]
    fn what_was_said_stays() {
        let own = filled(Defaults::Nsrun, &[]);
        assert_eq!((own.network, own.console), (None, None));
        let theirs = filled(Defaults::Nspawn, &[]);
        assert_eq!(theirs.network, Some(Network::Host));
        assert_eq!(theirs.console, Some(ConsoleMode::ReadOnly));
        assert_eq!(theirs.notify_ready, Some(false));
        let mut said = own;
        said.network = Some(Network::Veth);
        said.console = Some(ConsoleMode::Pipe);
        Defaults::Nspawn.fill_in(&mut said);
        assert_eq!(said.network, Some(Network::Veth));
        said.network = None;
        said.links.zone = Some("lan".parse().unwrap());
        Defaults::Nspawn.fill_in(&mut said);
        assert_eq!(said.network, None);
        assert_eq!(said.console, Some(ConsoleMode::Pipe));
    }

    #[test]
    fn only_systemd_nspawn_lets_files_say_what_runs() {
        let command = ["true".to_owned()];
        assert!(Defaults::Nspawn.leave_open(&[], true));
        assert!(!Defaults::Nspawn.leave_open(&[], false));
        assert!(!Defaults::Nspawn.leave_open(&command, true));
        assert!(!Defaults::Nsrun.leave_open(&[], true));
    }
}
