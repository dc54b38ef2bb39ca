use std::ffi::OsString;

use clap::CommandFactory;

use super::super::options::{ALL, Becomes};
use super::super::{command, translate};
use crate::args::Cli;
use crate::compat::step::{Refusal, Step};
use crate::foreign;

const BEGIN: &str = "--defaults=nspawn --settings-merge=group --allow-unsafe-root --register=";

fn outcome(line: &str) -> Result<String, Refusal> {
    let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let translation = translate(&words)?;
    let lines = translation.steps.iter().map(|step| match step {
        Step::Nsrun { words, .. } => words.join(" "),
        other => panic!("{other:?}"),
    });
    let line = lines.collect::<Vec<_>>().join("; ");
    Ok(line
        .replace(&format!("{BEGIN}auto"), "…")
        .replace(BEGIN, "… --register="))
}

#[test]
fn command_lines_become_those_of_nsrun() {
    let table = [
        (
            "-D /srv/tree --quiet make check",
            "run … --pid1 --quiet /srv/tree -- make check",
        ),
        ("-D tree true", "run … --pid1 ./tree -- true"),
        ("true", "run … --pid1 ./ -- true"),
        ("-D /t", "run … --pid1 /t"),
        ("-M web", "run … --machine=web --pid1 web"),
        ("-M web -D /t", "run … --machine=web --pid1 /t"),
        ("-aD /t sh -c x", "run … /t -- sh -c x"),
        ("--as-pid2 -D /t -- -x", "run … /t -- -x"),
        ("-bD /t", "boot … /t"),
        (
            "-b -M web systemd.unit=rescue.target",
            "boot … --machine=web web -- systemd.unit=rescue.target",
        ),
        ("-D /t ls -l --all", "run … --pid1 /t -- ls -l --all"),
        ("-D /t -D /u ls", "run … --pid1 /u -- ls"),
        (
            "-D /t --private-network ls",
            "run … --network=private --pid1 /t -- ls",
        ),
        ("-nbD /t", "boot … --network=veth /t"),
        (
            "-b --private-network --network-veth -D /t",
            "boot … --network=veth /t",
        ),
        ("-xbD /t", "boot … --ephemeral=disk /t"),
        (
            "-x --template=/t ls",
            "run … --ephemeral=disk --pid1 /t -- ls",
        ),
        (
            "-M web --template=/t -b",
            "boot … --template=/t --machine=web web",
        ),
        (
            "-UbD /t",
            "boot … --private-users=pick --private-users-ownership=auto /t",
        ),
        (
            "-b -U --private-users=no -D /t",
            "boot … --private-users-ownership=auto --private-users=no /t",
        ),
        ("-b --private-users -D /t", "boot … --private-users=pick /t"),
        (
            "-b --private-users=identity -D /t",
            "boot … --private-users=0:65536 /t",
        ),
        ("-b --private-users=0 -D /t", "boot … --private-users=0 /t"),
        (
            "-b --private-users=65536:1000 -D /t",
            "boot … --private-users=65536:1000 /t",
        ),
        (
            "-b --private-users=pick --private-users-chown -D /t",
            "boot … --private-users=pick --private-users-ownership=chown /t",
        ),
        (
            "--bind-ro=/a:/b --bind=/c -D /t ls",
            "run … --pid1 --bind-ro=/a:/b --bind=/c /t -- ls",
        ),
        (
            "--setenv A=1 -E B -D /t env",
            "run … --pid1 --setenv=A=1 --setenv=B /t -- env",
        ),
        (
            "-u www --chdir /srv -D /t id",
            "run … --workdir=/srv --pid1 --user=www /t -- id",
        ),
        ("--user www -D /t id", "run … --pid1 --user=www /t -- id"),
        (
            "--user=www -u root -D /t id",
            "run … --pid1 --user=root /t -- id",
        ),
        (
            "-PD /t cat",
            "run … --pid1 --quiet --console=pipe /t -- cat",
        ),
        (
            "-qPD /t cat",
            "run … --pid1 --quiet --console=pipe /t -- cat",
        ),
        (
            "--console=pipe --console=passive -D /t cat",
            "run … --pid1 --console=passive /t -- cat",
        ),
        (
            "--register=false --keep-unit --no-pager --background= -D /t ls",
            "run … --register=no --pid1 /t -- ls",
        ),
        (
            "--no-new-privileges=yes -D /t ls",
            "run … --pid1 --no-new-privileges=yes /t -- ls",
        ),
        (
            "--no-new-privileges=yes --no-new-privileges=no -D /t ls",
            "run … --pid1 --no-new-privileges=no /t -- ls",
        ),
        (
            "--read-only --volatile -D /t ls",
            "run … --pid1 --read-only --volatile=yes /t -- ls",
        ),
        (
            "--volatile=on --volatile=state -D /t ls",
            "run … --pid1 --volatile=state /t -- ls",
        ),
        (
            "--oom-score-adjust -100 -D /t ls",
            "run … --pid1 --oom-score-adjust=-100 /t -- ls",
        ),
        ("-j --link-journal=no -b -D /t", "boot … /t"),
        (
            "--port=tcp:80 -p 81 -nbD /t",
            "boot … --network=veth --port=tcp:80 --port=81 /t",
        ),
        (
            "--image=/disk.raw -b -M web",
            "boot … --machine=web --trust-image --image=/disk.raw",
        ),
        (
            "-i disk.raw ls",
            "run … --trust-image --pid1 --image=disk.raw -- ls",
        ),
        ("--cleanup -M web", ""),
    ];
    for (theirs, ours) in table {
        let line = format!("systemd-nspawn {theirs}");
        assert_eq!(outcome(&line).unwrap(), ours, "{theirs}");
    }
}

#[test]
fn what_nsrun_cannot_do_is_refused_with_the_option() {
    let table = [
        ("--image=/disk.raw -D /t", "--image"),
        ("-D /t --template=/u ls", "--template"),
        ("--template=/u ls", "--template"),
        ("-D /t --user", "--user"),
        ("-D /t -ab", "--as-pid2"),
        ("-D /t --link-journal=host -b", "--link-journal=host"),
        ("-D /t -b --chdir=/x", "--chdir"),
    ];
    for (theirs, option) in table {
        match outcome(&format!("systemd-nspawn {theirs}")) {
            Err(Refusal::Unsupported(text)) => assert!(text.contains(option), "{text}"),
            other => panic!("{theirs}: {other:?}"),
        }
    }
    for wrong in ["--nonsense", "-D", "-y", "--boot=yes"] {
        let outcome = outcome(&format!("systemd-nspawn {wrong}"));
        assert!(matches!(outcome, Err(Refusal::Words(_))), "{wrong}");
    }
}

#[test]
fn the_grammar_is_consistent() {
    command().debug_assert();
}

/// What is passed on, and is known to neither nsrun nor its list of foreign options, is on the page
/// that says what becomes of every option.
#[test]
fn every_option_that_is_passed_on_is_known_or_documented() {
    let mut cli = Cli::command();
    cli.build();
    let known = |name: &str| {
        ["boot", "run"].iter().any(|verb| {
            let verb = cli.find_subcommand(verb).unwrap();
            verb.get_arguments().any(|arg| arg.get_long() == Some(name))
        })
    };
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/options.md");
    let page = std::fs::read_to_string(page).unwrap();
    for option in ALL {
        let name = match option.becomes {
            Becomes::Same => option.long,
            Becomes::Named(name) => name,
            _ => continue,
        };
        let refused = foreign::answer(&format!("--{name}")).is_some();
        let documented =
            page.contains(&format!("`--{name}`")) || page.contains(&format!("`--{name}="));
        assert!(known(name) || refused || documented, "{name}");
    }
}
