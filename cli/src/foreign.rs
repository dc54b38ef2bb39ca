//! Options of systemd-nspawn that nsrun has not: what to use in their place, or why there is none.

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// nsrun says it otherwise.
    Instead(&'static str),
    /// nsrun does not do that.
    Not(&'static str),
}

use Answer::{Instead, Not};

/// Spellings, and what to say. `docs/options.md` has the same in more words.
const TABLE: &[(&[&str], Answer)] = &[
    (
        &["--directory", "-D"],
        Instead("the operand: a word with a slash is a directory, another the name of an image"),
    ),
    (&["--boot", "-b"], Instead("nsrun boot IMAGE")),
    (
        &["--as-pid2", "-a"],
        Instead("nsrun run IMAGE -- COMMAND, which has a small init unless --pid1 is given"),
    ),
    (
        &["-U"],
        Instead("--private-users=pick, which is the default"),
    ),
    (
        &["--private-users-chown"],
        Instead("--private-users-ownership=chown"),
    ),
    (
        &["--cleanup"],
        Instead("nothing: every command clears what dead machines left"),
    ),
    (
        &["--keep-unit"],
        Instead("nothing: in a unit that is delegated to nsrun, the machine is in that unit"),
    ),
    (
        &["--share-system"],
        Not("machines have namespaces of their own"),
    ),
    (
        &[
            "--image-policy",
            "--root-hash",
            "--root-hash-sig",
            "--verity-data",
        ],
        Not("nsrun does not take disk images apart"),
    ),
    (
        &["--mstack"],
        Not("stacks of layers are made by --overlay, or by an image of their own"),
    ),
    (&["--oci-bundle"], Not("nsrun is no OCI runtime")),
    (
        &["--private-users-delegate"],
        Not(
            "it takes systemd's service for user namespaces; --nesting lets a machine nest within its ids",
        ),
    ),
    (
        &["--selinux-context", "-Z", "--selinux-apifs-context", "-L"],
        Not("nsrun sets no labels of security modules"),
    ),
    (
        &[
            "--forward-journal",
            "--forward-journal-max-use",
            "--forward-journal-keep-free",
            "--forward-journal-max-file-size",
            "--forward-journal-max-files",
        ],
        Not(
            "it takes systemd's programs; bind a socket with --bind, and name it by the credential \
             journal.forward_to_socket",
        ),
    ),
    (&["--background"], Not("the terminal keeps its colours")),
    (
        &["--no-ask-password"],
        Not("nsrun never asks for a password"),
    ),
    (&["--no-pager"], Instead("nothing: nsrun starts no pager")),
];

/// What to say of an option that is not understood.
pub fn answer(option: &str) -> Option<Answer> {
    let name = option.split('=').next().unwrap_or(option);
    let found = TABLE.iter().find(|(names, _)| names.contains(&name));
    found.map(|(_, answer)| *answer)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Command, CommandFactory};

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_option_comes_once_and_is_none_of_nsruns() {
        let mut command = Cli::command();
        command.build();
        let verbs = ["boot", "run", "start"];
        let verbs = verbs.map(|verb| command.find_subcommand(verb).cloned());
        let own: BTreeSet<String> = verbs.iter().flatten().flat_map(spellings).collect();
        assert!(own.contains("--bind"), "{own:?}");
        let mut seen = BTreeSet::new();
        for name in TABLE.iter().flat_map(|(names, _)| *names) {
            assert!(seen.insert(*name), "{name} comes twice");
            assert!(!own.contains(*name), "{name} is an option");
        }
    }

    /// Options of systemd-nspawn 262.
    const NSPAWN: &str = "-h --help --version --no-pager -q --quiet --settings --cleanup \
        --no-ask-password --user --system --share-system -D --directory --template -x --ephemeral -i \
        --image --image-policy --mstack --oci-bundle --read-only --volatile --root-hash \
        --root-hash-sig --verity-data --pivot-root -b --boot -a --as-pid2 --chdir -E --setenv -u --uid \
        --kill-signal --notify-ready --suppress-sync -M --machine --hostname --uuid -S --slice \
        --property --register --keep-unit --private-users --private-users-ownership \
        --private-users-chown --private-users-delegate -U --private-network --network-interface \
        --network-macvlan --network-ipvlan -n --network-veth --network-veth-extra --network-bridge \
        --network-zone --network-namespace-path -p --port --capability --drop-capability \
        --ambient-capability --no-new-privileges --system-call-filter --restrict-address-families -Z \
        --selinux-context -L --selinux-apifs-context --rlimit --oom-score-adjust --cpu-affinity \
        --personality --resolv-conf --timezone --link-journal -j --forward-journal \
        --forward-journal-max-use --forward-journal-keep-free --forward-journal-max-file-size \
        --forward-journal-max-files --bind --bind-ro --tmpfs --overlay --overlay-ro --inaccessible \
        --bind-user --bind-user-shell --bind-user-group --console -P --pipe --background \
        --set-credential --load-credential";

    #[test]
    fn every_option_of_nspawn_is_accepted_or_told_by_name() {
        let mut command = Cli::command();
        command.build();
        let verbs = ["boot", "run"].map(|verb| command.find_subcommand(verb).cloned());
        let mut own: BTreeSet<String> = verbs.iter().flatten().flat_map(spellings).collect();
        // Before the verb.
        own.insert("--version".to_owned());
        for name in NSPAWN.split_ascii_whitespace() {
            let told = answer(name).is_some();
            assert!(told || own.contains(name), "{name} is neither");
        }
    }

    fn spellings(command: &Command) -> Vec<String> {
        let arguments = command.get_arguments();
        let spelled = |arg: &clap::Arg| {
            let mut long = arg.get_long_and_visible_aliases().unwrap_or_default();
            long.extend(arg.get_all_aliases().unwrap_or_default());
            let short = arg.get_short_and_visible_aliases().unwrap_or_default();
            let long = long.into_iter().map(|name| format!("--{name}"));
            long.chain(short.into_iter().map(|c| format!("-{c}")))
                .collect::<Vec<_>>()
        };
        arguments.flat_map(spelled).collect()
    }

    #[test]
    fn values_do_not_matter() {
        assert_eq!(answer("--oci-bundle=/x"), answer("--oci-bundle"));
        assert!(answer("--oci-bundle").is_some());
        assert_eq!(answer("--bind"), None);
        assert_eq!(answer(""), None);
    }

    #[test]
    fn the_page_on_options_names_them_all() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/options.md");
        let page = std::fs::read_to_string(page).unwrap();
        for name in TABLE.iter().flat_map(|(names, _)| *names) {
            let named = page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}="));
            assert!(named, "{name}");
        }
    }
}
