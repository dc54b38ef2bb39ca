use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::plan::{Mode, Network};

/// Keys that systemd.nspawn(5) and systemd 262's own parser know, by section: those that any file
/// may set, then those for trusted files only.
const NSPAWN: [(&str, &str, &str); 3] = [
    (
        "Exec",
        "Boot ProcessTwo Parameters Environment User WorkingDirectory PivotRoot DropCapability \
         NoNewPrivileges KillSignal Personality NotifyReady RestrictAddressFamilies Hostname \
         ResolvConf Timezone SuppressSync",
        "Ephemeral Capability AmbientCapability MachineID PrivateUsers PrivateUsersDelegate LimitCPU \
         LimitFSIZE LimitDATA LimitSTACK LimitCORE LimitRSS LimitNOFILE LimitAS LimitNPROC \
         LimitMEMLOCK LimitLOCKS LimitSIGPENDING LimitMSGQUEUE LimitNICE LimitRTPRIO LimitRTTIME \
         OOMScoreAdjust CPUAffinity LinkJournal",
    ),
    (
        "Files",
        "ReadOnly Volatile",
        "Bind BindReadOnly TemporaryFileSystem Inaccessible Overlay OverlayReadOnly \
         PrivateUsersOwnership PrivateUsersChown BindUser BindUserShell",
    ),
    (
        "Network",
        "",
        "Private NamespacePath VirtualEthernet VirtualEthernetExtra Interface MACVLAN IPVLAN Bridge \
         Zone Port",
    ),
];

#[test]
fn every_key_has_the_trust_class_that_was_decided_for_it() {
    let mut expected = BTreeMap::new();
    for (section, anyones, trusted) in NSPAWN {
        for (names, trust) in [(anyones, Trust::Any), (trusted, Trust::Trusted)] {
            expected.extend(names.split(' ').map(|name| ((section, name), trust)));
        }
    }
    expected.remove(&("Network", ""));
    expected.insert(("Exec", "SystemCallFilter"), Trust::Forbids);
    for key in KEYS {
        let decided = expected.remove(&(key.section.name(), key.name));
        assert_eq!(decided, Some(key.trust), "no decision on {key:?}");
    }
    assert!(expected.is_empty(), "not in the table: {expected:?}");
}

#[test]
fn every_key_has_a_place_of_its_own() {
    for key in KEYS {
        let mut settings = model::Settings::default();
        let texts = [
            "yes", "1", "/a:/b", "A=1", "x86", "TERM", "all", "none", "auto", "map", "@mount",
        ];
        let field = (key.field)(&mut settings);
        let id = "d1a94b332b1c4e14a6f3b7d5c6a0e1f2";
        let mut all = texts.into_iter().chain([id]);
        assert!(all.any(|text| field.assign(text).is_ok()), "{key:?}");
        for other in KEYS {
            let set = (other.field)(&mut settings).is_set();
            assert_eq!(set, other.is(key), "{key:?} sets {other:?}");
        }
    }
}

#[test]
fn modes_of_use_have_nspawns_words() {
    let table = [
        ("yes", Use::Yes),
        ("1", Use::Yes),
        ("off", Use::No),
        ("override", Use::Override),
        ("trusted", Use::Trusted),
    ];
    for (text, usage) in table {
        assert_eq!(text.parse::<Use>().unwrap(), usage, "{text}");
    }
    assert_eq!("both".parse::<Use>().unwrap_err().kind(), Kind::Usage);
}

fn found(text: &str, trusted: bool) -> Found {
    let file = SettingsFile {
        path: "/f".into(),
        content: text.as_bytes().to_vec(),
        trusted,
    };
    Found {
        files: vec![file],
        skipped: Vec::new(),
    }
}

/// The request of a boot with `--network=private --capability=CAP_SYS_TIME`, say, and a file.
fn combined(text: &str, said: &[&str], choice: Choice) -> (Request, Collected) {
    let mode = Mode::Boot {
        init: None,
        parameters: Vec::new(),
    };
    let mut request = Request::new("web".parse().unwrap(), Path::new("/web").into(), mode);
    request.network = Some(Network::Private);
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    let mut all = collect(&found(text, true), choice.usage);
    choice.apply(&mut all, &said, &mut request).unwrap();
    (request, all)
}

const FILE: &str = "[Exec]\nCapability=CAP_SYS_TIME\nDropCapability=CAP_MKNOD\nHostname=a\n\
                    [Network]\nVirtualEthernet=yes\n";

#[test]
fn an_option_takes_its_key_and_leaves_the_others() {
    let (request, all) = combined(FILE, &["network", "drop-capability"], Choice::default());
    assert_eq!(request.network, Some(Network::Private));
    assert_eq!(request.hostname.as_deref(), Some("a"));
    assert_eq!(request.add_capabilities.iter().count(), 1);
    assert_eq!(request.drop_capabilities.iter().count(), 1, "lists add up");
    let outranked = all.lines.iter().filter(|line| line.outranked);
    let names: Vec<&str> = outranked.map(|line| line.key.name).collect();
    assert_eq!(names, ["VirtualEthernet"]);
}

#[test]
fn by_groups_an_option_takes_all_keys_of_its_group() {
    let choice = Choice {
        merge: Merge::ByGroup,
        ..Choice::default()
    };
    let (request, _) = combined(FILE, &["drop-capability"], choice);
    assert!(request.add_capabilities.is_empty());
    assert_eq!(request.network, Some(Network::Veth));
    assert_eq!(request.hostname.as_deref(), Some("a"));
}

#[test]
fn overriding_files_win_over_every_option() {
    let choice = Choice {
        usage: Use::Override,
        ..Choice::default()
    };
    let (request, all) = combined(FILE, &["network", "hostname"], choice);
    assert_eq!(request.network, Some(Network::Veth));
    assert_eq!(request.hostname.as_deref(), Some("a"));
    assert!(all.lines.iter().all(|line| !line.outranked));
}

#[test]
fn trust_can_be_given_to_the_file_beside_the_image() {
    let text = "[Network]\nVirtualEthernet=no\n";
    assert_eq!(collect(&found(text, false), Use::Yes).lines.len(), 0);
    assert_eq!(collect(&found(text, false), Use::Override).lines.len(), 0);
    assert_eq!(collect(&found(text, false), Use::Trusted).lines.len(), 1);
}

/// The rows of the documentation's table, as they have to be.
fn rows() -> Vec<String> {
    let row = |key: &Key| {
        let lines = if key.adds_up() { "; lines add up" } else { "" };
        let values = key.values().replace('|', "\\|");
        let options = match key.ignored {
            _ if key.options[0] == "boot" => "the verb".to_owned(),
            _ if key.options[0] == "parameters" => "arguments".to_owned(),
            None => format!("`--{}`", key.options.join("`, `--")),
            Some(_) => String::new(),
        };
        let cells = [
            format!("`[{}]` `{}=`", key.section.name(), key.name),
            format!("{values}{lines}"),
            options,
            key.trust.word().to_owned(),
            match key.ignored {
                None => key.default.to_owned(),
                Some(why) => format!("ignored: {why}"),
            },
        ];
        format!("| {} |", cells.join(" | ")).replace("  ", " ")
    };
    KEYS.iter().map(row).collect()
}

#[test]
fn the_documentation_has_the_rows_of_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `["))
        .collect();
    let expected = rows();
    assert_eq!(
        documented,
        expected,
        "the rows should be:\n{}",
        expected.join("\n")
    );
}

/// Keys that take any words.
const FREE: [&str; 1] = ["Parameters"];

#[test]
fn every_key_refuses_what_is_no_value_and_takes_nothing_for_taking_back() {
    for key in KEYS {
        let section = key.section.name();
        let read = |text: &str| {
            let line = format!("[{section}]\n{}={text}\n", key.name);
            collect(&found(&line, true), Use::Yes)
        };
        let empty = read("");
        assert!(empty.errors.is_empty() && empty.lines.is_empty(), "{key:?}");
        if FREE.contains(&key.name) {
            continue;
        }
        for text in ["!: !", "\u{7f}"] {
            let errors = read(text).errors;
            let told = errors.first().map(ToString::to_string).unwrap_or_default();
            assert!(told.contains(key.name), "{key:?}={text}: {told}");
        }
    }
}
