use std::path::Path;

use super::*;
use crate::plan::mounts::Mount;
use crate::plan::tuning::AskedLimit;
use crate::range::PrivateUsers;
use crate::settings::{Choice, KEYS, Merge, Use};

fn request(mode: Mode) -> Request {
    Request::new("web".parse().unwrap(), "/images/web".into(), mode)
}

fn boot() -> Request {
    request(Mode::Boot {
        init: None,
        parameters: Vec::new(),
    })
}

fn run() -> Request {
    request(Mode::Run {
        command: vec!["true".into()],
        as_pid1: false,
    })
}

fn read(text: &str) -> Collected {
    let mut all = Collected::default();
    all.read(Path::new("/f"), text.as_bytes(), true);
    assert_eq!(all.errors, [], "{text}");
    all
}

/// The request that a file makes of another, without options.
fn applied(text: &str, mut request: Request, usage: Use) -> Request {
    let choice = Choice {
        usage,
        merge: Merge::ByKey,
    };
    let mut all = read(text);
    choice.apply(&mut all, &[], &mut request).unwrap();
    request
}

fn network_of(text: &str, base: Option<Network>, merge: Merge) -> Option<Network> {
    let mut request = boot();
    request.network = base;
    let mut all = read(&format!("[Network]\n{text}"));
    let choice = Choice {
        usage: Use::Override,
        merge,
    };
    choice.apply(&mut all, &[], &mut request).unwrap();
    request.network
}

/// A value of each key that is acted upon, other than what it is without.
const SAMPLES: &[(&str, &str)] = &[
    ("Boot", "no"),
    ("ProcessTwo", "no"),
    ("Parameters", "a b"),
    ("Environment", "A=1"),
    ("User", "me"),
    ("WorkingDirectory", "/srv"),
    ("PivotRoot", "/a:/b"),
    ("NamespacePath", "/run/netns/a"),
    ("AmbientCapability", "CAP_NET_RAW"),
    ("SystemCallFilter", "~@mount"),
    ("RestrictAddressFamilies", "AF_UNIX"),
    ("SuppressSync", "yes"),
    ("Capability", "CAP_SYS_TIME"),
    ("DropCapability", "CAP_MKNOD"),
    ("NoNewPrivileges", "yes"),
    ("MachineID", "d1a94b332b1c4e14a6f3b7d5c6a0e1f2"),
    ("PrivateUsers", "no"),
    ("Hostname", "other"),
    ("ResolvConf", "copy-host"),
    ("Limit", "3:4"),
    ("Timezone", "off"),
    ("LinkJournal", "try-guest"),
    ("NotifyReady", "no"),
    ("ReadOnly", "yes"),
    ("KillSignal", "SIGTERM"),
    (
        "Personality",
        if cfg!(target_arch = "x86_64") {
            "x86"
        } else {
            "arm"
        },
    ),
    ("OOMScoreAdjust", "100"),
    ("CPUAffinity", "0"),
    ("Ephemeral", "yes"),
    ("Volatile", "state"),
    ("Bind", "/srv"),
    ("BindReadOnly", "/srv"),
    ("TemporaryFileSystem", "/scratch"),
    ("Inaccessible", "/srv"),
    ("Overlay", "/a:/b"),
    ("OverlayReadOnly", "/a:/b"),
    ("PrivateUsersOwnership", "map"),
    ("PrivateUsersChown", "yes"),
    ("BindUser", "somebody"),
    ("BindUserShell", "/bin/sh"),
    ("Private", "no"),
    ("VirtualEthernet", "no"),
    ("VirtualEthernetExtra", "a:b"),
    ("Interface", "eth0"),
    ("MACVLAN", "eth0"),
    ("IPVLAN", "eth0"),
    ("Bridge", "br0"),
    ("Zone", "lan"),
    ("Port", "80"),
];

#[test]
fn each_key_that_is_not_called_ignored_changes_the_request() {
    for key in KEYS.iter().filter(|key| key.ignored.is_none()) {
        let name = match key.name.starts_with("Limit") {
            true => "Limit",
            false => key.name,
        };
        let sample = SAMPLES.iter().find(|(sample, _)| *sample == name);
        let (_, value) = sample.unwrap_or_else(|| panic!("{key:?} has no sample"));
        let section = key.section.name();
        let mut text = format!("[{section}]\n{}={value}\n", key.name);
        let base = match key.name {
            "ProcessTwo" | "User" | "AmbientCapability" => run(),
            _ => boot(),
        };
        if key.name == "Boot" {
            text.push_str("Parameters=sh\n");
        }
        let before = format!("{base:?}");
        let after = format!("{:?}", applied(&text, base, Use::Override));
        assert_ne!(before, after, "{key:?}");
    }
}

#[test]
fn a_key_that_is_ignored_is_told_of_once_with_its_place() {
    let mut all =
        read("[Exec]\nHostname=c\n[Exec]\nPrivateUsersDelegate=1\nPrivateUsersDelegate=2\n");
    let choice = Choice::default();
    choice.apply(&mut all, &[], &mut boot()).unwrap();
    let told: Vec<String> = all.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("/f:4: PrivateUsersDelegate= is ignored: "),
        "{told:?}"
    );
}

#[test]
fn every_mode_of_resolv_conf_is_taken_over() {
    let mut all = read("[Exec]\nResolvConf=bind-stub\n");
    let mut request = boot();
    Choice::default()
        .apply(&mut all, &[], &mut request)
        .unwrap();
    assert_eq!(Ok(request.resolv_conf), "bind-stub".parse().map_err(|_| ()));
    assert!(all.warnings.is_empty());
}

#[test]
fn the_network_is_as_nspawn_reads_the_keys_together() {
    use Network::{Host, Private, Veth};
    let table = [
        ("VirtualEthernet=no", None, Some(Host)),
        ("VirtualEthernet=yes", None, Some(Veth)),
        ("Private=no", None, Some(Host)),
        ("Private=yes", None, None),
        ("Private=yes", Some(Host), Some(Private)),
        ("Private=yes\nVirtualEthernet=no", None, Some(Private)),
        ("MACVLAN=eth0\nVirtualEthernet=no", None, Some(Private)),
        ("Zone=a", Some(Host), Some(Private)),
        ("Port=80", None, None),
        ("", Some(Veth), Some(Veth)),
    ];
    for (text, base, expected) in table {
        assert_eq!(network_of(text, base, Merge::ByKey), expected, "{text}");
    }
}

#[test]
fn by_groups_a_private_network_takes_the_link_away() {
    use Network::{Private, Veth};
    let base = Some(Veth);
    assert_eq!(network_of("Private=yes", base, Merge::ByKey), base);
    assert_eq!(
        network_of("Private=yes", base, Merge::ByGroup),
        Some(Private)
    );
}

#[test]
fn links_of_files_and_options_add_up_and_bridge_and_zone_are_one() {
    let mut base = boot();
    base.links.macvlans = vec!["eth0".parse().unwrap()];
    base.links.zone = Some("lan".parse().unwrap());
    let text = "[Network]\nMACVLAN=eth1 eth2:b\nBridge=br0\n";
    let links = applied(text, base.clone(), Use::Override).links;
    let hosts: Vec<String> = links
        .macvlans
        .iter()
        .map(|pair| pair.host.to_string())
        .collect();
    assert_eq!(hosts, ["eth0", "eth1", "eth2"]);
    assert!(links.bridge.is_some() && links.zone.is_none());

    let said = ["network-zone".to_owned()];
    let mut all = read(text);
    let mut request = base.clone();
    Choice::default()
        .apply(&mut all, &said, &mut request)
        .unwrap();
    assert!(request.links.bridge.is_none() && request.links.zone.is_some());

    base.network = Some(Network::Host);
    let said = ["network".to_owned()];
    let mut all = read("[Network]\nVirtualEthernetExtra=a\n");
    Choice::default().apply(&mut all, &said, &mut base).unwrap();
    assert!(base.links.extra.is_empty(), "the option says the host's");
}

#[test]
fn contradictions_are_refused_with_their_place() {
    for text in [
        "[Network]\nPrivate=no\nVirtualEthernet=yes\n",
        "[Network]\nPrivate=no\nZone=a\n",
        "[Network]\nPrivate=no\nNamespacePath=/run/netns/a\n",
        "[Exec]\nBoot=yes\nProcessTwo=yes\n",
        "[Exec]\nBoot=no\n",
        "[Exec]\nUser=me\n",
        "[Exec]\nAmbientCapability=CAP_NET_RAW\n",
    ] {
        let mut all = read(text);
        let choice = Choice {
            usage: Use::Override,
            merge: Merge::ByKey,
        };
        let error = choice.apply(&mut all, &[], &mut boot()).unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.to_string().contains("/f:2: "), "{error}");
    }
}

#[test]
fn what_runs_is_the_files_choice_only_if_it_outranks_the_verb() {
    let text = "[Exec]\nBoot=no\nParameters=sh -c true\n";
    let mode = applied(text, boot(), Use::Override).mode;
    let command = ["sh", "-c", "true"].map(str::to_owned).to_vec();
    let as_pid1 = false;
    assert_eq!(mode, Mode::Run { command, as_pid1 });
    let said = ["boot", "pid1"].map(str::to_owned);
    let mut request = boot();
    let mut all = read(text);
    Choice::default()
        .apply(&mut all, &said, &mut request)
        .unwrap();
    assert!(matches!(request.mode, Mode::Boot { ref parameters, .. } if parameters.len() == 3));
}

#[test]
fn values_of_options_win_over_those_of_files_in_lists_too() {
    let mut request = boot();
    request.env = vec![("A".into(), "option".into())];
    let text = "[Exec]\nEnvironment=A=file B=file\n";
    let names = |request: &Request| -> Vec<String> {
        let pairs = request.env.iter();
        pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    };
    let with_options = applied(text, request.clone(), Use::Yes);
    assert_eq!(names(&with_options), ["A=file", "B=file", "A=option"]);
    let overriding = applied(text, request, Use::Override);
    assert_eq!(names(&overriding), ["A=option", "A=file", "B=file"]);
}

#[test]
fn the_old_key_for_owners_gives_way_to_the_new_one() {
    let text = "[Files]\nPrivateUsersChown=yes\n";
    assert_eq!(applied(text, boot(), Use::Yes).ownership, Ownership::Chown);
    let text = "[Files]\nPrivateUsersChown=yes\nPrivateUsersOwnership=map\n";
    assert_eq!(applied(text, boot(), Use::Yes).ownership, Ownership::Map);
}

#[test]
fn the_walkthroughs_two_lines_give_the_hosts_network_and_users() {
    let text = "[Network]\nVirtualEthernet=no\n[Exec]\nPrivateUsers=no\n";
    let request = applied(text, boot(), Use::Yes);
    assert_eq!(request.network, Some(Network::Host));
    assert_eq!(request.users, PrivateUsers::No);
}

#[test]
fn mounts_of_file_and_options_add_up_and_one_path_is_mounted_once() {
    let mut request = boot();
    request.mounts = vec![Mount::tmpfs("/srv").unwrap()];
    let text = "[Files]\nBind=/a:/srv\nBindReadOnly=/b:/mnt\n";
    let shown = |request: &Request| -> Vec<String> {
        let mounts = request.mounts.iter();
        mounts
            .map(|mount| format!("{mount} ({})", mount.spelling))
            .collect()
    };
    let with_options = applied(text, request.clone(), Use::Yes);
    let expected = [
        "tmpfs on /srv (--tmpfs=/srv)",
        "/b on /mnt (/f:3: BindReadOnly=/b:/mnt)",
    ];
    assert_eq!(shown(&with_options), expected);
    let overriding = applied(text, request, Use::Override);
    let expected = [
        "/a on /srv (/f:2: Bind=/a:/srv)",
        "/b on /mnt (/f:3: BindReadOnly=/b:/mnt)",
    ];
    assert_eq!(shown(&overriding), expected);
}

#[test]
fn a_limit_gives_way_to_an_option_for_the_same_resource() {
    let mut request = boot();
    let limit = |text: &str| text.parse::<AskedLimit>().unwrap();
    request.tuning.limits = vec![limit("NOFILE=1")];
    let text = "[Exec]\nLimitNOFILE=2\nLimitCORE=3\nCPUAffinity=0-1\nCPUAffinity=3\n";
    let said = vec!["rlimit".to_owned()];
    let mut all = read(text);
    Choice::default()
        .apply(&mut all, &said, &mut request)
        .unwrap();
    assert_eq!(request.tuning.limits, [limit("NOFILE=1"), limit("CORE=3")]);
    assert_eq!(request.tuning.cpus.unwrap().numbers(), [0, 1, 3]);
}

#[test]
fn what_a_file_refuses_is_refused_and_families_are_the_winners() {
    let text = "[Exec]\nSystemCallFilter=~@mount\nRestrictAddressFamilies=AF_UNIX AF_INET\n";
    let mut request = run();
    request.restrictions.calls = vec!["~@swap".parse().unwrap()];
    request.restrictions.families = vec!["AF_UNIX".parse().unwrap()];
    let said = ["system-call-filter", "restrict-address-families"].map(str::to_owned);
    let with = |usage, mut request: Request| {
        let mut all = read(text);
        let choice = Choice {
            usage,
            merge: Merge::ByKey,
        };
        choice.apply(&mut all, &said, &mut request).unwrap();
        let Restrictions {
            calls, families, ..
        } = request.restrictions;
        let families = families.iter().map(ToString::to_string).collect();
        (calls.len(), families)
    };
    let option: Vec<String> = vec!["AF_UNIX".into()];
    assert_eq!(with(Use::Yes, request.clone()), (2, option));
    let file: Vec<String> = vec!["AF_UNIX AF_INET".into()];
    assert_eq!(with(Use::Override, request), (2, file));
}

#[test]
fn root_may_be_named_for_a_system() {
    for name in ["root", "0"] {
        let request = applied(&format!("[Exec]\nUser={name}\n"), boot(), Use::Yes);
        assert_eq!(request.user.as_deref(), Some(name));
    }
}
