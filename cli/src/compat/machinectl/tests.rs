use std::ffi::OsString;

use clap::CommandFactory;

use super::args::{Importctl, Machinectl};
use super::translate;
use crate::compat::Peer;
use crate::compat::step::{Refusal, Step};
use crate::compat::table::{Addresses, Json};

fn steps(line: &str) -> Result<Vec<Step>, Refusal> {
    let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let peer = Peer::called(&words).unwrap();
    Ok(translate(peer, &words)?.steps)
}

/// The steps as text; what is said is in brackets.
fn outcome(line: &str) -> String {
    let text = |step: Step| match step {
        Step::Nsrun { words, .. } | Step::Session { words, .. } => words.join(" "),
        Step::Start { name, words } => format!("start {name}: {}", words.join(" ")),
        Step::Say(text) => format!("[{text}]"),
        Step::Note(text) => format!("<{text}>"),
        other => format!("{other:?}"),
    };
    let steps = steps(line).unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"));
    steps.into_iter().map(text).collect::<Vec<_>>().join("; ")
}

#[test]
fn verbs_for_machines_become_nsruns() {
    let table = [
        ("status web", "status web"),
        (
            "status -l -n 3 web db",
            "status --full --lines=3 web; []; status --full --lines=3 db",
        ),
        ("show web", "show --lenient web"),
        (
            "show -p Leader --value web",
            "show --lenient --value --property=Leader web",
        ),
        (
            "show web -P Leader",
            "show --lenient --value --property=Leader web",
        ),
        (
            "show --property=Name,State web",
            "show --lenient --property=Name --property=State web",
        ),
        (
            "poweroff web db",
            "--quiet poweroff web; --quiet poweroff db",
        ),
        ("stop web", "--quiet stop --timeout=120 web"),
        ("reboot web", "--quiet reboot web"),
        ("restart web", "--quiet reboot web"),
        ("terminate web", "--quiet terminate web"),
        ("kill web", "kill --whom=all --signal=SIGTERM web"),
        (
            "kill -s HUP --kill-whom=leader web",
            "kill --whom=leader --signal=HUP web",
        ),
        (
            "--kill-who=all kill web --signal=9",
            "kill --whom=all --signal=9 web",
        ),
        ("login web", "login web"),
        ("shell web", "shell web"),
        (
            "shell www@web /bin/ls -l --all",
            "shell www@web /bin/ls -l --all",
        ),
        (
            "shell --uid=www -E A=1 web /bin/env",
            "shell --setenv=A=1 --user=www web /bin/env",
        ),
        ("shell --uid=www root@web", "shell root@web"),
        ("--no-pager --system pause web", "pause web"),
        ("bind web /srv", "--quiet bind -- web /srv"),
        (
            "bind --read-only --mkdir web /srv /mnt",
            "--quiet bind --read-only --mkdir -- web /srv /mnt",
        ),
        ("copy-to web a /b", "--quiet copy-to -- web a /b"),
        (
            "copy-from web /b --force",
            "--quiet copy-from --force -- web /b",
        ),
        (
            "enable --now web db",
            "--quiet enable --now web -- --quiet --defaults=nspawn --settings-merge=group --settings=override --network=veth --private-users=pick --private-users-ownership=auto --allow-unsafe-root --register=auto; \
             --quiet enable --now db -- --quiet --defaults=nspawn --settings-merge=group --settings=override --network=veth --private-users=pick --private-users-ownership=auto --allow-unsafe-root --register=auto",
        ),
        ("disable web", "--quiet disable web"),
    ];
    for (theirs, ours) in table {
        assert_eq!(outcome(&format!("machinectl {theirs}")), ours, "{theirs}");
    }
}

#[test]
fn a_start_is_that_of_systemds_unit() {
    let text = outcome("machinectl start web db");
    let of = |name: &str| {
        format!(
            "start {name}: start --quiet --defaults=nspawn --settings-merge=group \
             --settings=override --network=veth --private-users=pick \
             --private-users-ownership=auto --allow-unsafe-root --register=auto {name}"
        )
    };
    assert_eq!(text, format!("{}; {}", of("web"), of("db")));
}

#[test]
fn verbs_for_images_become_nsruns() {
    let table = [
        ("image-status web", "image-status web"),
        ("edit web", "edit web"),
        ("cat web db", "cat web; cat db"),
        ("clone web db", "--quiet clone web db"),
        (
            "clone --read-only web db",
            "--quiet clone --read-only web db",
        ),
        ("rename web db", "--quiet rename web db"),
        ("read-only web", "--quiet read-only web yes"),
        ("read-only web no", "--quiet read-only web no"),
        ("remove web db", "--quiet remove web; --quiet remove db"),
        ("clean", "clean"),
        ("clean --all", "clean --all"),
        ("list-transfers", "[No transfers.]"),
        ("--no-legend list-transfers", ""),
    ];
    for (theirs, ours) in table {
        assert_eq!(outcome(&format!("machinectl {theirs}")), ours, "{theirs}");
    }
}

#[test]
fn transfers_are_told_as_the_peer_does() {
    let end = "<Operation completed successfully.>";
    let table = [
        (
            "machinectl import-tar web.tar.xz web",
            format!("<Importing 'web.tar.xz', saving as 'web'.>; import -- web.tar.xz web; {end}"),
        ),
        (
            "importctl -m import-tar web.tar.xz",
            format!("<Importing 'web.tar.xz'.>; import -- web.tar.xz; {end}"),
        ),
        (
            "importctl --class=machine -q import-fs /srv web",
            "--quiet import-fs -- /srv web".to_owned(),
        ),
        (
            "machinectl -q --read-only import-tar a.tar web",
            "--quiet import -- a.tar web; --quiet read-only web".to_owned(),
        ),
        (
            "machinectl -q --verify=checksum pull-tar https://x/a.tar web",
            "--quiet pull --verify=checksum -- https://x/a.tar web".to_owned(),
        ),
        (
            "importctl -mNq pull-tar --verify=no file:///a.tar",
            "--quiet pull --verify=no -- file:///a.tar".to_owned(),
        ),
        (
            "machinectl export-tar web /a.tar.zst",
            format!("<Exporting 'web', saving to '/a.tar.zst'.>; export -- web /a.tar.zst; {end}"),
        ),
        (
            "machinectl -q --format=xz export-tar web",
            "--quiet export --format=xz -- web".to_owned(),
        ),
    ];
    for (theirs, ours) in table {
        assert_eq!(outcome(theirs), ours, "{theirs}");
    }
}

#[test]
fn lists_have_their_options() {
    let style = |line: &str| match &steps(line).unwrap()[..] {
        [Step::Machines(style) | Step::Images(style) | Step::ImagesWithPaths(style)] => *style,
        other => panic!("{other:?}"),
    };
    for line in [
        "machinectl",
        "machinectl list",
        "machinectl list-images",
        "importctl list-images",
    ] {
        assert_eq!(style(line), super::Style::default(), "{line}");
    }
    let all = style("machinectl list-images -a --no-legend");
    assert!(all.all && all.no_legend && all.json.is_none());
    assert_eq!(style("machinectl list -o json").json, Some(Json::Short));
    assert_eq!(
        style("machinectl --output=json-pretty list").json,
        Some(Json::Pretty)
    );
    assert_eq!(
        style("importctl list-images --json=short").json,
        Some(Json::Short)
    );
    assert_eq!(style("machinectl list -o cat").json, None);
    assert_eq!(
        style("machinectl list --max-addresses=all").addresses,
        Addresses::All
    );
    assert_eq!(
        style("machinectl list --max-addresses=0").addresses,
        Addresses::Some(0)
    );
}

#[test]
fn properties_of_images_and_of_the_pool_are_chosen() {
    let chosen = |line: &str| match &steps(line).unwrap()[..] {
        [Step::ImageProperties { choice, .. }] => choice.clone(),
        [
            Step::Pool {
                choice: Some(choice),
            },
        ] => choice.clone(),
        other => panic!("{other:?}"),
    };
    let choice = chosen("machinectl show-image -p Path web --value");
    assert_eq!((choice.names, choice.bare), (vec!["Path".to_owned()], true));
    assert_eq!(chosen("machinectl show"), chosen("machinectl show-image"));
    assert_eq!(
        steps("machinectl image-status").unwrap(),
        [Step::Pool { choice: None }]
    );
}

#[test]
fn what_nsrun_cannot_do_is_refused_by_name() {
    let table = [
        ("machinectl -H host list", "--host"),
        ("machinectl -M web list", "--machine"),
        ("machinectl --user list", "--user"),
        ("machinectl --runner=vmspawn start web", "vmspawn"),
        ("machinectl -V start web", "vmspawn"),
        ("machinectl login", "login"),
        ("machinectl login .host", "login"),
        ("machinectl login a b", "login"),
        ("machinectl --uid=www login web", "--uid"),
        ("machinectl shell", "shell"),
        ("machinectl shell www@", "shell"),
        ("machinectl export-raw a a.raw", "export-raw"),
        ("machinectl pull-raw https://x/a.raw a", "pull-raw"),
        ("machinectl pull-oci a b", "pull-oci"),
        ("machinectl cancel-transfer 1", "cancel-transfer"),
        ("machinectl pull-tar https://x/a.tar a", "signature"),
        (
            "machinectl --verify=signature pull-tar https://x/a.tar a",
            "signature",
        ),
        ("machinectl --force import-tar a.tar a", "--force"),
        ("machinectl --read-only import-tar a.tar", "--read-only"),
        ("machinectl list --max-addresses=many", "addresses"),
        ("importctl import-tar a.tar a", "class"),
        ("importctl -P import-tar a.tar a", "portable"),
        ("importctl --class=confext list-images", "confext"),
        (
            "importctl -m --keep-download=yes pull-tar https://x/a.tar",
            "--keep-download",
        ),
    ];
    for (line, word) in table {
        match steps(line) {
            Err(Refusal::Unsupported(text)) => assert!(text.contains(word), "{line}: {text}"),
            other => panic!("{line}: {other:?}"),
        }
    }
    for wrong in [
        "machinectl nonsense",
        "machinectl status",
        "machinectl --nonsense",
        "importctl clone",
    ] {
        assert!(matches!(steps(wrong), Err(Refusal::Words(_))), "{wrong}");
    }
}

#[test]
fn the_grammars_are_consistent() {
    Machinectl::command().debug_assert();
    Importctl::command().debug_assert();
}
